"""The judge of the chaos benchmark finds what is planted: one that finds nothing proves nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from chaos_lab.breaker import Absence
from chaos_lab.evidence import Evidence, sha256
from chaos_lab.judge import judge, times_without_holder, wrong_in
from chaos_lab.load import Cancel, Submitted

from fitq.worker.doctor.diagnosis import not_confined

T0 = 1_800_000_000.0


def at(seconds: float) -> str:
    return f"2027-01-15T08:{int(seconds) // 60:02d}:{seconds % 60:06.3f}+00:00"


def step(status: str, seconds: float, attempt: int, reason: str = "") -> dict[str, Any]:
    return {"status": status, "at": at(seconds), "attempt": attempt, "reason": reason}


#: One lost attempt by process 11, then one that completed by process 12.
TIMELINE = [
    step("Queued", 0, 0), step("Preparing", 1, 1, "host-11"), step("Running", 2, 1),
    step("Queued", 22, 1, "worker host-11 was lost"), step("Preparing", 23, 2, "host-12"),
    step("Running", 24, 2), step("Finalizing", 30, 2), step("Completed", 31, 2),
]  # fmt: skip


def sound() -> Evidence:
    """One run, taken over once, that kept every promise."""
    contents = {
        "outputs/part-0.txt": b"start aa\n",
        "outputs/part-1.txt": b"start aa\n" * 9,
        "user_logs/std_log.txt": b"start bb\n[fitq] attempt 2\nstart aa\ndone\n",
    }
    run = {
        "id": "r-1", "status": "Completed", "attempt": 2, "tags": {"key": "k"}, "failure": None,
        "losses": 1, "timeline": TIMELINE,
    }  # fmt: skip
    return Evidence(
        accepted=[Submitted("r-1", "k", "short")],
        runs={"r-1": run},
        artifacts={"r-1": [{"path": path, "sha256": sha256(data)} for path, data in contents.items()]},
        contents={"r-1": contents},
        finals={"r-1": {"run": run}},
        redis_runs={"r-1": run},
        redis_keys={"run:r-1", "runs", "epoch"},
        indexes={"Completed": {"r-1"}},
        model_versions={1: "r-1"},
        registered=[1],
        absences=[Absence(11, T0 + 5, None)],
    )


def test_a_run_that_kept_every_promise_is_not_accused() -> None:
    assert judge(sound()) == []
    assert times_without_holder(sound()) == [("r-1", pytest.approx(17.0))]


def planted(**changes: Any) -> Callable[[Evidence], None]:
    """Each change is `attribute=function of its value`."""

    def plant(e: Evidence) -> None:
        for name, change in changes.items():
            change(getattr(e, name))

    return plant


def _second_run(runs: dict[str, Any]) -> None:
    runs["r-2"] = {**runs["r-1"], "id": "r-2"}


def _change_file(contents: dict[str, Any]) -> None:
    contents["r-1"]["outputs/part-0.txt"] = b"start bb\n"


def _file_of_another_attempt(e: Evidence) -> None:
    _change_file(e.contents)
    e.artifacts["r-1"][0]["sha256"] = sha256(b"start bb\n")


def _started_once_more(contents: dict[str, Any]) -> None:
    contents["r-1"]["user_logs/std_log.txt"] = b"start cc\nstart bb\n[fitq] attempt 2\nstart aa\ndone\n"


def _failed_and_tried_again(runs: dict[str, Any]) -> None:
    runs["r-1"]["timeline"][3]["reason"] = "exit code 3"
    runs["r-1"]["losses"] = 0


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("lost", planted(runs=lambda r: r.clear())),
        ("lost", planted(runs=lambda r: r["r-1"].update(status="Failed", failure={"kind": "killed"}))),
        ("stuck", planted(runs=lambda r: r["r-1"].update(status="Running"))),
        ("stuck", planted(absences=lambda a: a.append(Absence(11, T0 + 2, None)))),
        ("doubled", planted(redis_runs=_second_run)),
        ("doubled", planted(answered=lambda a: a.append("doubled: one key was answered with two runs"))),
        ("mixed", planted(contents=_change_file)),
        ("mixed", _file_of_another_attempt),
        (
            "disagreed",
            planted(finals=lambda f: f.update({"r-1": {"run": {"status": "Failed", "attempt": 2}}})),
        ),
        ("disagreed", planted(redis_runs=lambda r: r.clear())),
        ("disagreed", planted(indexes=lambda i: i.update({"Queued": {"r-1"}}))),
        ("timeline", planted(runs=lambda r: r["r-1"]["timeline"].pop(1))),
        ("timeline", planted(runs=lambda r: r["r-1"].update(losses=2))),
        ("doubled", planted(contents=_started_once_more)),
        ("retried", planted(runs=_failed_and_tried_again)),
        ("left", planted(open_runs=lambda o: o.add("r-1"))),
        ("left", planted(redis_keys=lambda k: k.add("run:r-1:log"))),
        ("left", planted(leases=lambda names: names.add("r-1|2"))),
        ("left", planted(living=lambda p: p.append("r-1: pid 7"))),
        ("models", planted(model_versions=lambda m: m.update({3: "r-1"}))),
        ("models", planted(registered=lambda r: r.append(1))),
    ],
)
def test_a_planted_violation_is_found(kind: str, plant: Callable[[Evidence], None]) -> None:
    evidence = copy.deepcopy(sound())
    plant(evidence)
    assert kind in {violation.kind for violation in judge(evidence, longest_without_holder=18)}


@pytest.mark.parametrize(
    "reason",
    [
        "the worker was stopped",
        "the worker lost a store: The object store does not answer: timed out",
        not_confined("host-11", "Landlock: EPERM").message,
    ],
)
def test_a_run_that_was_handed_back_is_not_accused(reason: str) -> None:
    evidence = copy.deepcopy(sound())
    evidence.runs["r-1"]["timeline"][3]["reason"] = reason
    evidence.runs["r-1"]["losses"] = 0
    assert judge(evidence) == []


def canceled(asked: float, answered: float, said: str, *, ended: str = "Completed") -> Evidence:
    """The sound run, which was Running from 24 s and Finalizing from 30 s, asked to be canceled."""
    evidence = sound()
    evidence.accepted = [Submitted("r-1", "k", "canceled", cancel=Cancel(T0 + asked, T0 + answered, said))]
    if ended != "Completed":
        evidence.runs["r-1"].update(status=ended, timeline=[*TIMELINE[:-1], step(ended, 31, 2)])
        evidence.indexes = {ended: {"r-1"}}
    return evidence


@pytest.mark.parametrize(
    ("evidence", "redis_loss"),
    [
        (canceled(25, 26, "Running", ended="Canceled"), None),
        (canceled(29, 31, "Running"), None),  # its outputs were being kept before that was answered
        (canceled(30.5, 30.6, "Finalizing"), None),
        (canceled(25, 26, "Running"), 27),  # Redis was killed or emptied after it was asked
        (canceled(32, 33, ""), None),  # 409: it had ended
    ],
)
def test_a_cancel_that_was_obeyed_as_far_as_it_could_be_is_no_violation(
    evidence: Evidence, redis_loss: float | None
) -> None:
    evidence.redis_losses = [] if redis_loss is None else [T0 + redis_loss]
    assert judge(evidence) == []


@pytest.mark.parametrize(
    ("evidence", "redis_loss"),
    [
        (canceled(25, 26, "Running"), None),
        (canceled(5, 6, "Running"), None),  # its worker was lost, and the next attempt went on
        (canceled(25, 26, "Running"), 12),  # Redis lost something long before
        (canceled(25, 26, "Canceled"), 27),  # what stands in the object store Redis cannot lose
        (canceled(32, 33, "", ended="Canceled"), None),
    ],
)
def test_a_cancel_that_was_forgotten_is_found(evidence: Evidence, redis_loss: float | None) -> None:
    evidence.redis_losses = [] if redis_loss is None else [T0 + redis_loss]
    assert {violation.kind for violation in judge(evidence)} == {"disobeyed"}


@pytest.mark.parametrize(
    ("timeline", "said"),
    [
        ([], "goes"),
        ([step("Preparing", 0, 1)], "goes"),
        ([step("Queued", 0, 0), step("Running", 1, 1)], "from Queued to Running"),
        ([*TIMELINE[:4], step("Preparing", 23, 3, "host-12"), *TIMELINE[5:]], "counts attempts"),
    ],
)
def test_a_timeline_that_is_no_path_is_found(timeline: list[dict[str, Any]], said: str) -> None:
    assert said in wrong_in(timeline, timeline[-1]["status"] if timeline else "Completed")


def test_time_without_a_holder_ends_when_a_paused_one_comes_back() -> None:
    evidence = sound()
    evidence.absences = [
        Absence(12, T0 + 25, T0 + 27),
        Absence(12, T0 + 40, None),
        Absence(99, T0 + 25, None),
    ]
    assert times_without_holder(evidence) == [("r-1", pytest.approx(2.0))]
