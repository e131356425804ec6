"""What the scoring program counts, in Prometheus' words."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

#: Upper ends of the histogram's buckets, in seconds.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: Answers of one version of which percentiles are told.
_LATEST = 1000


class _Version:
    """The counts of one version of a model."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.rows = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_SECONDS) + 1)
        self.latest: deque[float] = deque(maxlen=_LATEST)


class Measures(Collector):
    """Counts of one app; two apps in one process do not mix.

    Plain numbers, made into metrics when they are read: counter objects cost too much per request.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._versions: dict[tuple[str, int], _Version] = {}

    def answered(self, model: str, version: int, status: int, rows: int, seconds: float) -> None:
        """Count one answer. `model` is the name of one that exists, else empty: labels stay few."""
        counts = self._versions.get((model, version))
        if counts is None:
            counts = self._versions[model, version] = _Version()
        counts.statuses[status] += 1
        if rows:
            counts.rows += rows
            counts.seconds += seconds
            counts.buckets[bisect_left(_SECONDS, seconds)] += 1
            counts.latest.append(seconds)

    def percentiles(self, model: str, version: int) -> dict[str, float | int]:
        """Milliseconds from request to answer, over the latest answers of a version."""
        counts = self._versions.get((model, version))
        latest = sorted(counts.latest) if counts else []
        ranks = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99} if latest else {}
        found = {name: round(latest[int(rank * (len(latest) - 1))] * 1000, 2) for name, rank in ranks.items()}
        return {"answers": len(latest), **found}

    def collect(self) -> Iterator[Metric]:
        """Called by the registry when metrics are read."""
        labels = ["model", "version"]
        requests = CounterMetricFamily("fitq_scoring_requests", "Answers given", labels=[*labels, "status"])
        rows = CounterMetricFamily("fitq_scoring_rows", "Rows predicted", labels=labels)
        seconds = HistogramMetricFamily("fitq_scoring_seconds", "Request in to answer out", labels=labels)
        for (model, version), counts in self._versions.items():
            named = [model, str(version) if version else ""]
            for status, count in counts.statuses.items():
                requests.add_metric([*named, str(status)], count)
            if counts.rows:
                rows.add_metric(named, counts.rows)
                seconds.add_metric(named, _cumulated(counts.buckets), counts.seconds)
        yield from (requests, rows, seconds)

    def text(self) -> bytes:
        """The scrape format."""
        return generate_latest(self._registry)


def _cumulated(buckets: list[int]) -> list[tuple[str, float]]:
    ends = [*(str(float(s)) for s in _SECONDS), "+Inf"]
    return [(end, sum(buckets[: i + 1])) for i, end in enumerate(ends)]
