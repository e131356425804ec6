"""A plan as people read it: like a diff."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import click

from fitq.documents import Action, Change, FieldChange, Plan

_SIGNS = {Action.CREATE: ("+", "green"), Action.REPLACE: ("~", "yellow"), Action.REMOVE: ("-", "red")}
_DONE = {Action.CREATE: "created", Action.REPLACE: "changed", Action.REMOVE: "removed"}
_WOULD = {Action.CREATE: "to create", Action.REPLACE: "to change", Action.REMOVE: "to remove"}


def plan_lines(plan: Plan) -> Iterator[str]:
    """Every change with its fields; what stays as it is is not shown."""
    for change in plan.changes:
        if change.action is not Action.KEEP:
            sign, color = _SIGNS[change.action]
            label = f"  ({change.label})" if change.label else ""
            yield click.style(f"{sign} {change.kind} {change.name}", fg=color, bold=True) + label
            yield from (_field(change, field) for field in change.fields)


def _field(change: Change, field: FieldChange) -> str:
    if change.action is Action.CREATE:
        return f"    {field.path}: {_text(field.after)}"
    drift = "   (changed by somebody since the last apply)" if field.is_drift else ""
    return f"    {field.path}: {_text(field.before)} → {_text(field.after)}{drift}"


def _text(value: object) -> str:
    return "–" if value is None else json.dumps(value, ensure_ascii=False)


def summary(plan: Plan, *, done: bool = False) -> str:
    """`1 created, 2 changed.`, or what would be."""
    counts = Counter(change.action for change in plan.changes)
    words = _DONE if done else _WOULD
    parts = [f"{counts[action]} {word}" for action, word in words.items() if counts[action]]
    if not parts:
        return "Nothing to change: everything is as declared."
    return f"{', '.join(parts)}."
