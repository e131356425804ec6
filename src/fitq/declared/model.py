"""`kind: Model`: which versions a model's aliases mean. Versions come from runs, never from here."""

from __future__ import annotations

from fitq import registry
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import ModelSettings


class ModelKind(Kind[ModelSettings]):
    """What the aliases of a model mean."""

    name, noun, order = "Model", "model", 40
    spec = ModelSettings

    def names(self, backend: Backend) -> list[str]:
        models = backend.catalog
        return [name for name in models.model_names() if models.aliases(name)]

    def read(self, backend: Backend, name: str) -> Current[ModelSettings] | None:
        settings, revision = registry.kept_settings(backend, name)
        return None if settings is None else Current(settings, revision)

    def settle(self, backend: Backend, name: str, spec: ModelSettings, planned: Planned) -> ModelSettings:
        del planned
        registry.check_settings(backend, name, spec)
        return spec

    def write(self, backend: Backend, name: str, spec: ModelSettings, expected: str) -> None:
        registry.configure(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        """Its aliases only: versions are kept for ever."""
        registry.configure(backend, name, ModelSettings(), expected=expected)
