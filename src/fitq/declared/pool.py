"""`kind: Pool`: how many workers read a queue."""

from __future__ import annotations

from fitq import pools
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import PoolSettings


class PoolKind(Kind[PoolSettings]):
    """How many workers a pool has."""

    name, noun, order = "Pool", "pool", 20
    spec = PoolSettings

    def names(self, backend: Backend) -> list[str]:
        return pools.configured(backend)

    def read(self, backend: Backend, name: str) -> Current[PoolSettings] | None:
        settings, revision = pools.kept_settings(backend, name)
        return None if settings is None else Current(settings, revision)

    def settle(self, backend: Backend, name: str, spec: PoolSettings, planned: Planned) -> PoolSettings:
        del backend, planned
        pools.check_settings(name, spec)
        return spec

    def write(self, backend: Backend, name: str, spec: PoolSettings, expected: str) -> None:
        pools.configure(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        pools.forget_settings(backend, name, expected=expected)
