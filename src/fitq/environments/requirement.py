"""One requirement: from how people write it to the one way it is kept."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fitq.errors import InvalidRequest
from fitq.records import Record

#: What every run has anyway: our own modules under these names' imports.
OURS = frozenset({"azureml-core", "azureml-defaults", "azureml-sdk", "azureml-widgets"})


class Read(Record, frozen=True, kw_only=True):
    """What a written requirement came to."""

    requirement: str = ""  #: empty: nothing is to be installed for it
    note: str = ""  #: what was replaced or left out, a sentence


def read_requirement(text: str, at: str) -> Read:
    """A requirement as pip takes it.

    Raises:
        InvalidRequest: it is not one, or one that no package index can fulfil.
    """
    wanted = _parsed(text, at)
    name = canonicalize_name(wanted.name)
    if name in OURS:
        return Read(note=f"{name} is replaced by fitq's own azureml modules, which every run has.")
    if name.startswith("azureml-"):
        return Read(
            note=f"{name} was left out: azureml is fitq's own here, and an import says what it lacks."
        )
    if name == "fitq":
        return Read(note="fitq was left out: what a run needs of it is there anyway.")
    wanted.name = name
    return Read(requirement=str(wanted))


def _parsed(text: str, at: str) -> Requirement:
    if "\n" in text or len(text) > 500:
        raise InvalidRequest("A requirement is one line.", at=at, got=text[:100])
    if text.startswith(("-", ".", "/")) or "://" in text or "@" in text:
        raise InvalidRequest(
            f"{text!r} is not a requirement that a worker can fulfil: it takes named packages of an index.",
            at=at,
            hint="List packages such as scikit-learn==1.5.2; modules of your own go with the snapshot.",
        )
    try:
        return Requirement(text)
    except InvalidRequirement as exc:
        raise InvalidRequest(
            f"{text!r} is not a requirement: {str(exc).splitlines()[0]}.", at=at, hint=_hint(text)
        ) from exc


def _hint(text: str) -> str:
    name, equals, version = text.partition("=")
    if equals and not version.startswith("=") and name[-1:].isalnum():
        return f"pip writes {name}=={version}; one = is conda's way."
    return "Write it like scikit-learn==1.5.2 or numpy>=1.26,<2."
