"""Runs: the list, one run with all there is to know, and the button that cancels it."""

from __future__ import annotations

from itertools import accumulate
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fitq import child_runs, runs
from fitq.dashboard import commands, run_rows
from fitq.dashboard.charts import Chart, View, drawn
from fitq.dashboard.log_tail import log_tail
from fitq.dashboard.paging import page_number, sliced
from fitq.dashboard.site import Site, site_of
from fitq.errors import InvalidRequest
from fitq.records import ArtifactRecord, MetricPoint, ModelRecord, RunRecord, RunStatus

_PAGE_RUNS = 25
_SHOWN_METRICS, _SHOWN_ARTIFACTS, _SHOWN_CHILDREN = 6, 20, 50
_PATH_CHARACTERS, _LOOKED_AT_MODELS = 5000, 50
_PAGE_METRICS, _PAGE_ARTIFACTS = 12, 40


def listing(request: Request) -> Response:
    """`/runs?experiment=&status=&cursor=`."""
    site, query = site_of(request), request.query_params
    experiment, status = query.get("experiment") or None, _status(query.get("status"))
    found = runs.page(
        site.backend, experiment=experiment, status=status, limit=_PAGE_RUNS, cursor=query.get("cursor")
    )
    kept = {"experiment": experiment or "", "status": status or ""}
    following = urlencode({**kept, "cursor": found.next_cursor}) if found.next_cursor else ""
    return site.render(
        request,
        "runs.html",
        rows=run_rows.rows(site, found.runs),
        experiments=site.backend.state.list_experiments()[:200],
        statuses=list(RunStatus),
        chosen=kept,
        newest=urlencode(kept) if query.get("cursor") else "",
        following=following,
    )


def _status(text: str | None) -> RunStatus | None:
    try:
        return RunStatus(text) if text else None
    except ValueError:
        raise InvalidRequest(
            f"{text!r} is not a status.", hint=f"It is one of {', '.join(RunStatus)}.", at="status"
        ) from None


def show(request: Request) -> Response:
    """`/runs/{id}`."""
    site = site_of(request)
    run = runs.find(site.backend, request.path_params["id"])
    artifacts = runs.artifacts(site.backend, run)
    metrics = runs.metrics(site.backend, run)
    return site.render(
        request,
        "run.html",
        run=run,
        row=run_rows.row(site, run),
        metrics=_views(metrics, 0, _SHOWN_METRICS),
        metric_count=len(metrics),
        artifacts=_few(artifacts),
        artifact_count=len(artifacts),
        register=commands.register(run, artifacts) if run.status.is_final else "",
        models=_models_of(site, run),
        children=run_rows.rows(site, child_runs.of(site.backend, run)[:_SHOWN_CHILDREN]),
        log=log_tail(site.backend, run),
    )


def _few(artifacts: list[ArtifactRecord]) -> list[ArtifactRecord]:
    """The first of them, fewer when their paths are very long: addresses cannot be cut."""
    lengths = accumulate(len(quote(a.path)) for a in artifacts[:_SHOWN_ARTIFACTS])
    return [a for a, length in zip(artifacts, lengths, strict=False) if length < _PATH_CHARACTERS]


def _models_of(site: Site, run: RunRecord) -> list[ModelRecord]:
    """Models whose newest version came from this run, as far as a look at each is cheap."""
    if not run.status.is_final or len(site.catalog.model_names()) > _LOOKED_AT_MODELS:
        return []
    return [s.latest for s in site.catalog.summaries() if s.latest.run == run.id][:5]


def _views(metrics: dict[str, list[MetricPoint]], start: int, count: int) -> list[View]:
    """Charts first on a run's own page: they say most."""
    views = [drawn(name, points) for name, points in list(metrics.items())[: 10 * count or None]]
    return sorted(views, key=lambda v: not isinstance(v, Chart))[start : start + count]


def all_metrics(request: Request) -> Response:
    """`/runs/{id}/metrics?page=`: all of them, in the order they were first logged."""
    site, number = site_of(request), page_number(request)
    run = runs.find(site.backend, request.path_params["id"])
    metrics = list(runs.metrics(site.backend, run).items())
    part = sliced(metrics, number, _PAGE_METRICS)
    views = [drawn(name, points) for name, points in part.items]
    return site.render(request, "metrics.html", run=run, metrics=views, part=part)


def all_artifacts(request: Request) -> Response:
    """`/runs/{id}/artifacts?page=`."""
    site, number = site_of(request), page_number(request)
    run = runs.find(site.backend, request.path_params["id"])
    part = sliced(runs.artifacts(site.backend, run), number, _PAGE_ARTIFACTS)
    return site.render(request, "artifacts.html", run=run, artifacts=part.items, part=part)


def cancel(request: Request, form: dict[str, str]) -> Response:  # noqa: ARG001  # the address says it all
    """The cancel button."""
    run = runs.cancel(site_of(request).backend, request.path_params["id"])
    return RedirectResponse(f"/runs/{run.id}", 303)
