"""`fitq api`, `fitq scoring`, `fitq worker`: one program each, told everything by `FITQ_…` variables."""

from __future__ import annotations

import os
import sys

from fitq.cli.commands import command


@command("api", "fitq api", "FITQ_API_PORT=8800 fitq api", "FITQ_REDIS_URL=redis://cache:6379/0 fitq api")
def api() -> None:
    """Run the control plane and dashboard.

    Listens on FITQ_API_HOST and FITQ_API_PORT until SIGTERM. Every variable: fitq settings.
    """
    _run("run_api")


@command(
    "scoring",
    "fitq scoring",
    "FITQ_SCORING_PORT=8801 fitq scoring",
    "FITQ_S3_URL=http://minio:9000 fitq scoring",
)
def scoring() -> None:
    """Run the scoring service.

    Listens on FITQ_SCORING_HOST and FITQ_SCORING_PORT until SIGTERM. Every variable: fitq settings.
    """
    _run("run_scoring")


@command(
    "worker",
    "FITQ_FUNCTIONS=functions fitq worker",
    "FITQ_POOL=cpu fitq worker",
    "FITQ_POOL=cpu FITQ_SLOTS=2 fitq worker",
)
def worker() -> None:
    """Run one worker of one pool.

    Executes runs of FITQ_POOL, with the training functions of the folder FITQ_FUNCTIONS, until SIGTERM;
    then hands back what it executes. Every variable: fitq settings.
    """
    _run("run_worker")


def _run(program: str) -> None:
    from fitq.errors import InvalidRequest

    try:
        from fitq import programs
    except ModuleNotFoundError as exc:
        raise InvalidRequest(
            f"This program needs a package that is not installed: {exc.name}.",
            hint="Install it with: pip install 'fitq[local]'",
        ) from exc
    sys.exit(programs.exit_code_of(getattr(programs, program), os.environ))
