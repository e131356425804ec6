"""A diagnosis: the families are asked in order, and the first that knows wins."""

from __future__ import annotations

from collections.abc import Iterator

from fitq.logs import get_logger
from fitq.records import Failure
from fitq.worker.doctor import order
from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.families import exceptions, exits
from fitq.worker.doctor.families.start import not_confined, not_started
from fitq.worker.doctor.order import KINDS
from fitq.worker.doctor.suspects import ending

log = get_logger(__name__)
_LINES = 12
_LINE_CHARACTERS = 240
_MESSAGE_CHARACTERS = 1000


def diagnose(case: Case) -> Failure:
    """The failure of a run whose process ended other than by exit code 0."""
    try:
        return examine(case)
    except Exception as exc:  # a log is anybody's text; a slip of ours must not cost the run its end
        log.error("diagnosis_failed", run_id=case.run.id, error=repr(exc))
        return Failure(
            kind="user_error",
            message=f"The process ended with exit code {case.exit_code}.",
            lines=[line[:_LINE_CHARACTERS] for line in ending(case.lines)],
            hint=f"The whole log: fitq runs logs {case.run.id}",
            exit_code=case.exit_code,
        )


def examine(case: Case) -> Failure:
    """The diagnosis itself."""
    for family in order.OF_THE_END:
        found = family.recognise(case)
        if found is not None:
            return _failure(case, found, ending(case.lines))
    for trace in case.suspects:
        for known in order.OF_EXCEPTIONS:
            found = known.recognise(case, trace)
            if found is not None:
                return _failure(case, found, case.decisive(trace), where=case.place(trace))
    if case.suspects:
        trace = case.last
        found = exceptions.recognise(case, trace)
        return _failure(case, found, case.decisive(trace), where=case.place(trace))
    return _failure(case, exits.recognise(case), ending(case.lines))


def _failure(case: Case, found: Finding, lines: list[str], where: str = "") -> Failure:
    return Failure(
        kind=found.kind,
        message=_clean(case.shorten(found.message), _MESSAGE_CHARACTERS),
        lines=[_clean(case.shorten(line), _LINE_CHARACTERS) for line in (found.lines or lines)[-_LINES:]],
        hint=_clean(found.hint, _MESSAGE_CHARACTERS),
        exit_code=case.exit_code,
        where=_clean(where, _LINE_CHARACTERS),
        versions=dict(_versions(case, found)),
    )


def _versions(case: Case, found: Finding) -> Iterator[tuple[str, str]]:
    if found.packages and case.run.versions.python:
        yield "python", case.run.versions.python
    for package in found.packages:
        if case.version(package):
            yield package, case.version(package)


def _clean(text: str, most: int) -> str:
    """Text that any store takes: valid Unicode, bounded."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return cut.encode("utf-8", "replace").decode("utf-8")


__all__ = ["KINDS", "Case", "diagnose", "examine", "not_confined", "not_started"]
