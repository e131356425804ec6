"""KEDA's published formula, fed with our pool metric: runs are submitted and executed by the real rules, and
jobs come as KEDA would start them. No job is ever ended by the scaler, no run is left waiting.

The formula (ScaledJob, strategy "default"): jobs to start = min(max, ceil(metric / target)) − jobs that are
not finished. Source: KEDA's documentation of ScaledJob.
"""

from __future__ import annotations

import functools
import math
import random
from dataclasses import dataclass, field

import pytest

from fitq import attempts, pools, runs, submission
from fitq.backend import Backend
from fitq.records import FunctionRecord, RunRecord, RunRequest, RunStatus

POLL, MOST = 5, 20


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
    dice: random.Random
    now: int = 0
    jobs: list[Job] = field(default_factory=list)
    started: int = 0
    idle: int = 0
    most_at_once: int = 0

    def scale(self) -> None:
        demand = pools.find_pool(self.backend, "default").demand
        missing = min(MOST, math.ceil(demand / 1)) - len(self.jobs)
        for _ in range(max(0, missing)):  # the formula never ends a job
            self.jobs.append(Job(ready_at=self.now + self.dice.randint(1, 40)))
            self.started += 1
        self.most_at_once = max(self.most_at_once, len(self.jobs))

    def work(self, seconds: int) -> None:
        for job in list(self.jobs):
            if job.run is None and self.now >= job.ready_at:
                self._take(job, seconds)
            elif job.run is not None and self.now >= job.ends_at:
                self._finish(job)

    def _take(self, job: Job, seconds: int) -> None:
        queued = self.backend.state.list_runs(status=RunStatus.QUEUED, newest_first=False)
        if not queued:
            self.idle += 1
            self.jobs.remove(job)
            return
        job.run = attempts.claim(self.backend, queued[0].id, "job", 15.0)
        job.ends_at = self.now + self.dice.randint(1, 2 * seconds)

    def _finish(self, job: Job) -> None:
        assert job.run is not None
        for status in (RunStatus.RUNNING, RunStatus.FINALIZING):
            job.run = attempts.change(self.backend, job.run, functools.partial(attempts.step, status=status))
        attempts.finish(self.backend, job.run, RunStatus.COMPLETED)
        self.jobs.remove(job)


#: Name → runs submitted at second n, and how long one takes on average.
TRACES: dict[str, tuple[dict[int, int], int]] = {
    "a burst": ({3: 60}, 30),
    "one now and then": (dict.fromkeys(range(0, 600, 70), 1), 20),
    "short ones, many": (dict.fromkeys(range(0, 200, 5), 5), 2),
    "long ones behind each other": ({0: 5, 100: 25, 130: 25}, 120),
}


@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("seed", range(3))
def test_every_run_gets_a_job_and_the_pool_goes_back_to_zero(
    memory_backend: Backend, trace: str, seed: int
) -> None:
    arrivals, seconds = TRACES[trace]
    memory_backend.state.publish_functions("default", [FunctionRecord(name="fit", pool="default")])
    cluster = Cluster(memory_backend, random.Random(seed))
    submitted: list[str] = []
    while cluster.now < 10_000:
        for _ in range(arrivals.get(cluster.now, 0)):
            submitted.append(submission.submit(memory_backend, RunRequest(function="fit")).id)
        cluster.work(seconds)
        if cluster.now % POLL == 0:
            cluster.scale()
        if (
            cluster.now > max(arrivals)
            and not cluster.jobs
            and pools.find_pool(memory_backend, "default").demand == 0
        ):
            break
        cluster.now += 1
    assert {runs.find(memory_backend, i).status for i in submitted} == {RunStatus.COMPLETED}, "starved"
    assert all(runs.find(memory_backend, i).attempt == 1 for i in submitted), "a job was ended under a run"
    assert cluster.most_at_once <= MOST
    # A job that becomes ready after another one took its run ends at once. It must stay the exception.
    assert cluster.started == len(submitted) + cluster.idle
    assert cluster.idle <= len(submitted)
