"""Watching a run while its process lives: output and metrics on, cancel and limits in."""

from __future__ import annotations

import contextlib
import enum
import threading
import time
from typing import Any

import msgspec

from fitq.backend import Backend
from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.records import MetricPoint, Registration, RunRecord
from fitq.settings import Settings
from fitq.store.protocols import Writer
from fitq.worker import collect
from fitq.worker.folder import RunFolder
from fitq.worker.lines import LineReader, Said, metric_of, parse_lines
from fitq.worker.process import RunProcess
from fitq.worker.std_log import StdLog
from fitq.worker.waiting import show_log

log = get_logger(__name__)
_TICK_SECONDS = 0.05  #: output is forwarded this often
_LOOK_SECONDS = 0.5  #: how often cancel, limits and the fence are looked at
_DISK_SECONDS = 2.0  #: how often its folder is measured
_UPLOAD_SECONDS = 5.0  #: how often changed files of ./logs are uploaded


class Ended(enum.Enum):
    """How the watching ended."""

    EXITED = enum.auto()
    CANCELED = enum.auto()
    TIMED_OUT = enum.auto()
    OUT_OF_MEMORY = enum.auto()
    OUT_OF_DISK = enum.auto()  #: its folder grew beyond what a run may take
    STOPPED = enum.auto()  #: this worker stops
    FENCED = enum.auto()  #: the run is no longer ours


