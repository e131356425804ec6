"""Rows on which a model's answers are recorded: those somebody gave, and others drawn within what it saw.

What `fit` saw is told by the traces it left in the estimator (`child/traces.py`): means and scales, split
points, categories, kept rows. Where there are none, numbers are drawn around the example's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from fitq.records import Column, InputSchema

#: So many rows are recorded: enough to reach most leaves and classes, few enough to be asked at every load.
COUNT = 32
#: One row in so many lacks a value, where the model takes missing values.
_MISSING_EVERY = 8


def samples(
    schema: InputSchema, seen: list[dict[str, Any]], given: list[Any]
) -> Iterator[tuple[str, list[Any]]]:
    """(source, rows) to try, the most telling first; a model may refuse some.

    Args:
        seen: per column {"low", "high"} or {"values"}, as `child.seen_by_fit` tells; {} where unknown.
        given: rows of a person or of the training itself, such as support vectors; at most `COUNT` are used.
    """
    given = given[:COUNT]
    for may_miss in (True, False):
        drawn = _drawn(schema, seen, may_miss)
        if given and drawn:
            yield "given and drawn", given + drawn[: COUNT - len(given)]
        elif drawn:
            yield "drawn", drawn
    if given:
        yield "given", given
    if schema.example:
        yield "example", schema.example


def _drawn(schema: InputSchema, seen: list[dict[str, Any]], may_miss: bool) -> list[Any]:
    """`COUNT` rows, the same ones every time."""
    if not schema.example:
        return []
    chance = random.Random(0)
    if schema.layout == "texts":
        words = seen[0].get("values") if seen else None
        known = words or " ".join(schema.example).split() or ["text"]
        return [" ".join(map(str, chance.choices(known, k=1 + i % 12))) for i in range(COUNT)]
    like = [schema.example[i % len(schema.example)] for i in range(COUNT)]
    told = seen if len(seen) == schema.width else [{}] * schema.width
    rows = [
        [_value(chance, c, t, old) for c, t, old in zip(schema.columns, told, row, strict=True)]
        for row in like
    ]
    if may_miss:
        _leave_out(rows, [i for i, c in enumerate(schema.columns) if c.nullable])
    return rows


def _value(chance: random.Random, column: Column, told: dict[str, Any], like: Any) -> Any:
    if told.get("values"):
        found = chance.choice(told["values"])
        return found if _fits(found, column.kind) else like
    if column.kind == "boolean":
        return chance.random() < 0.5
    if column.kind == "string":
        return like
    low, high = told.get("low"), told.get("high")
    if low is None or high is None:
        middle = float(like or 0)
        spread = max(1.0, abs(middle) / 2)
        low, high = middle - spread, middle + spread
    number = chance.uniform(low, high)
    return round(number) if column.kind == "integer" else number


def _fits(value: object, kind: str) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _leave_out(rows: list[list[Any]], nullable: list[int]) -> None:
    for turn, row in enumerate(rows[_MISSING_EVERY - 1 :: _MISSING_EVERY]):
        if nullable:
            row[nullable[turn % len(nullable)]] = None
