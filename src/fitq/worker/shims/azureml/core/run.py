"""`Run`: inside a run, the way to log; outside, a handle on a submitted run."""

import os
import sys
from typing import Any

from fitq.context import RunContext
from fitq.sdk.inside.current import CurrentRun
from fitq.sdk.inside.offline import OfflineRun, get_context

from ._client import load

_OfflineRun = OfflineRun  # Azure's name for it


class _Run(CurrentRun):
    """The run that this process is."""

    @classmethod
    def get_context(cls, allow_offline: bool = True, **_: Any) -> CurrentRun:
        """The run this process belongs to; outside a run one that only prints.

        Raises:
            RuntimeError: outside a run, if `allow_offline` is false.
        """
        context = RunContext.from_environment()
        return cls(context) if context is not None else get_context(allow_offline)


def _run_class() -> Any:
    if os.environ.get("FITQ_RUN_FOLDER") or sys.version_info < (3, 11):
        return _Run
    try:
        return load("fitq.sdk.run", "Run")
    except ImportError:  # an interpreter without the client's packages can still try a script out
        return _Run


Run = _run_class()


def get_run(experiment: Any, run_id: str, rehydrate: bool = True) -> Any:
    """The submitted run of that id."""
    return Run(experiment, run_id)
