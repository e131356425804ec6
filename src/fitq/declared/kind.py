"""What a kind of declared thing has to do."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec

from fitq.backend import Backend

SpecT = TypeVar("SpecT", bound=msgspec.Struct)
#: kind/name → what the documents before this one will make true.
Planned = Mapping[str, msgspec.Struct]


class Current(NamedTuple, Generic[SpecT]):
    """What is there now."""

    spec: SpecT
    revision: str


class Kind(abc.ABC, Generic[SpecT]):
    """One kind. A subclass is stateless; its `order` puts what others need before them."""

    name: ClassVar[str]  #: as documents say it: Pool
    noun: ClassVar[str]  #: whose names are allowed, in `fitq.names`
    order: ClassVar[int]
    spec: type[SpecT]  #: a document's fields, with their defaults
    #: What files may say instead of a field, for the client to find out: word → the field, and what it means.
    written: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType({})

    @abc.abstractmethod
    def names(self, backend: Backend) -> list[str]:
        """All there are."""

    @abc.abstractmethod
    def read(self, backend: Backend, name: str) -> Current[SpecT] | None:
        """What is there now, None if nothing is."""

    def merge(self, current: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        """What is there, with what the document says laid over it."""
        return {**current, **said}

    def exported(self, backend: Backend, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of what is there as people write them; they settle to the same."""
        del backend
        return fields

    @abc.abstractmethod
    def settle(self, backend: Backend, name: str, spec: SpecT, planned: Planned) -> SpecT:
        """`spec` with whatever it names indirectly made plain. Refuses what `write` would refuse."""

    def check_sent(self, backend: Backend, name: str, spec: SpecT) -> None:
        """Refuse content that is named by its hash and not here: a plan is made before it is sent."""

    @abc.abstractmethod
    def write(self, backend: Backend, name: str, spec: SpecT, expected: str) -> None:
        """Create it, or replace exactly the expected revision."""

    @abc.abstractmethod
    def remove(self, backend: Backend, name: str, expected: str) -> None:
        """Take exactly the expected revision away."""


#: Which kinds there are, by name, in the order in which they are applied.
Kinds = Mapping[str, Kind[Any]]
Reader = Callable[[Kind[Any], str], Current[Any] | None]
