"""What the scoring program counts, in Prometheus' words.

Plain numbers, made into metrics when they are read: counter objects cost too much per request.

Labels stay few however many models there are: `LABELLED` versions have lines of their own, and all others
together are `model="(other)"`. A version that nobody asked for an hour gives its place to the next that is
asked for. What it had counted is then added to the others', so no sum ever goes down.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fitq.scoring.journal import Answered
from fitq.scoring.latest import Latest

#: Versions of models with lines of their own. With 23 lines each, one scrape has about 12,000 at most.
LABELLED = 500
OTHER = ("(other)", 0)
_IDLE_SECONDS = 3600.0
#: Versions of which percentiles are known, at most 8 kB each.
_REMEMBERED = 10_000
#: Upper ends of the histograms' buckets.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)

Version = tuple[str, int]


class Histogram:
    """How often a number was how large."""

    def __init__(self, ends: Sequence[float]) -> None:
        self._ends = ends
        self._counts = [0] * (len(ends) + 1)
        self._sum = 0.0

    def add(self, number: float) -> None:
        self._counts[bisect_left(self._ends, number)] += 1
        self._sum += number

    def add_all(self, other: Histogram) -> None:
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self._sum += other._sum

    def tell(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Add it to a metric, counts cumulated as Prometheus has them."""
        ends = [*(str(float(end)) for end in self._ends), "+Inf"]
        sums = [sum(self._counts[: i + 1]) for i in range(len(ends))]
        family.add_metric(labels, list(zip(ends, sums, strict=True)), self._sum)


class _Counts:
    """Of one version of a model."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.rows = 0
        self.seconds = Histogram(_SECONDS)
        self.asked = -math.inf

    def add_all(self, other: _Counts) -> None:
        self.statuses.update(other.statuses)
        self.rows += other.rows
        self.seconds.add_all(other.seconds)


class Measures(Collector):
    """Counts of one app; two apps in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._versions: dict[Version, _Counts] = {OTHER: _Counts()}
        self._next_look = 0.0  #: when some version may have been idle for long enough
        self._latest: OrderedDict[Version, Latest] = OrderedDict()
        self._rejections: Counter[str] = Counter()
        self._cold = Histogram(_SECONDS)
        self._call_requests, self._call_rows = Histogram(_REQUESTS), Histogram(_ROWS)

    def beside(self, collector: Collector) -> None:
        """Tell also what is not counted here."""
        self._registry.register(collector)

    def answered(self, answer: Answered) -> None:
        """Count one answer."""
        counts = self._of((answer.model, answer.version), answer.ended)
        counts.statuses[answer.status] += 1
        counts.asked = answer.ended
        if answer.reason:
            self._rejections[answer.reason] += 1
        if answer.rows:
            counts.rows += answer.rows
            counts.seconds.add(answer.ended - answer.began)
            self._remember(answer)
        if answer.cold_seconds is not None:
            self._cold.add(answer.cold_seconds)

    def called(self, requests: int, rows: int) -> None:
        """Count one call of a model."""
        self._call_requests.add(requests)
        self._call_rows.add(rows)

    def labels(self, version: Version) -> list[str]:
        """As whom a version is told: itself if it has a place, else the others."""
        name, number = version if version in self._versions else OTHER
        return [name, str(number) if number else ""]

    def latest(self, model: str, version: int) -> Latest:
        """The latest answers and cold starts of a version."""
        return self._latest.get((model, version)) or Latest()

    def _remember(self, answer: Answered) -> None:
        version = (answer.model, answer.version)
        if version in self._latest:
            self._latest.move_to_end(version)
        else:
            self._latest[version] = Latest()
            if len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)
        self._latest[version].add(answer.ended - answer.began, answer.cold_seconds)

    def _of(self, version: Version, now: float) -> _Counts:
        found = self._versions.get(version)
        if found is not None:
            return found
        if len(self._versions) > LABELLED and now >= self._next_look:
            self._free_places(now)
        if len(self._versions) > LABELLED:
            return self._versions[OTHER]
        return self._versions.setdefault(version, _Counts())

    def _free_places(self, now: float) -> None:
        for version, counts in list(self._versions.items()):
            if version != OTHER and counts.asked < now - _IDLE_SECONDS:
                self._versions[OTHER].add_all(self._versions.pop(version))
        asked = (counts.asked for version, counts in self._versions.items() if version != OTHER)
        self._next_look = min(asked, default=now) + _IDLE_SECONDS

    def collect(self) -> Iterator[Metric]:
        """Called by the registry when metrics are read."""
        labels = ["model", "version"]
        requests = CounterMetricFamily("fitq_scoring_requests", "Answers given", labels=[*labels, "status"])
        rows = CounterMetricFamily("fitq_scoring_rows", "Rows predicted", labels=labels)
        seconds = HistogramMetricFamily("fitq_scoring_seconds", "Request in to answer out", labels=labels)
        for version, counts in self._versions.items():
            named = self.labels(version)
            for status, count in counts.statuses.items():
                requests.add_metric([*named, str(status)], count)
            if counts.rows:
                rows.add_metric(named, counts.rows)
                counts.seconds.tell(seconds, named)
        yield from (requests, rows, seconds)
        rejections = CounterMetricFamily(
            "fitq_scoring_rejections", "Requests that were refused or failed", labels=["reason"]
        )
        for reason, count in self._rejections.items():
            rejections.add_metric([reason], count)
        yield rejections
        for name, told, histogram in (
            ("fitq_scoring_cold_start_seconds", "What first requests waited for their model", self._cold),
            ("fitq_scoring_batch_requests", "Requests that shared one call of a model", self._call_requests),
            ("fitq_scoring_batch_rows", "Rows of one call of a model", self._call_rows),
        ):
            family = HistogramMetricFamily(name, told)
            histogram.tell(family, [])
            yield family

    async def text(self) -> bytes:
        """The scrape format. Writing it takes longer than many predictions, so a thread does that."""
        return await asyncio.to_thread(generate_latest, _Moment(list(self._registry.collect())))


class _Moment(NamedTuple):
    """Every metric as it was at one moment."""

    metrics: list[Metric]

    def collect(self) -> Iterator[Metric]:
        return iter(self.metrics)
