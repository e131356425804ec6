"""What rows a model takes, as JSON Schema: inference-schema's types, and what it has no words for.

That is: how many values a row has, of which kind each is, which few it may be, which may be null, that rows
also come as objects by column name, and how many there may be.
"""

from __future__ import annotations

from typing import Any

from fitq.schema import ArraySchema
from fitq.scoring.schema_words import Schema, Words

_INT64 = {"minimum": -(2**63), "maximum": 2**63 - 1}


def input_schema(schema: ArraySchema, words: Words, most_rows: int) -> Schema:
    """What `data` holds. Version 2 has one form of rows only: that of its example.

    Args:
        most_rows: so many are scored at once.
    """
    told = schema.to_swagger()
    size = {"minItems": 1, "maxItems": most_rows}
    if schema.schema.layout == "texts":
        return {**told, **size}
    cells = [_cell(schema, i, words) for i in range(schema.schema.width)]
    lists = words.row(cells)
    if not schema.names:
        return {**told, "items": lists, **size}
    records = {
        "type": "object",
        "properties": dict(zip(schema.names, cells, strict=True)),
        "required": schema.names,
        "additionalProperties": False,
    }
    by_name = told["items"]["type"] == "object"
    forms = [{**told, "items": records if by_name else lists, **size}]
    if words.knows_alternatives:
        forms.append({"type": "array", "items": lists if by_name else records, **size})
    return words.any_of(forms)


def _cell(schema: ArraySchema, index: int, words: Words) -> dict[str, Any]:
    column, cell = schema.schema.columns[index], schema.cells[index]
    told = {**cell, **_INT64} if column.kind == "integer" else cell
    if column.refuses_others:
        told = {**cell, "enum": column.categories}
    return words.nullable(told) if column.nullable else told
