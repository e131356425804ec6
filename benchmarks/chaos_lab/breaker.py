"""Breaks a running platform at random, from a seed, and mends what does not mend itself."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import psutil
import redis

from chaos_lab.proxy import (
    ALTERING,
    BROKEN,
    DEAF,
    FORBIDDEN,
    FORGETFUL,
    GONE,
    HALVES,
    SLOW,
    SLOW_DOWN,
    Kind,
    Proxy,
    some,
)
from fitq.local.stack import Stack


@dataclass(frozen=True)
class Absence:
    """A time during which a process could not hold anything."""

    pid: int
    began: float  #: seconds since 1970
    ended: float | None  #: None: it never came back


#: What has a known SHA-256, which is all that may be told apart from what was kept.
_ALTERED = [replace(ALTERING, containing=kept) for kept in (b"/snapshots/", b"/outputs/")]
#: How often each fault is chosen, relative to the others.
WEIGHTS = {
    "kill worker": 14,
    "terminate worker": 4,
    "pause worker past its lease": 5,
    "pause worker for a moment": 6,
    "kill warm parent": 6,
    "kill api": 5,
    "terminate api": 2,
    "pause api": 3,
    "kill scheduler": 5,
    "pause scheduler": 3,
    "kill scoring": 2,
    "kill redis": 3,
    "pause redis": 3,
    "flush redis": 3,
    "kill objects": 1,
    "pause objects": 2,
    "redis through a bad line": 9,
    "objects through a bad line": 12,
}


class Breaker:
    """One fault after another, until it is told to stop."""

    def __init__(
        self,
        stack: Stack,
        to_redis: Proxy,
        to_objects: Proxy,
        seed: int,
        *,
        per_minute: float,
        lose_disk: Callable[[str], None],
    ) -> None:
        """`lose_disk`: called with the name of a worker that was killed."""
        self.done: Counter[str] = Counter()
        self.absences: list[Absence] = []
        self.redis_losses: list[float] = []  #: when it was emptied or killed, in seconds since 1970
        self.told: list[str] = []  #: what was done, in order
        self._stack, self._to_redis, self._to_objects = stack, to_redis, to_objects
        self._lose_disk = lose_disk
        self._random = random.Random(seed)
        self._per_minute = per_minute
        self._over = threading.Event()
        self._mending: list[tuple[float, Callable[[], None]]] = []
        self._thread = threading.Thread(target=self._break_on, daemon=True)
        self._began = time.time()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more faults, and everything mended."""
        self._over.set()
        self._thread.join(60)
        self._mend(everything=True)

    def _break_on(self) -> None:
        due = time.monotonic() + self._pause()
        while not self._over.wait(0.1):
            self._mend()
            if time.monotonic() >= due:
                self._break_one()
                due = time.monotonic() + self._pause()

    def _pause(self) -> float:
        return self._random.expovariate(self._per_minute / 60)

    def _mend(self, *, everything: bool = False) -> None:
        ready = [m for m in self._mending if everything or m[0] <= time.monotonic()]
        self._mending = [m for m in self._mending if m not in ready]
        for _, mend in ready:
            mend()

    def _later(self, seconds: float, mend: Callable[[], None]) -> None:
        self._mending.append((time.monotonic() + seconds, mend))

    def _break_one(self) -> None:
        name = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        verb, _, what = name.partition(" ")
        with contextlib.suppress(psutil.Error, ProcessLookupError, redis.RedisError):
            said = self._do(verb, what)
            if said:
                self.done[name] += 1
                self.told.append(f"{time.time() - self._began:8.1f} {name}: {said}")

    def _do(self, verb: str, what: str) -> str:
        seconds = self._random.uniform(1, 4)
        if what == "through a bad line":
            return self._bad_line(verb, self._random.uniform(2, 8))
        if verb == "flush":
            return self._flush()
        pid = self._pid_of(what)
        if pid is None:
            return ""
        if verb == "pause":
            if "lease" in what:
                seconds = self._stack.settings.lease_seconds * self._random.uniform(1.2, 2)
            return self._freeze(pid, seconds)
        number = signal.SIGKILL if verb == "kill" else signal.SIGTERM
        [name] = [p.name for p in self._stack.programs if p.process.pid == pid] or [""]
        os.kill(pid, number)
        if what == "worker" and verb == "kill":
            self._lose_disk(name)
        if what == "redis":
            self.redis_losses.append(time.time())
        self.absences.append(Absence(pid, time.time(), None))
        return f"pid {pid}"

    def _freeze(self, pid: int, seconds: float) -> str:
        os.kill(pid, signal.SIGSTOP)
        began = time.time()

        def wake() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self.absences.append(Absence(pid, began, time.time()))

        self._later(seconds, wake)
        return f"pid {pid} for {seconds:.1f} s"

    def _flush(self) -> str:
        with redis.Redis(
            port=self._to_redis.target_port, password=self._redis_password(), socket_timeout=3
        ) as client:
            try:
                client.flushall()
            finally:  # also if the answer does not come
                self.redis_losses.append(time.time())
        return "everything"

    def _redis_password(self) -> str:
        return self._stack.settings.redis_url.split("@")[0].rpartition(":")[2]

    def _bad_line(self, which: str, seconds: float) -> str:
        proxy = self._to_redis if which == "redis" else self._to_objects
        if proxy.fault is not None:
            return ""
        for_both = [some(SLOW, 0.5), GONE, DEAF, some(FORGETFUL, 0.3), some(HALVES, 0.3), some(GONE, 0.3)]
        for_objects = [some(SLOW_DOWN, 0.5), some(BROKEN, 0.3), some(FORBIDDEN, 0.3), SLOW_DOWN, *_ALTERED]
        fault = self._random.choice(for_both + (for_objects if proxy is self._to_objects else []))
        proxy.fault = fault

        def mend() -> None:
            proxy.fault = None

        self._later(seconds, mend)
        kind = f"{fault.kind.name} {fault.code}" if fault.kind is Kind.ANSWER else fault.kind.name
        return f"{kind} of {fault.share:.0%} for {seconds:.1f} s"

    def _pid_of(self, what: str) -> int | None:
        """Of a living process that the name means; of a random one where there are several."""
        if what == "warm parent":
            found = [p.pid for p in self._warm_parents()]
        else:
            noun = {"redis": "valkey", "objects": "seaweedfs"}.get(what.split()[0], what.split()[0])
            found = [
                p.process.pid
                for p in self._stack.programs
                if p.name.startswith(noun) and p.process.is_running and p.process.pid
            ]
        return self._random.choice(sorted(found)) if found else None

    def _warm_parents(self) -> list[psutil.Process]:
        workers = [
            psutil.Process(p.process.pid) for p in self._stack.programs if p.pool and p.process.is_running
        ]
        return [c for w in workers for c in w.children() if "warm.py" in " ".join(c.cmdline())]
