"""Whatever is declared: applying is idempotent, an export says the same again, and both in any order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fitq import data
from fitq.backend import Backend
from fitq.cli.written import as_text, read_written
from fitq.declared.applying import apply
from fitq.declared.exporting import export
from fitq.declared.planning import plan
from fitq.documents import DeclaredRequest
from fitq.queue import NullQueue
from fitq.records import DataContent, DataFile
from fitq.store.memory import MemoryObjects, MemoryState
from tests.conftest import keep_model

#: How long an example takes says something about the machine, not about the rules.
ANY_SPEED = settings(deadline=None, max_examples=60)
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_TAGS = st.dictionaries(_TEXT, _TEXT, max_size=2)


def _maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def _named(kind: str, names: list[str], fields: st.SearchStrategy[dict[str, Any]]) -> Any:
    return st.builds(lambda name, said: {"kind": kind, "name": name, **said}, st.sampled_from(names), fields)


POOLS = _named(
    "Pool",
    ["default", "cpu"],
    _maybe(
        min_workers=st.integers(0, 3),
        max_workers=st.none() | st.integers(3, 9),
        idle_seconds=st.integers(0, 900),
        secrets=st.none() | st.lists(st.sampled_from(["A", "B"]), unique=True),
    ),
)
ALIASES = st.dictionaries(st.sampled_from(["prod", "next", "old"]), st.integers(1, 3))
MODELS = _named("Model", ["iris"], _maybe(aliases=ALIASES, description=_TEXT, tags=_TAGS))
SHARES = st.integers(0, 100).map(lambda n: {"1": n, "3": 100 - n})
ENDPOINTS = _named(
    "Endpoint",
    ["flowers", "garden"],
    _maybe(
        traffic=SHARES,
        auth=st.sampled_from(["key", "token", "none"]),
        method=st.just("predict"),
        description=_TEXT,
        tags=_TAGS,
    ).map(lambda said: {"model": "iris", **said}),
)
SNAPSHOTS = ["0" * 64, "f" * 64]
FUNCTIONS = _named(
    "Function",
    ["train", "other"],
    st.fixed_dictionaries(
        {"snapshot": st.sampled_from(SNAPSHOTS)},
        optional={
            "pool": st.sampled_from(["default", "cpu"]),
            "environment": st.sampled_from(["sk", "AzureML-Tutorial", "worker", {"pip": ["joblib"]}]),
        },
    ),
)
ENVIRONMENTS = _named(
    "Environment",
    ["sk", "old"],
    st.fixed_dictionaries(
        {"pip": st.lists(st.sampled_from(["joblib", "scikit-learn==1.4.2"]), min_size=1, unique=True)},
        optional={"python": st.sampled_from(["3.11", "3.12"]), "strict": st.booleans()},
    ),
)
CONTENTS = [DataContent(files=[DataFile(path=f"{n}.csv", size_bytes=0, parts=[])]) for n in (1, 2)]
DATA = _named(
    "Data",
    ["rows", "labels"],
    st.fixed_dictionaries(
        {"digest": st.sampled_from([content.digest for content in CONTENTS])},
        optional={"description": _TEXT, "tags": _TAGS},
    ),
)


def _consistent(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without functions whose environment is not declared beside them."""
    declared = {d["name"] for d in documents if d["kind"] == "Environment"}
    return [d for d in documents if d.get("environment") != "sk" or "sk" in declared]


DOCUMENTS = st.lists(
    POOLS | DATA | FUNCTIONS | MODELS | ENDPOINTS | ENVIRONMENTS,
    max_size=6,
    unique_by=lambda d: (d["kind"], d["name"]),
).map(_consistent)


def workspace() -> Backend:
    backend = Backend(workspace="default", state=MemoryState(), objects=MemoryObjects(), queue=NullQueue())
    keep_model(backend, "iris", 1, 2, 3)
    for snapshot in SNAPSHOTS:
        backend.objects.put(backend.keys.snapshot_files(snapshot), b'["train.py"]')
    for content in CONTENTS:
        data.keep_content(backend, content)
    return backend


def asked(documents: list[dict[str, Any]], **more: Any) -> DeclaredRequest:
    return DeclaredRequest(documents=documents, **more)


@ANY_SPEED
@given(first=DOCUMENTS, second=DOCUMENTS)
def test_applied_twice_is_applied_once(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    backend = workspace()
    apply(backend, asked(first))
    apply(backend, asked(second))
    assert plan(backend, asked(second)).is_empty


@ANY_SPEED
@given(documents=DOCUMENTS)
def test_an_export_changes_nothing_and_makes_the_same_elsewhere(documents: list[dict[str, Any]]) -> None:
    here, elsewhere = workspace(), workspace()
    apply(here, asked(documents))
    written = export(here)
    assert plan(here, asked(written)).is_empty
    apply(elsewhere, asked(written))
    assert export(elsewhere) == written


@ANY_SPEED
@given(documents=DOCUMENTS)
def test_an_export_as_text_is_read_as_what_it_says(documents: list[dict[str, Any]]) -> None:
    """Whatever stands in descriptions and tags: colons, tabs, numbers, `yes`, line ends of every kind."""
    backend = workspace()
    apply(backend, asked(documents))
    exported = export(backend)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "fitq.yaml")
        file.write_text(as_text(exported), encoding="utf-8")
        assert [w.document for w in (read_written([file]) if exported else [])] == exported


@ANY_SPEED
@given(first=DOCUMENTS, second=DOCUMENTS)
def test_pruning_leaves_what_applying_to_nothing_makes(
    first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    """The set of things afterwards is the set of documents, whatever was there under the label before."""
    backend, fresh = workspace(), workspace()
    apply(backend, asked(first, label="a"))
    apply(backend, asked(second, label="a", prune=True))
    apply(fresh, asked(second))
    assert [(d["kind"], d["name"]) for d in export(backend)] == [
        (d["kind"], d["name"]) for d in export(fresh)
    ]
    assert plan(backend, asked(second, label="a", prune=True)).is_empty
