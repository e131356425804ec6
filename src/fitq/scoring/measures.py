"""What the scoring program counts, in Prometheus' words."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Measures:
    """Counters of one app; two apps in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fitq_scoring_requests", "Answers given", ["model", "status"], registry=self._registry
        )
        self._rows = Counter("fitq_scoring_rows", "Rows predicted", ["model"], registry=self._registry)
        self._seconds = Histogram(
            "fitq_scoring_seconds", "Request in to answer out", ["model"],
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip

    def answered(self, model: str, status: int, rows: int, seconds: float) -> None:
        """Count one answer. `model` is the name of one that exists, else empty: labels stay few."""
        self._requests.labels(model, str(status)).inc()
        if rows:
            self._rows.labels(model).inc(rows)
            self._seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """The scrape format."""
        return generate_latest(self._registry)
