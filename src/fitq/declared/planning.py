"""Documents compared with what is there: what would change, in the order in which it can be changed.

A field that a document does not name is left as it is; one that was named by the last apply and is not any
more goes back to its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from fitq.backend import Backend
from fitq.declared.kept import Applied, all_applied, last_applied
from fitq.declared.kind import Current, Kind, Kinds
from fitq.declared.kinds import KINDS
from fitq.declared.reading import Declared, Wrong, as_spec, problem, read_documents, refuse, wrong_at
from fitq.documents import Action, Change, DeclaredRequest, FieldChange, Plan
from fitq.errors import InvalidRequest
from fitq.names import check_name


class Step(NamedTuple):
    """One change, with what it takes to make it."""

    change: Change
    position: int  #: of its document; -1: it has none
    kind: Kind[Any] | None  #: None: of a kind that this server does not know any more
    spec: Any = None  #: what should be; None: nothing
    said: dict[str, Any] | None = None  #: the settled fields that the document names


def plan(backend: Backend, request: DeclaredRequest, kinds: Kinds = KINDS) -> Plan:
    """What applying would change.

    Raises:
        InvalidRequest: with `problems`, all that is wrong with the documents.
    """
    return Plan(changes=[step.change for step in steps(backend, request, kinds)])


def steps(backend: Backend, request: DeclaredRequest, kinds: Kinds = KINDS) -> list[Step]:
    """The plan with everything needed to carry it out."""
    _check_label(request)
    declared, problems = read_documents(kinds, request.documents)
    order = list(kinds)
    found: list[Step] = []
    planned: dict[str, msgspec.Struct] = {}
    for one in sorted(declared, key=lambda d: order.index(d.kind.name)):
        try:
            step = _step(backend, one, request.label, planned)
            planned[one.key] = step.spec
            found.append(step)
        except Wrong as wrong:
            problems.append(problem(one.position, wrong))
    refuse(sorted(problems, key=lambda p: p.document))
    if request.prune and request.label:
        named = {one.key for one in declared}
        found += _pruned(backend, kinds, request.label, named)
    return found


def _check_label(request: DeclaredRequest) -> None:
    if request.label is not None:
        check_name("label", request.label)
    elif request.prune:
        raise InvalidRequest(
            "Pruning needs a label: it removes what has the label and no document.",
            at="label",
            hint="Apply with the label first, without pruning: fitq apply -f … --label NAME",
        )


def _step(backend: Backend, one: Declared, label: str | None, planned: dict[str, msgspec.Struct]) -> Step:
    current = one.kind.read(backend, one.name)
    before = last_applied(backend, one.kind.name, one.name)
    with wrong_at():
        spec = one.kind.settle(backend, one.name, _wanted(one, current, before), planned)
    said = {field: getattr(spec, field) for field in one.said}
    fields = list(_differences(current, spec, before))
    is_new = current is None
    mine = (before.label if before else "") if label is None else label
    if not is_new and label is not None and mine != (before.label if before else ""):
        fields.append(FieldChange(path="label", before=before.label if before else None, after=mine))
    action = Action.CREATE if is_new else Action.REPLACE if fields else Action.KEEP
    change = Change(
        kind=one.kind.name,
        name=one.name,
        action=action,
        fields=fields,
        revision=current.revision if current else "",
        label=mine,
    )
    return Step(change, one.position, one.kind, spec, said)


def _wanted(one: Declared, current: Current[Any] | None, before: Applied | None) -> Any:
    if current is None:
        return as_spec(one.kind, one.said)
    defaults = {f.name: f for f in msgspec.structs.fields(one.kind.spec)}
    withdrawn = {f for f in (before.fields if before else {}) if f in defaults and f not in one.said}
    there = {f: v for f, v in msgspec.to_builtins(current.spec).items() if f not in withdrawn}
    return as_spec(one.kind, one.kind.merge(there, one.said))


def _differences(current: Current[Any] | None, spec: Any, before: Applied | None) -> Iterator[FieldChange]:
    new: dict[str, Any] = msgspec.to_builtins(spec)
    old: dict[str, Any] = msgspec.to_builtins(current.spec) if current else {}
    applied = before.fields if before else {}
    empty: tuple[object, ...] = (None, "", {}, [])
    for field, value in new.items():
        if current is None and value in empty:
            continue
        drifted = current is not None and field in applied and old.get(field) != applied[field]
        yield from _leaves(field, old.get(field), value, drifted)


def _leaves(path: str, old: Any, new: Any, drifted: bool) -> Iterator[FieldChange]:
    if isinstance(new, dict) and isinstance(old, dict | None):
        for key in sorted({*(old or {}), *new}):
            yield from _leaves(f"{path}.{key}", (old or {}).get(key), new.get(key), drifted)
    elif old != new:
        yield FieldChange(path=path, before=old, after=new, is_drift=drifted)


def _pruned(backend: Backend, kinds: Kinds, label: str, named: set[str]) -> Iterator[Step]:
    """What has the label and no document; last made, first removed."""
    order = list(kinds)
    stale = [a for a in all_applied(backend) if a.label == label and f"{a.kind}/{a.name}" not in named]
    stale.sort(key=lambda a: order.index(a.kind) if a.kind in order else -1, reverse=True)
    for applied in stale:
        kind = kinds.get(applied.kind)
        current = kind.read(backend, applied.name) if kind else None
        yield Step(
            Change(
                kind=applied.kind,
                name=applied.name,
                action=Action.REMOVE,
                revision=current.revision if current else "",
                label=label,
            ),
            -1,
            kind,
        )
