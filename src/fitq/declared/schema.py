"""The JSON Schema of documents, made from the kinds' own types: editors complete and check with it."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.declared.kind import Kind, Kinds
from fitq.declared.kinds import KINDS
from fitq.names import PATTERNS


def schema(kinds: Kinds = KINDS) -> dict[str, Any]:
    """One document of any kind, as JSON Schema 2020-12."""
    specs, components = msgspec.json.schema_components(
        [kind.spec for kind in kinds.values()], ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fitq document",
        "description": "What should be. Applied with: fitq apply -f FILE_OR_DIR",
        "type": "object",
        "required": ["kind", "name"],
        "oneOf": [{"$ref": f"#/$defs/{kind.name}"} for kind in kinds.values()],
        "$defs": {
            kind.name: _document(kind, components[spec["$ref"].rpartition("/")[2]])
            for kind, spec in zip(kinds.values(), specs, strict=True)
        },
    }


def _document(kind: Kind[Any], spec: dict[str, Any]) -> dict[str, Any]:
    pattern, words = PATTERNS[kind.noun]
    name = {"type": "string", "pattern": f"^(?:{pattern.pattern})$", "description": words}
    instead = {word: {"type": "string", "description": text} for word, (_, text) in kind.written.items()}
    found_out = {field for field, _ in kind.written.values()}
    required = [field for field in spec.get("required", []) if field not in found_out]
    either = [{"required": [way]} for word, (field, _) in kind.written.items() for way in (word, field)]
    return {
        "type": "object",
        "description": (kind.__doc__ or "").split("\n", 1)[0],
        "required": ["kind", "name", *required],
        **({"oneOf": either} if either else {}),
        "additionalProperties": False,
        "properties": {"kind": {"const": kind.name}, "name": name, **spec["properties"], **instead},
    }
