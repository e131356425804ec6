"""Long lists, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request

T = TypeVar("T")


@dataclass(frozen=True)
class Part(Generic[T]):
    """One page of a longer list."""

    items: list[T]
    number: int  #: counted from 1
    pages: int
    total: int


def sliced(items: Sequence[T], number: int, size: int) -> Part[T]:
    """Page `number` of `items`; the last one if there are not so many."""
    pages = max(1, -(-len(items) // size))
    number = min(number, pages)
    return Part(list(items[(number - 1) * size : number * size]), number, pages, len(items))


def page_number(request: Request) -> int:
    """`?page=`, counted from 1; 1 for anything that is not such a number."""
    text = request.query_params.get("page", "1")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1
