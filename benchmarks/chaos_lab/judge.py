"""Whether what is there keeps the promises. Pure: evidence in, violations out."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from chaos_lab.evidence import Evidence, sha256
from chaos_lab.load import ENDS, FINAL, Cancel
from fitq.records import TRANSITIONS, RunStatus

HELD = {"Preparing", "Running", "Finalizing"}
#: Why a run may get another attempt. That its script failed is not among them.
_NEXT_ATTEMPT = re.compile(
    r"worker \S+ was lost$|the worker was stopped$|the worker lost a store: |.*could not confine the run"
)
#: A FLUSHALL that was sent to a paused Redis, and not waited for, takes effect so much later at most.
_LATE_SECONDS = 10.0


class Violation(NamedTuple):
    """A promise that was broken."""

    kind: str  #: lost, doubled, stuck, mixed, disobeyed, retried, or what was left behind
    what: str


def judge(evidence: Evidence, *, longest_without_holder: float = 45.0) -> list[Violation]:
    """Every broken promise; empty when all were kept."""
    rules = (
        *(_answers, _every_run_ended, _cancels, _one_run_per_key, _sides_agree),
        *(_timelines, _attempts, _files, _models, nothing_left),
    )
    found = [violation for rule in rules for violation in rule(evidence)]
    for run, seconds in times_without_holder(evidence):
        if seconds > longest_without_holder:
            found.append(Violation("stuck", f"{run} was without a holder for {seconds:.1f} s"))
    return found


def _answers(e: Evidence) -> Iterator[Violation]:
    for said in e.answered:
        kind, _, what = said.partition(": ")
        yield Violation(kind, what)


def _every_run_ended(e: Evidence) -> Iterator[Violation]:
    """A run that was answered with 202 is found, and ended as its kind has to."""
    for submitted in e.accepted:
        run = e.runs.get(submitted.id)
        if run is None:
            yield Violation("lost", f"{submitted.id} was accepted and is not listed")
        elif run["status"] not in FINAL:
            yield Violation("stuck", f"{submitted.id} is {run['status']}")
        elif run["status"] not in ENDS.get(submitted.kind, {"Completed"}):
            yield Violation(
                "lost", f"{submitted.id} ({submitted.kind}) ended {run['status']}: {run['failure']}"
            )
        elif submitted.kind == "failing" and run["failure"]["exit_code"] != 3:
            yield Violation("lost", f"{submitted.id} failed for another reason: {run['failure']}")


def _cancels(e: Evidence) -> Iterator[Violation]:
    """A cancel that was answered with 202 holds."""
    for submitted in e.accepted:
        run = e.runs.get(submitted.id)
        if run is None or submitted.cancel is None or run["status"] not in FINAL:
            continue
        if said := _wrong_with(submitted.cancel, run, e.redis_losses):
            yield Violation("disobeyed", f"{submitted.id} {said}")


def _wrong_with(cancel: Cancel, run: dict[str, Any], redis_losses: list[float]) -> str:
    """What became of a cancel, if that was not allowed; else empty."""
    if not cancel.status:
        return "had ended otherwise, and is Canceled" if run["status"] == "Canceled" else ""
    if run["status"] == "Canceled":
        return ""
    if cancel.status == "Canceled":  # it stood in the object store
        return f"was Canceled, and is {run['status']}"
    if any(loss > cancel.asked_at - _LATE_SECONDS for loss in redis_losses):
        return ""  # that it was asked stands in Redis alone
    kept_since = [at for at in _times(run["timeline"], "Finalizing")[-1:] if at <= cancel.answered_at]
    return "" if kept_since else f"was to be canceled while {cancel.status}, and is {run['status']}"


def _one_run_per_key(e: Evidence) -> Iterator[Violation]:
    counts = Counter(run["tags"].get("key") for run in {**e.redis_runs, **e.runs}.values())
    for key, count in counts.items():
        if count > 1:
            yield Violation("doubled", f"{count} runs of the request with key {key}")


def _sides_agree(e: Evidence) -> Iterator[Violation]:
    """The final record is the truth; the API and Redis say the same, and every index too."""
    for run_id, run in e.runs.items():
        final = e.finals.get(run_id, {}).get("run", {})
        for name, other in (("bucket", final), ("Redis", e.redis_runs.get(run_id, {}))):
            if (other.get("status"), other.get("attempt")) != (run["status"], run["attempt"]):
                yield Violation(
                    "disagreed",
                    f"{run_id}: API {run['status']} {run['attempt']}, "
                    f"{name} {other.get('status')} {other.get('attempt')}",
                )
        listed = {status for status, members in e.indexes.items() if run_id in members}
        if listed != {run["status"]}:
            yield Violation("disagreed", f"{run_id} is {run['status']} and listed under {sorted(listed)}")
    queued = {run_id for run_id, run in e.redis_runs.items() if run["status"] == "Queued"}
    if queued != e.indexes.get("Queued", set()):
        yield Violation("disagreed", "the queued runs are not those that are listed as queued")


def _timelines(e: Evidence) -> Iterator[Violation]:
    for run_id, run in e.runs.items():
        if said := wrong_in(run["timeline"], run["status"]):
            yield Violation("timeline", f"{run_id}: {said}")


def wrong_in(timeline: list[dict[str, Any]], status: str) -> str:
    """What is wrong with a timeline; empty if it is a path with attempts 1, 2, 3 …"""
    steps = [entry["status"] for entry in timeline]
    if not steps or steps[0] != "Queued" or steps[-1] != status:
        return f"goes {steps} and the run is {status}"
    for before, after in itertools.pairwise(steps):
        if RunStatus(after) not in TRANSITIONS[RunStatus(before)]:
            return f"goes from {before} to {after}"
    attempts = [entry["attempt"] for entry in timeline if entry["status"] == "Preparing"]
    if attempts != list(range(1, len(attempts) + 1)):
        return f"counts attempts {attempts}"
    return ""


def _attempts(e: Evidence) -> Iterator[Violation]:
    """Each attempt started the script at most once, and followed on one that was lost or handed back."""
    for run_id, run in e.runs.items():
        starts, running = len(_starts(e, run_id)), len(_times(run["timeline"], "Running"))
        if starts > running:
            yield Violation("doubled", f"{run_id}: {starts} starts in {running} attempts that were Running")
        again = [entry["reason"] for entry in run["timeline"][1:] if entry["status"] == "Queued"]
        if unknown := [reason for reason in again if not _NEXT_ATTEMPT.match(reason)]:
            yield Violation("retried", f"{run_id}: started again because of {unknown}")
        lost = sum(reason.endswith(" was lost") for reason in again)
        if lost != run["losses"]:
            yield Violation("timeline", f"{run_id}: {run['losses']} losses are counted, and {lost} told")


def _starts(e: Evidence, run_id: str) -> list[str]:
    """What the script printed first, each time that it was started."""
    log = e.contents.get(run_id, {}).get("user_logs/std_log.txt", b"").decode(errors="replace")
    return re.findall(r"^start \w+$", log, re.MULTILINE)


def _times(timeline: list[dict[str, Any]], status: str) -> list[float]:
    """When a run got into a status, each time, in seconds since 1970."""
    return [_seconds(entry["at"]) for entry in timeline if entry["status"] == status]


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _files(e: Evidence) -> Iterator[Violation]:
    """Bytes are those that were recorded, and all of one start."""
    for run_id, run in e.runs.items():
        marks = set()
        for artifact in e.artifacts.get(run_id, []):
            data = e.contents[run_id].get(artifact["path"], b"")
            if sha256(data) != artifact["sha256"]:
                yield Violation("mixed", f"{run_id}: {artifact['path']} is not what was recorded")
            if artifact["path"].startswith("outputs/part-"):
                marks |= set(data.decode(errors="replace").splitlines())
        if len(marks) > 1:
            yield Violation("mixed", f"{run_id}: files of {sorted(marks)}")
        last = _starts(e, run_id)[-1:]
        if marks and list(marks) != last:
            yield Violation("mixed", f"{run_id}: files of {sorted(marks)}, log of {last}")
        if run["status"] == "Completed" and not marks:
            yield Violation("lost", f"{run_id} completed without its files")


def _models(e: Evidence) -> Iterator[Violation]:
    if sorted(e.model_versions) != list(range(1, len(e.model_versions) + 1)):
        yield Violation("models", f"versions are {sorted(e.model_versions)}")
    if twice := [v for v, count in Counter(e.registered).items() if count > 1]:
        yield Violation("models", f"versions {twice} were answered twice")
    if missing := set(e.registered) - e.model_versions.keys():
        yield Violation("models", f"versions {sorted(missing)} were answered and are not there")


def nothing_left(e: Evidence) -> list[Violation]:
    """What a run that has ended has left behind."""
    return list(_left(e))


def _left(e: Evidence) -> Iterator[Violation]:
    ended = {run_id for run_id, run in e.runs.items() if run["status"] in FINAL}
    for run_id in e.open_runs & ended:
        yield Violation("left", f"marker of {run_id}, which has ended")
    for key in sorted(e.redis_keys):
        kind, _, rest = key.partition(":")
        if kind == "run" and ":" in rest and rest.partition(":")[0] in ended:
            yield Violation("left", f"{key} in Redis")
    for lease in sorted(e.leases):
        yield Violation("left", f"lease {lease}")
    if e.messages:
        yield Violation("left", f"{e.messages} messages in the queue")
    for process in e.living:
        yield Violation("left", f"process of {process}")


def times_without_holder(e: Evidence) -> list[tuple[str, float]]:
    """(run, seconds) for every time that a run was held by a process which was not there."""
    absent = defaultdict(list)
    for absence in e.absences:
        absent[absence.pid].append(absence)
    found = []
    for run_id, run in e.runs.items():
        for worker, began, ended in _holdings(run["timeline"]):
            for absence in absent[int(worker.rpartition("-")[2] or 0)]:
                until = ended if absence.ended is None else min(ended, absence.ended)
                if began <= absence.began < until:
                    found.append((run_id, until - absence.began))
    return found


def _holdings(timeline: list[dict[str, Any]]) -> Iterator[tuple[str, float, float]]:
    """(worker, from, to) for every attempt."""
    times = [_seconds(entry["at"]) for entry in timeline]
    for n, entry in enumerate(timeline):
        if entry["status"] == "Preparing" and n + 1 < len(timeline):
            end = next(m for m in range(n + 1, len(timeline)) if timeline[m]["status"] not in HELD)
            yield entry["reason"], times[n], times[end]
