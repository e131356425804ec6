"""A plan carried out: each change over exactly the revision that was planned with."""

from __future__ import annotations

import msgspec

from fitq.backend import Backend
from fitq.declared.kept import Applied, forget, keep
from fitq.declared.kind import Kinds
from fitq.declared.kinds import KINDS
from fitq.declared.planning import Step, steps
from fitq.declared.reading import Wrong, problem, refuse, wrong_at
from fitq.documents import Action, DeclaredRequest, Plan, Problem
from fitq.errors import FitqError, Outdated
from fitq.logs import get_logger
from fitq.records import now

log = get_logger(__name__)


def apply(backend: Backend, request: DeclaredRequest, kinds: Kinds = KINDS) -> Plan:
    """Bring about what the documents say; returns what was changed. Again, it changes nothing.

    Raises:
        InvalidRequest: with `problems`; nothing was changed.
        Outdated: something changed since `revisions` were planned with. `done` names what was changed
            before that was seen; applying again goes on from there.
    """
    todo = steps(backend, request, kinds)
    _check_revisions(todo, request.revisions)
    _check_sent(backend, todo)
    done: list[str] = []
    for step in todo:
        try:
            _make(backend, step)
        except FitqError as exc:
            exc.data["done"] = done
            raise
        if step.change.action is not Action.KEEP:
            done.append(step.change.key)
            log.info("declared_applied", thing=step.change.key, action=step.change.action)
    return Plan(changes=[step.change for step in todo])


def _check_revisions(todo: list[Step], planned: dict[str, str] | None) -> None:
    if planned is None:
        return
    for step in todo:
        if planned.get(step.change.key) != step.change.revision:
            raise Outdated(
                f"{step.change.kind} {step.change.name!r} was changed since the plan was made.",
                hint="Nothing was applied. Look at the new plan: fitq diff -f …",
                done=[],
            )


def _check_sent(backend: Backend, todo: list[Step]) -> None:
    """All that is to be written names content that is here: found out before the first thing is changed."""
    problems: list[Problem] = []
    for step in todo:
        if step.kind is not None and step.change.action in (Action.CREATE, Action.REPLACE):
            try:
                with wrong_at():
                    step.kind.check_sent(backend, step.change.name, step.spec)
            except Wrong as wrong:
                problems.append(problem(step.position, wrong))
    refuse(sorted(problems, key=lambda p: p.document))


def _make(backend: Backend, step: Step) -> None:
    change = step.change
    if change.action is Action.REMOVE:
        if step.kind is not None and change.revision:
            step.kind.remove(backend, change.name, change.revision)
        forget(backend, change.kind, change.name)
        return
    assert step.kind is not None  # only a removal has none
    if change.action is Action.CREATE or any(field.path != "label" for field in change.fields):
        step.kind.write(backend, change.name, step.spec, change.revision)
    said = msgspec.to_builtins(step.said)
    keep(
        backend,
        Applied(kind=change.kind, name=change.name, fields=said, applied_at=now(), label=change.label),
    )
