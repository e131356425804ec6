"""Which kinds there are. A new one is a file beside this one and a line here."""

from __future__ import annotations

from typing import Any

from fitq.declared.data import DataKind
from fitq.declared.endpoint import EndpointKind
from fitq.declared.environment import EnvironmentKind
from fitq.declared.function import FunctionKind
from fitq.declared.kind import Kind, Kinds
from fitq.declared.model import ModelKind
from fitq.declared.pool import PoolKind

_ALL: tuple[Kind[Any], ...] = (
    EnvironmentKind(),
    DataKind(),
    PoolKind(),
    FunctionKind(),
    ModelKind(),
    EndpointKind(),
)
KINDS: Kinds = {kind.name: kind for kind in sorted(_ALL, key=lambda k: k.order)}
