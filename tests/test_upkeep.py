"""What may change of a registered version, and what deleting leaves behind."""

from __future__ import annotations

import io
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from fitq import endpoints, upkeep
from fitq.backend import Backend
from fitq.errors import Conflict, InvalidRequest, NotFound
from fitq.kept_snapshots import keep_snapshot
from fitq.model_settings import set_alias
from fitq.records import ChangeRequest, EndpointRequest, EntryRequest, ModelRecord, RegisterRequest
from fitq.registry import register
from fitq.snapshots import pack


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upkeep") / "model.joblib"
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), path)
    return path


def registered(backend: Backend, file: Path, **fields: object) -> ModelRecord:
    return register(backend, RegisterRequest(name="iris", **fields), upload=file)  # type: ignore[arg-type]


@pytest.fixture
def backend(memory_backend: Backend, file: Path) -> Backend:
    """With two versions of a model, of the same bytes; the first is `prod`."""
    registered(memory_backend, file, tags={"by": "ana", "old": "1"})
    registered(memory_backend, file)
    set_alias(memory_backend, "iris", "prod", 1)
    return memory_backend


def test_tags_are_added_changed_and_taken_away_and_the_rest_stays(backend: Backend) -> None:
    before = backend.catalog.model("iris", 1)
    upkeep.change(backend, "iris", "prod", ChangeRequest(tags={"by": "eva", "old": None, "new": "2"}))
    after = backend.catalog.model("iris", 1)
    assert after.tags == {"by": "eva", "new": "2"}
    assert (after.description, after.tolerated, after.sha256) == ("", False, before.sha256)
    upkeep.change(backend, "iris", 1, ChangeRequest(tolerated=True, description="kept"))
    last = backend.catalog.model("iris", 1)
    assert (last.tags, last.description, last.tolerated) == (after.tags, "kept", True)


def test_a_deleted_version_is_in_no_list_and_its_number_is_not_used_again(
    backend: Backend, file: Path
) -> None:
    upkeep.delete_version(backend, "iris", 2)
    assert backend.catalog.versions("iris") == [1]
    assert backend.catalog.model("iris").version == 1
    with pytest.raises(NotFound, match="no version 2"):
        backend.catalog.model("iris", 2)
    upkeep.delete_version(backend, "iris", 2)  # twice is fine
    with pytest.raises(NotFound):
        upkeep.delete_version(backend, "iris", 7)
    assert registered(backend, file).version == 3


def test_models_that_a_script_reads_stay_with_it_and_go_with_it(
    memory_backend: Backend, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        joblib.dump(name, tmp_path / f"{name}.joblib")
        request = RegisterRequest(name=name, framework="Custom")
        register(memory_backend, request, upload=tmp_path / f"{name}.joblib")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text("def run(data): pass")
    packed = io.BytesIO(pack(tmp_path / "code").data)
    snapshot = keep_snapshot(memory_backend, packed, max_bytes=10**6, max_files=10)

    def with_script(*models: str, **of: str) -> ModelRecord:
        entry = EntryRequest(script="score.py", snapshot=snapshot, models=list(models))
        return register(memory_backend, RegisterRequest(name="both", entry=entry, **of))  # type: ignore[arg-type]

    for wrong in (["one"], ["two", "two:1"]):
        with pytest.raises(InvalidRequest, match="named twice"):
            with_script(*wrong, model="one")
    with pytest.raises(NotFound, match="no version 7"):
        with_script("two:7", model="one")
    both = with_script("two", model="one")
    assert both.entry is not None
    assert [m.path for m in both.entry.models] == ["one/1/one.joblib", "two/1/two.joblib"]
    upkeep.delete_model(memory_backend, "two")
    copies = [m.object_key for m in both.entry.models]
    assert both.object_key == copies[0]
    assert all(memory_backend.objects.size(key) for key in copies)
    upkeep.delete_version(memory_backend, "both", 1)
    assert not any(memory_backend.objects.size(key) for key in copies)


def test_bytes_stay_while_another_version_needs_them(backend: Backend) -> None:
    record = backend.catalog.model("iris", 2)
    golden = backend.keys.model_golden("iris", record.golden)
    upkeep.delete_version(backend, "iris", 2)
    assert backend.objects.size(record.object_key) == record.size_bytes
    assert backend.objects.size(golden)
    upkeep.delete_model(backend, "iris")
    assert backend.objects.size(record.object_key) is None
    assert backend.objects.size(golden) is None


def test_what_an_alias_or_an_endpoint_points_to_is_not_deleted(backend: Backend) -> None:
    with pytest.raises(Conflict, match="prod"):
        upkeep.delete_version(backend, "iris", 1)
    endpoints.deploy(backend, "flowers", EndpointRequest(model="iris", traffic={"2": 100}))
    with pytest.raises(Conflict, match="flowers"):
        upkeep.delete_version(backend, "iris", 2)
    with pytest.raises(Conflict, match="flowers"):
        upkeep.delete_model(backend, "iris")
    assert backend.catalog.versions("iris") == [1, 2]


def test_a_deleted_model_is_gone_with_its_aliases_and_counts_on_when_registered_again(
    backend: Backend, file: Path
) -> None:
    upkeep.delete_model(backend, "iris")
    upkeep.delete_model(backend, "iris")  # twice is fine
    with pytest.raises(NotFound):
        upkeep.delete_model(backend, "roses")
    assert backend.catalog.summaries() == []
    with pytest.raises(NotFound, match="no model 'iris'"):
        backend.catalog.model("iris", "prod")
    assert registered(backend, file).version == 3
    assert backend.catalog.aliases("iris") == {}


def test_deleting_that_was_interrupted_can_be_done_again(backend: Backend) -> None:
    backend.objects.put(backend.keys.model_tombstone("iris", 2), b"")
    assert backend.catalog.versions("iris") == [1]
    upkeep.delete_version(backend, "iris", 2)
    with pytest.raises(NotFound):
        backend.catalog.model("iris", 2)


@pytest.mark.parametrize("version", ["prod", "latest", "-1", "²", ""])
def test_only_a_number_can_be_deleted(version: str) -> None:
    with pytest.raises(InvalidRequest, match="not a version number"):
        upkeep.check_number(version)
