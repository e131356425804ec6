"""The first page: what runs now, what ran last, which models answer, who works."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import pools, restoring, runs
from fitq.dashboard import run_rows
from fitq.dashboard.model_pages import newest_models
from fitq.dashboard.pool_pages import called_by_name
from fitq.dashboard.site import site_of
from fitq.records import RunStatus

_MOST = 8
_AT_WORK = (RunStatus.RUNNING, RunStatus.PREPARING, RunStatus.FINALIZING)


def show(request: Request) -> Response:
    """`/`."""
    site = site_of(request)
    state = site.backend.state
    at_work = [run for status in _AT_WORK for run in state.list_runs(status=status, limit=_MOST)]
    counts = {status.value: state.count_runs(status=status) for status in RunStatus}
    return site.render(
        request,
        "overview.html",
        at_work=run_rows.rows(site, at_work[:_MOST]),
        newest=run_rows.rows(site, runs.page(site.backend, limit=_MOST).runs),
        counts=counts,
        filling=restoring.progress(site.backend),
        working=sum(counts[s.value] for s in _AT_WORK),
        models=newest_models(site, _MOST),
        pools=pools.list_pools(site.backend)[:20],
        functions=called_by_name(pools.live_functions(site.backend))[:3],
    )
