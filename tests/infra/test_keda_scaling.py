"""KEDA's published formula, fed with our pool metric: runs are submitted and executed by the real rules, and
jobs come as KEDA would start them. No job is ever ended by the scaler, no run is left waiting.

The formula (ScaledJob, strategy "default"): jobs to start = min(max, ceil(metric / target)) − jobs that are
not finished. Source: KEDA's documentation of ScaledJob. Its numbers, and the metric's name, are those of the
rendered ScaledJob; one of the traces was recorded.
"""

from __future__ import annotations

import functools
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from fitq import attempts, claims, final_records, pools, runs, submission
from fitq.backend import Backend
from fitq.records import FunctionRecord, RunRecord, RunRequest, RunStatus
from tests.infra.rendered import Object, named, render


class Scaler(NamedTuple):
    """What KEDA reads of a ScaledJob."""

    poll_seconds: int
    most: int
    target: float
    metric: str  #: field of our answer


@pytest.fixture(scope="module")
def scaler(tmp_path_factory: pytest.TempPathFactory) -> Scaler:
    spec: Object = named(render("prod", tmp_path_factory.mktemp("prod")), "ScaledJob")["worker-default"][
        "spec"
    ]
    assert spec.get("scalingStrategy", {"strategy": "default"}) == {"strategy": "default"}
    assert spec["minReplicaCount"] == 0
    (trigger,) = spec["triggers"]
    told = trigger["metadata"]
    return Scaler(
        spec["pollingInterval"], spec["maxReplicaCount"], float(told["targetValue"]), told["valueLocation"]
    )


@dataclass
class Job:
    """A one-shot worker: starts late, takes one run or none, ends."""

    ready_at: int
    ends_at: int = -1
    run: RunRecord | None = None


@dataclass
class Cluster:
    """Jobs of one pool, second by second."""

    backend: Backend
    scaler: Scaler
    dice: random.Random
    seconds: dict[str, int] = field(default_factory=dict)  #: run → how long it takes
    now: int = 0
    jobs: list[Job] = field(default_factory=list)
    started: int = 0
    idle: int = 0
    most_at_once: int = 0

    def scale(self) -> None:
        metric = getattr(pools.find_pool(self.backend, "default"), self.scaler.metric)
        missing = min(self.scaler.most, math.ceil(metric / self.scaler.target)) - len(self.jobs)
        for _ in range(max(0, missing)):  # the formula never ends a job
            self.jobs.append(Job(ready_at=self.now + self.dice.randint(1, 40)))
            self.started += 1
        self.most_at_once = max(self.most_at_once, len(self.jobs))

    def submit(self, seconds: int) -> None:
        run = submission.submit(self.backend, RunRequest(function="fit"))
        self.seconds[run.id] = seconds

    def work(self) -> None:
        for job in list(self.jobs):
            if job.run is None and self.now >= job.ready_at:
                self._take(job)
            elif job.run is not None and self.now >= job.ends_at:
                self._finish(job)

    def _take(self, job: Job) -> None:
        queued = self.backend.state.list_runs(status=RunStatus.QUEUED, newest_first=False)
        if not queued:
            self.idle += 1
            self.jobs.remove(job)
            return
        job.run = claims.claim(self.backend, queued[0].id, "job", 15.0)
        job.ends_at = self.now + self.seconds[queued[0].id]

    def _finish(self, job: Job) -> None:
        assert job.run is not None
        for status in (RunStatus.RUNNING, RunStatus.FINALIZING):
            job.run = attempts.change(self.backend, job.run, functools.partial(attempts.step, status=status))
        final_records.finish(self.backend, job.run, RunStatus.COMPLETED)
        self.jobs.remove(job)


#: Name → for each run the second in which it is submitted, and how long one takes on average.
MADE: dict[str, tuple[list[int], int]] = {
    "a burst": ([3] * 60, 30),
    "one now and then": (list(range(0, 600, 70)), 20),
    "short ones, many": (sorted([*range(0, 200, 5)] * 5), 2),
    "long ones behind each other": ([0] * 5 + [100] * 25 + [130] * 25, 120),
}
#: Runs of a platform that was started with `fitq up --pool default=0..4`: when each was submitted after the
#: first, and for how long a worker had it, in seconds.
RECORDED = Path(__file__).with_name("recorded_burst.json")
TRACES = [*MADE, "a recorded burst"]


def trace_of(name: str, dice: random.Random) -> list[tuple[int, int]]:
    """For each run the second in which it is submitted, and how many it takes."""
    if name in MADE:
        arrivals, seconds = MADE[name]
        return [(at, dice.randint(1, 2 * seconds)) for at in arrivals]
    recorded = json.loads(RECORDED.read_text())["runs"]
    assert len(recorded) >= 40
    return [(int(at), max(1, math.ceil(seconds))) for at, seconds in recorded]


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("seed", range(3))
def test_every_run_gets_a_job_and_the_pool_goes_back_to_zero(
    memory_backend: Backend, scaler: Scaler, name: str, seed: int
) -> None:
    memory_backend.state.publish_functions("default", [FunctionRecord(name="fit", pool="default")])
    cluster = Cluster(memory_backend, scaler, random.Random(seed))
    trace = trace_of(name, cluster.dice)
    while cluster.now < 10_000:
        for arrives_at, seconds in trace:
            if arrives_at == cluster.now:
                cluster.submit(seconds)
        cluster.work()
        if cluster.now % scaler.poll_seconds == 0:
            cluster.scale()
        if (
            cluster.now > trace[-1][0]
            and not cluster.jobs
            and pools.find_pool(memory_backend, "default").demand == 0
        ):
            break
        cluster.now += 1
    submitted = list(cluster.seconds)
    assert len(submitted) == len(trace)
    assert {runs.find(memory_backend, i).status for i in submitted} == {RunStatus.COMPLETED}, "starved"
    assert all(runs.find(memory_backend, i).attempt == 1 for i in submitted), "a job was ended under a run"
    assert cluster.most_at_once <= scaler.most
    # A job that becomes ready after another one took its run ends at once. It must stay the exception.
    assert cluster.started == len(submitted) + cluster.idle
    assert cluster.idle <= len(submitted)
