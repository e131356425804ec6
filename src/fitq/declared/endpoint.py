"""`kind: Endpoint`: a stable address for chosen versions of a model."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq import endpoints
from fitq.backend import Backend
from fitq.declared.kind import Current, Kind, Planned
from fitq.records import EndpointRecord, EndpointRequest, ModelSettings, from_kept_json
from fitq.revisions import revision_of


class EndpointKind(Kind[EndpointRequest]):
    """A stable address for chosen versions of a model."""

    name, noun, order = "Endpoint", "endpoint", 50
    spec = EndpointRequest

    def names(self, backend: Backend) -> list[str]:
        return [e.name for e in backend.catalog.endpoints()]

    def read(self, backend: Backend, name: str) -> Current[EndpointRequest] | None:
        data = backend.objects.get(backend.keys.endpoint(name))
        if data is None:
            return None
        record = from_kept_json(data, EndpointRecord)
        said = {field: getattr(record, field) for field in EndpointRequest.__struct_fields__}
        return Current(EndpointRequest(**said), revision_of(data))

    def merge(self, current: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        if said.get("model") != current.get("model"):  # versions of another model say nothing
            current = {k: v for k, v in current.items() if k not in ("traffic", "method")}
        return {**current, **said}

    def settle(self, backend: Backend, name: str, spec: EndpointRequest, planned: Planned) -> EndpointRequest:
        model = planned.get(f"Model/{spec.model}")
        aliases = model.aliases if isinstance(model, ModelSettings) else {}
        if spec.traffic is not None:
            # An alias that the same documents move means the version it is about to mean.
            numbers = [(str(aliases.get(v, v)), share) for v, share in spec.traffic.items()]
            asked = {v: sum(s for w, s in numbers if w == v) for v, _ in numbers}
            spec = msgspec.structs.replace(spec, traffic=asked)
        return msgspec.structs.replace(spec, traffic=endpoints.check_endpoint(backend, name, spec))

    def write(self, backend: Backend, name: str, spec: EndpointRequest, expected: str) -> None:
        endpoints.deploy(backend, name, spec, expected=expected)

    def remove(self, backend: Backend, name: str, expected: str) -> None:
        endpoints.remove_endpoint(backend, name, expected=expected)
