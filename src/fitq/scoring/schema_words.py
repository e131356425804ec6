"""How each version of Swagger says what the rows and the answers of models are made of.

Version 2 knows neither "one of these" nor "or null", version 3.0 no lists whose places differ; 3.1 is JSON
Schema. What a version cannot say it leaves open, so that no document forbids what is answered.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Schema = dict[str, Any]


class Words(NamedTuple):
    """The words of one version: 2, 3 or 3.1."""

    version: str

    @property
    def knows_alternatives(self) -> bool:
        """Whether it can say "one of these"."""
        return self.version != "2"

    def nullable(self, schema: Schema) -> Schema:
        """The same, or null."""
        if "type" not in schema:
            return schema
        if self.version == "2":
            return {**schema, "x-nullable": True}
        if self.version == "3":
            listed = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
            return {**schema, **listed, "nullable": True}
        return {"anyOf": [schema, {"type": "null"}]}  # many tools read no list of types

    def any_of(self, schemas: list[Schema]) -> Schema:
        """One of these; in version 2 what all of them have in common."""
        different = _different(schemas)
        if len(different) == 1:
            return different[0]
        if self.knows_alternatives:
            return {"anyOf": different}
        if all(s.get("type") == "array" for s in different):
            return {"type": "array", "items": self.any_of([s["items"] for s in different])}
        return {}

    def row(self, cells: list[Schema]) -> Schema:
        """A list of just these, in this order."""
        size = {"minItems": len(cells), "maxItems": len(cells)}
        different = _different(cells)
        if self.version == "3.1" and len(different) > 1:
            return {"type": "array", "prefixItems": cells, **size}
        return {"type": "array", "items": self.any_of(different) if cells else {}, **size}

    def scalar(self) -> Schema:
        """A text, a number, a truth value or null."""
        text = self.nullable({"type": "string"})
        return self.any_of([text, {"type": "number"}, {"type": "boolean"}])


def _different(schemas: list[Schema]) -> list[Schema]:
    found: list[Schema] = []
    for schema in schemas:
        if schema not in found:
            found.append(schema)
    return found
