"""One scheduler process. Several may run; the one that holds the leader's key works, the others wait."""

from __future__ import annotations

import os
import socket
import threading
import time

from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.scheduler.care import Care
from fitq.stopping import set_on_signals

log = get_logger(__name__)
_ROUND_SECONDS = 3.0  #: at most; a quarter of a lease when that is less
_LEAD_SECONDS = 10.0
#: Listing the bucket is dear, and what it would find is rare.
_RESTORE_EVERY_SECONDS = 60.0


class Scheduler:
    """Rounds of care while it leads."""

    def __init__(self, backend: Backend, lease_seconds: float) -> None:
        self._backend = backend
        self._lease_seconds = lease_seconds
        self._care = Care(backend, lease_seconds)
        self._id = f"{socket.gethostname()}-{os.getpid()}"
        self._restored_at: float | None = None
        self._sent_at = 0.0
        self._patient_until = 0.0

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        told = threading.Event()
        set_on_signals(told)
        log.info("scheduler_started", id=self._id)
        self.be_patient()
        while not told.wait(min(_ROUND_SECONDS, self._lease_seconds / 4)):
            self.round()

    def be_patient(self) -> None:
        """Judge nobody until workers have had the time to renew: Redis or we were away."""
        self._patient_until = time.monotonic() + self._lease_seconds

    def round(self) -> None:
        """One round, if it leads. A store that is away ends it, and everything waits."""
        try:
            if self._backend.state.lead(self._id, _LEAD_SECONDS):
                self._look_after()
        except Unavailable as exc:
            log.warning("round_skipped", error=exc.message)
            self.be_patient()

    def _look_after(self) -> None:
        if self._backend.state.is_new_epoch():
            log.warning("redis_is_empty", hint="It is filled again from the object store.")
            self.be_patient()
            self._restored_at = None
        if time.monotonic() < self._patient_until:
            return
        self._care.end_lost_attempts()
        if self._restored_at is None or time.monotonic() - self._restored_at > _RESTORE_EVERY_SECONDS:
            self._care.restore()
            self._restored_at = time.monotonic()
        if time.monotonic() - self._sent_at > self._lease_seconds:  # it reads every message there is
            self._care.send_missing_messages()
            self._sent_at = time.monotonic()
