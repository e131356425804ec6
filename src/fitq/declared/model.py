"""`kind: Model`: aliases, description and tags of a model. Its versions come from runs, never from here."""

from __future__ import annotations

from fitq import model_settings
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import ModelAbout, ModelSettings


class ModelKind(Kind[ModelSettings]):
    """What is said of a model: what its aliases mean, its description and its tags."""

    name, noun, order = "Model", "model", 40
    spec = ModelSettings

    def names(self, backend: Backend) -> list[str]:
        models = backend.catalog
        return [name for name in models.model_names() if models.about(name) != ModelAbout()]

    def read(self, backend: Backend, name: str) -> Current[ModelSettings] | None:
        settings, revision = model_settings.kept_settings(backend, name)
        return None if settings is None else Current(settings, revision)

    def settle(self, backend: Backend, name: str, spec: ModelSettings, planned: Planned) -> ModelSettings:
        del planned
        model_settings.check_settings(backend, name, spec)
        return spec

    def write(self, backend: Backend, name: str, spec: ModelSettings, expected: str) -> None:
        model_settings.configure(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        """What is said of it only: versions are kept for ever."""
        model_settings.configure(backend, name, ModelSettings(), expected=expected)
