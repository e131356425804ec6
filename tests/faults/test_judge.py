"""The judge of the chaos benchmark finds what is planted: one that finds nothing proves nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from chaos_lab.breaker import Absence
from chaos_lab.evidence import Evidence, sha256
from chaos_lab.judge import judge, times_without_holder, wrong_in
from chaos_lab.load import Submitted

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
        "timeline": TIMELINE,
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
