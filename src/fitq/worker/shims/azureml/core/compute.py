"""Compute targets: fitq's pools. Sizes of machines have no counterpart; the numbers of workers do."""

import sys
from typing import Any, Dict, Optional

from ..exceptions import ComputeTargetException
from ._client import load

_NotFound = load("fitq.errors", "NotFound")
_PoolSettings = load("fitq.records", "PoolSettings")


class ComputeTarget:
    """A pool that runs can be sent to.

    Raises:
        ComputeTargetException: there is no such pool.
    """

    type = "AmlCompute"

    def __init__(self, workspace: Any, name: str, **_: Any) -> None:
        self.workspace = workspace
        self.name = name
        try:
            self.pool = workspace.client.get_pool(name)
        except _NotFound as exc:
            raise ComputeTargetException(exc.message, hint=exc.hint) from exc

    @staticmethod
    def create(workspace: Any, name: str, provisioning_configuration: Any) -> "ComputeTarget":
        """Say how many workers a pool should have. Who starts them is up to the platform's operator."""
        workspace.client.configure_pool(name, provisioning_configuration)
        return AmlCompute(workspace, name)

    @staticmethod
    def list(workspace: Any) -> Any:
        """Every pool."""
        return [AmlCompute(workspace, pool.name) for pool in workspace.client.pools()]

    @property
    def provisioning_state(self) -> str:
        """`Succeeded`: the pool takes runs, which wait until it has a worker."""
        return "Succeeded"

    def get_status(self) -> Any:
        """The pool now: queued, running, workers."""
        self.pool = self.workspace.client.get_pool(self.name)
        return self.pool

    def wait_for_completion(self, show_output: bool = False, **_: Any) -> None:
        """Return at once: a pool takes runs from the start. Says how many workers it has."""
        pool = self.get_status()
        if show_output:
            sys.stdout.write("Pool %s: workers %d, queued %d\n" % (self.name, pool.workers, pool.queued))
            if not pool.workers:
                sys.stdout.write("Start a worker with: FITQ_POOL=%s fitq worker\n" % self.name)


class AmlCompute(ComputeTarget):
    """As every compute target here."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        min_nodes: int = 0,
        max_nodes: Optional[int] = None,
        idle_seconds_before_scaledown: Optional[int] = None,
        **_: Any,
    ) -> Any:
        """How many workers a pool should have; the machine's size is not used."""
        wanted: Dict[str, Any] = {"min_workers": min_nodes, "max_workers": max_nodes}
        if idle_seconds_before_scaledown is not None:
            wanted["idle_seconds"] = idle_seconds_before_scaledown
        return _PoolSettings(**wanted)


__all__ = ["AmlCompute", "ComputeTarget", "ComputeTargetException"]
