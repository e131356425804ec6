"""What documents change, in which order, and what they leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from fitq import (
    data,
    data_settings,
    endpoints,
    environment_names,
    model_settings,
    pools,
    publishing,
    submission,
)
from fitq.backend import Backend
from fitq.declared.applying import apply
from fitq.declared.exporting import export
from fitq.declared.planning import plan
from fitq.documents import Action, DeclaredRequest, Plan
from fitq.errors import InvalidRequest, NotFound, Outdated
from fitq.records import DataContent, DataFile, DataRequest, DataSettings, PoolSettings, RunRequest
from tests.conftest import keep_model

POOL = {"kind": "Pool", "name": "cpu", "min_workers": 1, "max_workers": 3}
MODEL = {"kind": "Model", "name": "iris", "aliases": {"prod": 1}}
ENDPOINT = {"kind": "Endpoint", "name": "flowers", "model": "iris", "traffic": {"prod": 100}}


def asked(*documents: dict[str, Any], **more: Any) -> DeclaredRequest:
    return DeclaredRequest(documents=list(documents), **more)


def made(found: Plan) -> list[tuple[str, str]]:
    return [(c.key, c.action.value) for c in found.changes if c.action is not Action.KEEP]


def paths(found: Plan) -> dict[str, tuple[object, object]]:
    return {f.path: (f.before, f.after) for c in found.changes for f in c.fields}


def problems(backend: Backend, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    with pytest.raises(InvalidRequest) as refused:
        plan(backend, asked(*documents))
    found: list[dict[str, Any]] = refused.value.data["problems"]
    return found


def test_a_model_is_told_about_and_what_others_said_of_it_stays(there: Backend) -> None:
    model_settings.set_alias(there, "iris", "prod", 2)
    said = {"kind": "Model", "name": "iris", "description": "Which iris it is.", "tags": {"team": "garden"}}
    apply(there, asked(said))
    assert export(there) == [{**said, "aliases": {"prod": 2}}]
    assert plan(there, asked(said)).is_empty


def test_a_plan_changes_nothing(there: Backend) -> None:
    assert made(plan(there, asked(POOL))) == [("Pool/cpu", "create")]
    assert pools.configured(there) == []


def test_what_others_need_is_made_first_whatever_the_order_of_the_documents(there: Backend) -> None:
    done = apply(there, asked(ENDPOINT, MODEL, POOL))
    assert made(done) == [("Pool/cpu", "create"), ("Model/iris", "replace"), ("Endpoint/flowers", "create")]
    assert there.catalog.endpoint("flowers").traffic == {"1": 100}
    assert pools.find_pool(there, "cpu").max_workers == 3


def test_applied_again_nothing_changes(there: Backend) -> None:
    apply(there, asked(POOL, MODEL, ENDPOINT))
    before = {o.key: there.objects.get(o.key) for o in there.objects.list("")}
    assert plan(there, asked(POOL, MODEL, ENDPOINT)).is_empty
    apply(there, asked(POOL, MODEL, ENDPOINT))
    after = {o.key: there.objects.get(o.key) for o in there.objects.list("") if "/applied/" not in o.key}
    assert after.items() <= before.items()


def test_an_alias_that_the_same_documents_move_is_meant_as_moved(there: Backend) -> None:
    apply(there, asked(MODEL, ENDPOINT))
    moved = {**MODEL, "aliases": {"prod": 2}}
    assert paths(plan(there, asked(moved, ENDPOINT))) == {
        "aliases.prod": (1, 2),
        "traffic.1": (100, None),
        "traffic.2": (None, 100),
    }
    apply(there, asked(moved, ENDPOINT))
    assert there.catalog.endpoint("flowers").traffic == {"2": 100}


def test_a_field_that_no_document_names_is_left_as_it_is(there: Backend) -> None:
    pools.configure(there, "cpu", PoolSettings(min_workers=2, idle_seconds=7))
    apply(there, asked({"kind": "Pool", "name": "cpu", "max_workers": 9}))
    assert pools.kept_settings(there, "cpu")[0] == PoolSettings(min_workers=2, max_workers=9, idle_seconds=7)


def test_a_field_that_is_not_named_any_more_goes_back_to_its_default(there: Backend) -> None:
    apply(there, asked(POOL))
    fewer = {k: v for k, v in POOL.items() if k != "max_workers"}
    assert paths(plan(there, asked(fewer))) == {"max_workers": (3, None)}
    apply(there, asked(fewer))
    assert plan(there, asked(fewer)).is_empty


def test_a_new_version_alone_does_not_move_an_endpoint_that_names_no_traffic(there: Backend) -> None:
    document = {"kind": "Endpoint", "name": "flowers", "model": "iris"}
    apply(there, asked(document))
    keep_model(there, "iris", 3)
    assert plan(there, asked(document)).is_empty


def test_another_model_behind_an_endpoint_starts_with_its_newest_version(there: Backend) -> None:
    keep_model(there, "roses", 7)
    apply(there, asked({"kind": "Endpoint", "name": "flowers", "model": "iris"}))
    apply(there, asked({"kind": "Endpoint", "name": "flowers", "model": "roses"}))
    assert there.catalog.endpoint("flowers").traffic == {"7": 100}


def test_applying_keeps_an_endpoints_keys(there: Backend) -> None:
    apply(there, asked(MODEL, ENDPOINT))
    before = endpoints.endpoint_keys(there, "flowers")
    apply(there, asked({**ENDPOINT, "description": "for the shop"}))
    assert endpoints.endpoint_keys(there, "flowers") == before


def test_what_somebody_changed_since_the_last_apply_is_told_apart(there: Backend) -> None:
    apply(there, asked(POOL))
    pools.configure(there, "cpu", PoolSettings(min_workers=1, max_workers=5))
    (change,) = plan(there, asked({**POOL, "min_workers": 2})).changes
    assert {f.path: f.is_drift for f in change.fields} == {"min_workers": False, "max_workers": True}


def test_pruning_removes_only_what_has_the_label_and_no_document(there: Backend) -> None:
    apply(there, asked({**POOL, "name": "others"}, label="b"))
    pools.configure(there, "by-hand", PoolSettings())
    apply(there, asked(POOL, {**POOL, "name": "old"}, MODEL, ENDPOINT, label="a"))
    gone = apply(there, asked(POOL, label="a", prune=True))
    assert made(gone) == [("Endpoint/flowers", "remove"), ("Model/iris", "remove"), ("Pool/old", "remove")]
    assert sorted(pools.configured(there)) == ["by-hand", "cpu", "others"]
    assert there.catalog.versions("iris") == [1, 2], "a model's versions are kept"
    assert there.catalog.aliases("iris") == {}
    assert made(apply(there, asked(POOL, label="a", prune=True))) == []


def test_pruning_without_a_label_is_refused(there: Backend) -> None:
    with pytest.raises(InvalidRequest, match="needs a label"):
        plan(there, asked(POOL, prune=True))


def test_a_label_can_be_taken_over_and_says_so(there: Backend) -> None:
    apply(there, asked(POOL, label="a"))
    assert plan(there, asked(POOL)).changes[0].label == "a"
    assert paths(plan(there, asked(POOL, label="b"))) == {"label": ("a", "b")}
    apply(there, asked(POOL, label="b"))
    assert made(plan(there, asked(label="a", prune=True))) == []


def test_nothing_is_written_over_that_changed_since_the_plan(there: Backend) -> None:
    documents = (POOL, MODEL, ENDPOINT)
    revisions = {c.key: c.revision for c in plan(there, asked(*documents)).changes}
    pools.configure(there, "cpu", PoolSettings(min_workers=2))
    with pytest.raises(Outdated, match="since the plan"):
        apply(there, asked(*documents, revisions=revisions))
    assert there.catalog.aliases("iris") == {}, "nothing at all was applied"


def test_everything_wrong_is_told_at_once_and_nothing_is_applied(there: Backend) -> None:
    wrong: list[dict[str, Any]] = [
        POOL,
        {"kind": "Pool", "name": "GPU"},
        {"kind": "Pool", "name": "gpu", "min_workers": "two"},
        {"kind": "Pool", "name": "gpu", "min_worker": 2},
        {"kind": "Pol", "name": "gpu"},
        {"name": "gpu"},
        {"kind": "Pool"},
        {"kind": "Endpoint", "name": "flowers"},
        {"kind": "Endpoint", "name": "flowers", "model": "tulips"},
        {"kind": "Endpoint", "name": "roses", "model": "iris", "traffic": {"1": 50}},
        {"kind": "Model", "name": "iris", "aliases": {"prod": 9}},
        POOL,
    ]
    found = problems(there, *wrong)
    assert [p["document"] for p in found] == list(range(1, 12))
    assert [p["at"] for p in found][:6] == ["name", "min_workers", "min_worker", "kind", "", ""]
    assert "Did you mean 'min_workers'" in found[2]["message"]
    assert "Did you mean 'Pool'" in found[3]["message"]
    assert found[-1]["message"] == "Pool 'cpu' is declared twice."
    assert pools.configured(there) == []


def test_an_export_of_a_label_is_only_that_label(there: Backend) -> None:
    apply(there, asked(POOL, label="a"))
    apply(there, asked(MODEL, ENDPOINT, label="b"))
    assert export(there, label="a") == [POOL]
    assert [d["kind"] for d in export(there)] == ["Pool", "Model", "Endpoint"]


def test_other_packages_make_the_next_version_of_an_environment(there: Backend) -> None:
    document = {"kind": "Environment", "name": "sk", "pip": ["scikit-learn==1.4.2"]}
    apply(there, asked(document))
    assert plan(there, asked(document)).is_empty
    conda = {"kind": "Environment", "name": "sk", "conda": {"dependencies": ["python=3.11", "numpy"]}}
    assert set(paths(apply(there, asked(conda)))) == {"pip", "conda.dependencies"}
    assert environment_names.versions(there, "sk") == [1, 2]
    assert environment_names.find(there, "sk").spec == {"conda": conda["conda"]}
    apply(there, asked(conda, label="a"))
    apply(there, asked(label="a", prune=True))
    assert environment_names.names(there) == []
    assert environment_names.find(there, "sk:1").version == 1, "runs name it"
    apply(there, asked(conda))
    assert environment_names.versions(there, "sk") == [3], "no number is given twice"
    wrong: list[dict[str, Any]] = [
        {"kind": "Environment", "name": "x", "pip": ["not a requirement !"]},
        {"kind": "Environment", "name": "y"},
        {"kind": "Environment", "name": "AzureML-Tutorial", "pip": ["joblib"]},
    ]
    assert [p["document"] for p in problems(there, *wrong)] == [0, 1, 2]


def kept(backend: Backend, path: str) -> str:
    return data.keep_content(backend, DataContent(files=[DataFile(path=path, size_bytes=0, parts=[])]))


def _script(backend: Backend) -> str:
    backend.objects.put(backend.keys.snapshot_files("0" * 64), b'["x.py"]')
    return "0" * 64


def rows(digest: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Data", "name": "rows", "digest": digest, **more}


def test_the_newest_version_of_data_is_what_the_document_says(there: Backend) -> None:
    one, two = kept(there, "1.csv"), kept(there, "2.csv")
    for digest in (one, two, one):
        apply(there, asked(rows(digest)))
        assert plan(there, asked(rows(digest))).is_empty
    assert [data.find(there, "rows", v).digest for v in (1, 2, 3)] == [one, two, one]
    assert data.find(there, "rows", 3).files[0].path == "1.csv"


def test_other_words_about_the_same_data_make_no_version(there: Backend) -> None:
    digest = kept(there, "1.csv")
    apply(there, asked(rows(digest, description="Rows.", tags={"a": "b"})))
    before = data.find(there, "rows")
    apply(there, asked(rows(digest, description="All rows.")))
    after = data.find(there, "rows")
    assert (after.id, after.description, after.tags) == ("rows:1", "All rows.", {})
    assert (after.files, after.created_at) == (before.files, before.created_at)


def test_data_that_somebody_uploaded_is_drift_and_is_not_written_over_unseen(there: Backend) -> None:
    digest = kept(there, "1.csv")
    apply(there, asked(rows(digest)))
    revisions = {c.key: c.revision for c in plan(there, asked(rows(digest))).changes}
    data.add(there, DataRequest(name="rows", files=[DataFile(path="2.csv", size_bytes=0, parts=[])]))
    (change,) = plan(there, asked(rows(digest))).changes
    assert [(f.path, f.is_drift) for f in change.fields] == [("digest", True)]
    with pytest.raises(Outdated):
        apply(there, asked(rows(digest), revisions=revisions))
    with pytest.raises(Outdated):
        data_settings.configure(there, "rows", DataSettings(digest=digest), expected="older")


def test_what_was_pruned_is_in_no_list_and_the_runs_that_took_it_still_find_it(there: Backend) -> None:
    digest = kept(there, "1.csv")
    apply(there, asked(rows(digest), label="a"))
    taken = submission.submit(there, RunRequest(script="x.py", snapshot=_script(there), inputs={"x": "rows"}))
    assert made(apply(there, asked(label="a", prune=True))) == [("Data/rows", "remove")]
    assert (data.names(there), export(there)) == ([], [])
    with pytest.raises(NotFound, match="'rows' was withdrawn"):
        data.resolve(there, "rows")
    assert data.resolve(there, taken.inputs["x"]).digest == digest
    apply(there, asked(rows(digest)))
    assert data.versions(there, "rows") == [2], "no number is given twice"


def test_content_that_is_not_here_is_told_before_anything_is_applied(there: Backend) -> None:
    with pytest.raises(InvalidRequest, match="no content") as refused:
        apply(there, asked(POOL, rows("0" * 64)))
    assert [(p["document"], p["at"]) for p in refused.value.data["problems"]] == [(1, "digest")]
    assert pools.configured(there) == []


def sk(*pip: str) -> dict[str, Any]:
    return {"kind": "Environment", "name": "sk", "pip": list(pip)}


def train(backend: Backend, environment: object) -> dict[str, Any]:
    fields = {"snapshot": _script(backend), "environment": environment}
    return {"kind": "Function", "name": "train", **fields}


def test_a_function_follows_the_environment_that_the_same_documents_declare(there: Backend) -> None:
    function = train(there, "sk")
    assert paths(plan(there, asked(function, sk("joblib"))))["environment.name"] == (None, "sk:1")
    apply(there, asked(function, sk("joblib")))
    assert plan(there, asked(function, sk("joblib"))).is_empty
    found = plan(there, asked(function, sk("numpy")))
    assert made(found) == [("Environment/sk", "replace"), ("Function/train", "replace")]
    assert paths(found)["environment.name"] == ("sk:1", "sk:2")
    apply(there, asked(function, sk("numpy")))
    assert plan(there, asked(function, sk("numpy"))).is_empty
    versions = publishing.find_code(there, "train")[0].versions
    assert [v.environment.spec for v in versions] == [{"pip": ["numpy"]}, {"pip": ["joblib"]}]
    assert len({v.id for v in versions}) == 2, "the same folder, in two environments"


def test_an_export_names_a_functions_environment_only_while_the_name_stands_for_it(there: Backend) -> None:
    apply(there, asked(train(there, "sk"), sk("joblib"), label="a"))
    assert export(there) == [sk("joblib"), train(there, "sk")]
    apply(there, asked(sk("numpy")))
    pinned = {"name": "sk:1", "pip": ["joblib"]}
    assert export(there) == [sk("numpy"), train(there, pinned)]
    assert plan(there, asked(*export(there))).is_empty


def test_what_is_wrong_with_a_functions_environment_is_told_with_its_place(there: Backend) -> None:
    found = problems(
        there,
        train(there, "sklern"),
        {**train(there, {"pip": ["not a requirement !"]}), "name": "b"},
        {**train(there, {"pip": ["joblib"], "conda": {}}), "name": "c"},
        {**train(there, 3), "name": "d"},
    )
    assert [p["at"] for p in found] == ["environment", "environment.pip[0]", "environment", "environment"]


def test_a_function_without_its_environment_any_more_goes_back_to_its_workers_packages(
    there: Backend,
) -> None:
    apply(there, asked(train(there, {"pip": ["joblib"]})))
    without = {k: v for k, v in train(there, None).items() if k != "environment"}
    apply(there, asked(without))
    assert export(there) == [without]
