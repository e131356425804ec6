"""Whether a method answers the same, bit for bit, for rows alone and together. Seen, never assumed.

An answer may depend on the other rows: a transformer that centres what it is given, or a matrix product whose
last bit depends on its size. Such methods are answered request by request.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from fitq.errors import FitqError, Unavailable
from fitq.records import Column, InputSchema
from fitq.schema import ArraySchema, Rows
from fitq.scorer.client import ModelFile, Scorer
from fitq.scoring.batch import call, joined

_ROWS = 8
#: Sizes of batches, as the rows above repeated; products over few rows and many take different ways.
_TIMES = (1, 4)


async def answers_alike(scorer: Scorer, model: ModelFile, method: str, schema: ArraySchema) -> bool:
    """Try it, on the example rows and on others like them where the model takes those.

    Raises:
        Unavailable: the scorer ended meanwhile, or has no time; nothing is known.
    """
    if _changes_together(schema.schema):
        return False
    for rows in (varied(schema.schema), schema.schema.example):
        if not rows:
            continue
        try:
            return await _alike(scorer, model, method, [schema.check([row]) for row in rows])
        except Unavailable:
            raise
        except FitqError:
            continue  # not rows it answers
    return False


async def _alike(scorer: Scorer, model: ModelFile, method: str, rows: list[Rows]) -> bool:
    alone = [(await call(scorer, model, method, row)).predictions for row in rows]
    for times in _TIMES:
        together = (await call(scorer, model, method, joined(rows * times))).predictions
        if not all(_same(together[i : i + 1], alone[i % len(rows)]) for i in range(len(rows) * times)):
            return False
    return True


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and bool(one == other)


def _changes_together(schema: InputSchema) -> bool:
    """A whole number turns into a float beside a missing one, for all rows that travel with it."""
    return any(c.nullable and c.kind in ("integer", "boolean") for c in schema.columns)


def varied(schema: InputSchema) -> list[Any]:
    """Rows like the example, with other numbers; the same ones every time."""
    if not schema.example:
        return []
    chance = random.Random(0)
    base = [schema.example[i % len(schema.example)] for i in range(_ROWS)]
    if schema.layout == "texts":
        return [" ".join(chance.choices(text.split() or [text], k=i + 1)) for i, text in enumerate(base)]
    return [[_near(v, c, chance) for v, c in zip(row, schema.columns, strict=True)] for row in base]


def _near(value: Any, column: Column, chance: random.Random) -> Any:
    if column.kind != "number" or value is None:
        return value
    return float(value) + chance.gauss(0, 1) * chance.choice((0.1, 1.0, 10.0))
