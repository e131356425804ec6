"""Pools: what waits, who works, and which functions they know."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from fitq import pools
from fitq.dashboard import commands
from fitq.dashboard.site import site_of
from fitq.functions import signature_text
from fitq.records import FunctionRecord

RUN_SCRIPT = "run_script"
_MOST_POOLS, _MOST_FUNCTIONS, _MOST_WORKERS = 40, 60, 40


def called_by_name(functions: list[FunctionRecord]) -> list[FunctionRecord]:
    """Without the one that runs submitted folders: people reach it with `fitq submit`."""
    return [f for f in functions if f.name != RUN_SCRIPT]


def listing(request: Request) -> Response:
    """`/pools`."""
    site = site_of(request)
    functions = called_by_name(pools.live_functions(site.backend))
    workers = pools.live_workers(site.backend)
    known = [
        {
            "function": function,
            "signature": signature_text(function),
            "call": "" if function.error else commands.call(function),
        }
        for function in functions[:_MOST_FUNCTIONS]
    ]
    return site.render(
        request,
        "pools.html",
        pools=pools.list_pools(site.backend)[:_MOST_POOLS],
        functions=known,
        function_count=len(functions),
        workers=workers[:_MOST_WORKERS],
        worker_count=len(workers),
        scaled=site.backend.scaled_pools,
        start_worker=site.backend.worker_for,
    )
