"""What the scoring program has at the moment: models, memory, who waits. Read when metrics are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fitq.scorer.scorers import Scorers
from fitq.scoring.models import Models

Labels = Callable[[tuple[str, int]], list[str]]


class Levels(Collector):
    """Tells of models and scorers as they are."""

    def __init__(self, models: Models, scorers: Scorers, labels: Labels) -> None:
        """`labels` says as whom a version of a model is told, so that there are not too many."""
        self._models, self._scorers, self._labels = models, scorers, labels

    def collect(self) -> Iterator[Metric]:
        """Called by the registry when metrics are read."""
        scorers = list(self._scorers.all.values())
        waiting, memory = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for served in self._models.served:
            if served.loaded_at:
                name = tuple(self._labels((served.record.name, served.record.version)))
                waiting[name] += served.waiting
                memory[name] += served.memory_bytes
        yield _gauge("fitq_scoring_waiting", "Requests that wait for a call of their model", waiting)
        yield _gauge("fitq_scoring_model_memory_bytes", "Memory that loaded models take, about", memory)
        yield GaugeMetricFamily(
            "fitq_scoring_models_loaded", "Models in memory", sum(len(s.loaded_bytes) for s in scorers)
        )
        calls = sum(s.waiting for s in scorers)
        yield GaugeMetricFamily("fitq_scoring_calls", "Calls of models that scorers have", calls)
        running = sum(1 for s in scorers if s.pid is not None)
        yield GaugeMetricFamily("fitq_scoring_scorers", "Scorer processes that run", running)
        starts = sum(s.starts for s in scorers)
        yield CounterMetricFamily("fitq_scoring_scorer_starts", "Scorer processes that were started", starts)
        evictions = sum(s.evictions for s in scorers)
        yield CounterMetricFamily(
            "fitq_scoring_model_evictions", "Models unloaded to make room for others", evictions
        )
        loads = CounterMetricFamily(
            "fitq_scoring_model_loads", "Models loaded, and failed attempts", labels=["outcome"]
        )
        loads.add_metric(["loaded"], sum(s.loads for s in scorers))
        loads.add_metric(["failed"], sum(s.failed_loads for s in scorers))
        yield loads


def _gauge(name: str, told: str, values: Counter[tuple[str, ...]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=["model", "version"])
    for labels, value in values.items():
        family.add_metric(list(labels), value)
    return family