class Watch:
    """One run's process from start to end."""

    def __init__(
        self,
        backend: Backend,
        run: RunRecord,
        folder: RunFolder,
        process: RunProcess,
        std_log: StdLog,
        settings: Settings,
        stopping: threading.Event,
    ) -> None:
        self._backend, self._run, self._folder = backend, run, folder
        self._settings, self._stopping = settings, stopping
        self.process, self.std_log = process, std_log
        self.metrics: list[MetricPoint] = []
        self.said = Said()
        self.registrations: list[Registration] = []  #: that the script asked for
        self.warnings: list[str] = []
        self.peak_memory_bytes = 0
        self.seconds = 0.0
        self._metric_lines = LineReader(folder.metrics, redaction=folder.redaction)
        self._property_lines = LineReader(folder.properties, redaction=folder.redaction)
        self._metrics_sent = 0
        self._bad_lines = 0
        self._looked_at = self._uploaded_at = time.monotonic()
        self._disk_looked_at = time.monotonic()
        self.disk_bytes = 0  #: that its folder took when it was last looked at
        self._uploaded: dict[str, tuple[int, int]] = {}

    def until_end(self) -> Ended:
        """Forward and look until the process ends or has to; no process of the run is left then."""
        try:
            ended = self._watch()
        except BaseException:  # whatever it is, no process outlives its watcher
            self.process.sweep()
            raise
        if ended is Ended.EXITED:
            self.seconds = self.process.seconds
            self.process.sweep(self.std_log.feed)
        else:
            self.process.terminate(self._settings.grace_seconds, self.std_log.feed)
            self.seconds = self.process.seconds
        self._drain()
        if ended is Ended.STOPPED:  # one that was canceled, now or before, is not handed back
            ended = self._told_to_end() or ended
        return ended

    def _watch(self) -> Ended:
        while True:
            self._take_output()
            if ended := self._why_to_end():
                return ended

    def _take_output(self) -> None:
        data = self.process.read(_TICK_SECONDS)
        if data:
            self.std_log.feed(data)
        else:
            self.std_log.feed(b"")  # a progress bar may be due
        self._read_lines()
        self._forward()

    def _read_lines(self) -> None:
        points, bad = parse_lines(self._metric_lines.read(), metric_of)
        self.metrics += points
        self._bad_lines += bad
        changes, bad = parse_lines(self._property_lines.read(), msgspec.json.decode)
        self._bad_lines += bad
        for change in changes:
            self._note_registration(change)
            self.said.add(change)

    def _note_registration(self, change: Any) -> None:
        if isinstance(change, dict) and "register" in change:
            try:
                self.registrations.append(msgspec.convert(change["register"], type=Registration))
            except msgspec.ValidationError as exc:
                self.warnings.append(f"A model was not registered: {exc}.")

    def _forward(self) -> None:
        """Show readers what is new; when Redis is away they see it later."""
        try:
            show_log(self._backend, self._run, self.std_log)
            if self._metrics_sent < len(self.metrics):
                self._forward_metrics()
        except Unavailable as exc:
            log.warning("live_output_delayed", run_id=self._run.id, error=exc.message)

    def _forward_metrics(self) -> None:
        new = self.metrics[self._metrics_sent :]
        writer = Writer(self._run.claim_id, self._metrics_sent)
        self._metrics_sent = self._backend.state.append_metrics(self._run.id, new, of=writer)

    def _why_to_end(self) -> Ended | None:
        if self.process.poll():
            # A script may end by itself after the kernel ended one of its processes.
            return self._ended_for_memory() if self.process.exit_code != 0 else Ended.EXITED
        if self._stopping.is_set():
            return Ended.STOPPED
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return None
        self._looked_at = time.monotonic()
        self._upload_logs()
        return self._limit_reached() or self._told_to_end()

    def _limit_reached(self) -> Ended | None:
        timeout, memory = self._run.timeout_seconds, self._run.resources.memory_bytes
        if timeout is not None and self.process.seconds > timeout:
            return Ended.TIMED_OUT
        if self._takes_too_much_disk():
            return Ended.OUT_OF_DISK
        if self._ended_for_memory() is Ended.OUT_OF_MEMORY:
            return Ended.OUT_OF_MEMORY
        if memory is not None:
            used = self.process.memory_bytes()
            self.peak_memory_bytes = max(self.peak_memory_bytes, used)
            return Ended.OUT_OF_MEMORY if used > memory else None
        return None

    def _takes_too_much_disk(self) -> bool:
        most = self._settings.run_disk_bytes
        if not most or time.monotonic() < self._disk_looked_at:
            return False
        began = time.monotonic()
        self.disk_bytes = collect.disk_bytes(self._folder.path)
        # A folder of very many files takes long to look at: then it is looked at less often.
        self._disk_looked_at = time.monotonic() + max(_DISK_SECONDS, 20 * (time.monotonic() - began))
        return self.disk_bytes > most

    def _ended_for_memory(self) -> Ended:
        """OUT_OF_MEMORY if the kernel ended a process of the run, EXITED if it did not."""
        group = self.process.group
        if not group.ended_for_memory:
            return Ended.EXITED
        self.peak_memory_bytes = max(self.peak_memory_bytes, group.peak_bytes)
        return Ended.OUT_OF_MEMORY

    def _told_to_end(self) -> Ended | None:
        try:
            current = self._backend.state.get_run(self._run.id)
        except Unavailable:
            return None  # it goes on; its end is decided in the object store
        if current is None:
            return None  # Redis lost its data; this worker puts the run back
        if (current.attempt_id, current.status) != (self._run.attempt_id, self._run.status):
            return Ended.FENCED
        return Ended.CANCELED if current.cancel_requested else None

    def _upload_logs(self) -> None:
        """Files below ./logs that changed since the last time."""
        if time.monotonic() - self._uploaded_at < _UPLOAD_SECONDS:
            return
        self._uploaded_at = time.monotonic()
        for name, path in collect.find_files(self._folder.code).files:
            if not name.startswith("logs/"):
                continue
            facts = path.lstat()
            seen = (facts.st_size, facts.st_mtime_ns)
            if self._uploaded.get(name) != seen:
                # Only a view of what goes on: when the store is away, finalizing keeps it anyway.
                with contextlib.suppress(Unavailable, OSError):
                    collect.keep_file(self._backend, self._run, name, path, patience_seconds=0)
                    self._uploaded[name] = seen

    def _drain(self) -> None:
        while True:
            before = self._metric_lines.position, self._property_lines.position
            self._read_lines()
            if (self._metric_lines.position, self._property_lines.position) == before:
                break
        self._forward()
        if self._bad_lines:
            self.warnings.append(f"{self._bad_lines} logged lines could not be read and were left out.")
        for what, lines in (("metrics", self._metric_lines), ("tags and properties", self._property_lines)):
            if lines.long_lines:
                self.warnings.append(f"{lines.long_lines} lines of {what} were too long and were left out.")
            if lines.is_full:
                self.warnings.append(f"There were too many {what}: only the first ones were kept.")
