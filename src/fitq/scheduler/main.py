"""One scheduler process. Several may run: all look on, and the one that holds the leader's key acts."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

from fitq import __version__
from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.heartbeat import Heartbeat
from fitq.logs import get_logger
from fitq.scheduler.care import Care, patience
from fitq.scheduler.leftovers import Leftovers
from fitq.stopping import set_on_signals

log = get_logger(__name__)
_ROUND_SECONDS = 3.0  #: at most; a quarter of a lease when that is less
#: As long as a round may take in which Redis hangs. Two that lead do no harm.
_LEAD_SECONDS = 6.0
#: A few keys are listed: what an API process that died left behind.
_RESTORE_OPEN_SECONDS = 30.0
#: Listing every run that ever ended is dear, and what is found so is rare: Redis lost its last second.
_RESTORE_ENDED_SECONDS = 900.0
_LEFTOVERS_SECONDS = 60.0


class Scheduler:
    """Rounds of care while it leads."""

    def __init__(self, backend: Backend, lease_seconds: float, heart: Heartbeat | None = None) -> None:
        self._backend = backend
        self._heart = heart or Heartbeat()
        self._lease_seconds = lease_seconds
        self._period_seconds = min(_ROUND_SECONDS, lease_seconds / 4)
        self._care = Care(backend, lease_seconds)
        self._leftovers = Leftovers(backend)
        self._id = f"{socket.gethostname()}-{os.getpid()} {__version__}"  # who leads, and in which version
        self._epoch = ""  #: of Redis, as it was last seen
        self._looks_since = 0.0  #: by the clock of care; since Redis was last found empty, if that is later
        self._looked_at = time.monotonic()
        self._was_away = False  #: Redis was, in the round before
        self._done_at: dict[str, float] = {}  #: when each step was, since Redis was last found empty
        self._restoring = threading.Thread()  #: the last one that filled Redis

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        told = threading.Event()
        set_on_signals(told)
        self._heart.begin()
        log.info("scheduler_started", id=self._id)
        while not told.wait(self._period_seconds):
            self._heart.beat()
            self.round()

    def round(self) -> None:
        """One round. A Redis that is away ends it; then nobody is judged for a while."""
        try:
            leads = self._backend.state.lead(self._id, _LEAD_SECONDS)
            self._notice_absence()  # first: what begins with a loss begins when Redis is back
            self._notice_loss()
            if leads:
                self._look_after()
            else:
                self._care.look()  # whoever takes over knows then who was silent, and for how long
                self._looked_at = time.monotonic()
        except Unavailable as exc:
            log.warning("round_skipped", error=exc.message)
            self._was_away = True

    def _look_after(self) -> None:
        self._care.end_lost_attempts()
        self._looked_at = time.monotonic()
        if self._care.clock - self._looks_since >= patience(self._lease_seconds):
            self._restore_aside()  # what workers still execute they have put back by now
        # It reads every message there is.
        self._when_due(self._done_at, "send", self._care.send_missing_messages, self._lease_seconds)

    def _restore_aside(self) -> None:
        """In a thread of its own: it may take minutes, and lost runs should not wait for that."""
        if not self._restoring.is_alive():
            self._restoring = threading.Thread(target=self._restore, args=(self._done_at,), daemon=True)
            self._restoring.start()

    def _restore(self, done_at: dict[str, float]) -> None:
        self._when_due(done_at, "open", self._care.restore_open, _RESTORE_OPEN_SECONDS)
        if "open" in done_at and done_at is self._done_at:  # Redis has not been emptied again since
            self._when_due(done_at, "ended", self._care.restore_ended, _RESTORE_ENDED_SECONDS)
            self._when_due(done_at, "leftovers", self._leftovers.delete_some, _LEFTOVERS_SECONDS)

    def _notice_loss(self) -> None:
        """Redis may have lost its data since we last looked, or we look for the first time."""
        epoch = self._backend.state.epoch()
        if epoch == self._epoch:
            return
        if self._epoch:
            log.warning("redis_is_empty", hint="It is filled again from the object store.")
        self._epoch, self._done_at = epoch, {}
        self._care.begin_anew()
        self._looks_since = self._care.clock

    def _notice_absence(self) -> None:
        """Redis, this process or the whole machine may have stood still."""
        away_seconds = time.monotonic() - self._looked_at
        if self._was_away or away_seconds > 2 * self._period_seconds + 2.0:
            self._care.was_away(away_seconds)
        self._was_away = False
        self._looked_at = time.monotonic()  # told: a round that fails from here on must not tell it again

    def _when_due(
        self, done_at: dict[str, float], name: str, step: Callable[[], int], every_seconds: float
    ) -> None:
        """A step, if it is due. A store may be away; the other steps go on."""
        if name in done_at and time.monotonic() - done_at[name] < every_seconds:
            return
        try:
            step()
            done_at[name] = time.monotonic()
        except Unavailable as exc:
            log.warning("step_skipped", step=name, error=exc.message)
