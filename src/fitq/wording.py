"""Values and columns in words, short enough for a message to whoever sent them."""

from __future__ import annotations

import json

from fitq.records import Column

#: Kind of a column → what a value of it is.
KINDS = {"number": "a number", "integer": "a whole number", "boolean": "true or false", "string": "a string"}
#: So many of the values that a column may have are named in a message.
_SHOWN_CATEGORIES = 10


def column_words(index: int, column: Column) -> str:
    """The name and the kind of a column, or its place if it has no name."""
    name = column.name or f"column {index}"
    return f"{name} ({KINDS[column.kind]}{' or null' if column.nullable else ''})"


def one_of(column: Column) -> str:
    """The values of a column in words: the first of them, where they are many."""
    listed = [json.dumps(v, ensure_ascii=False) for v in column.categories[:_SHOWN_CATEGORIES]]
    more = len(column.categories) - len(listed)
    or_null = ", or null" if column.nullable else ""
    return f"one of {', '.join(listed)}{f' and {more} more' if more else ''}{or_null}"


def shown(value: object) -> str:
    """A value and what it is, short enough for a message."""
    if isinstance(value, float | int) and not isinstance(value, bool):
        text = str(value) if isinstance(value, float) or abs(value) < 10**40 else "a huge integer"
        return f"the number {text}"
    kinds = {str: "the string", bool: "", type(None): "", list: "the list", dict: "the object"}
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # array files may hold them
        return f"a {type(value).__name__}"
    except RecursionError:
        text = "…"
    text = text if len(text) <= 60 else text[:57] + "…"
    return f"{kinds.get(type(value), '')} {text}".strip()
