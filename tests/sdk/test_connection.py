"""Where a client finds its platform: the environment, then the nearest file, then a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fitq.errors import InvalidRequest, NotFound
from fitq.sdk import connection
from fitq.sdk.client import Client
from fitq.sdk.connection import find_connection


def write(path: Path, **values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))
    return path


def test_the_environment_wins_over_files(tmp_path: Path) -> None:
    write(tmp_path / ".fitq/config.json", fitq_url="http://file:1", fitq_token="of-the-file")
    given = {"FITQ_URL": "http://env:2/", "FITQ_TOKEN": "of-the-env", "FITQ_SCORING_URL": "http://env:3"}
    found = find_connection(tmp_path, given)
    assert (found.url, found.token, found.scoring_url) == ("http://env:2", "of-the-env", "http://env:3")


def test_a_token_never_travels_to_an_address_its_file_does_not_name(tmp_path: Path) -> None:
    write(tmp_path / ".fitq/config.json", fitq_url="http://file:1", fitq_token="of-the-file")
    assert find_connection(tmp_path, {"FITQ_URL": "http://elsewhere:2"}).token == ""
    assert find_connection(tmp_path, {"FITQ_URL": "http://file:1/"}).token == "of-the-file"


def test_folders_are_searched_upwards_and_ours_comes_first(tmp_path: Path) -> None:
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    write(tmp_path / "config.json", fitq_url="http://top:1")
    assert find_connection(deep, {}).url == "http://top:1"
    write(tmp_path / "a/aml_config/config.json", fitq_url="http://old:1")
    assert find_connection(deep, {}).url == "http://old:1"
    write(tmp_path / "a/.azureml/config.json", fitq_url="http://azure:1")
    assert find_connection(deep, {}).url == "http://azure:1"
    write(tmp_path / "a/.fitq/config.json", fitq_url="http://ours:1")
    assert find_connection(deep, {}).url == "http://ours:1"


def test_a_config_json_of_something_else_is_passed_by(tmp_path: Path) -> None:
    deep = tmp_path / "project"
    write(deep / "config.json", learning_rate=0.1)
    (deep / "aml_config").mkdir()
    (deep / "aml_config/config.json").write_text("// not JSON")
    write(tmp_path / ".fitq/config.json", fitq_url="http://ours:1")
    assert find_connection(deep, {}).url == "http://ours:1"


def test_azures_own_file_names_the_workspace_beside_our_variables(tmp_path: Path) -> None:
    write(tmp_path / "config.json", subscription_id="s", resource_group="g", workspace_name="ws")
    found = find_connection(tmp_path, {"FITQ_URL": "http://env:8700"})
    assert (found.workspace, found.resource_group, found.scoring_url) == ("ws", "g", "http://env:8701")


def test_a_file_may_be_named_itself(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.json", fitq_url="http://mine:1", fitq_token="t")
    assert find_connection(file, {}).token == "t"


def test_nothing_to_be_found_says_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The folders above the test's may hold somebody's platform.
    monkeypatch.setattr(connection, "_candidates", lambda place: (place / name for name in connection.PLACES))
    write(tmp_path / "config.json", workspace_name="azure-only")
    with pytest.raises(NotFound, match="fitq up") as caught:
        find_connection(tmp_path, {})
    assert "has no fitq_url" in str(caught.value)
    with pytest.raises(NotFound, match="There is no file or folder"):
        find_connection(tmp_path / "nowhere", {})


def test_a_broken_file_of_ours_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".fitq").mkdir()
    (tmp_path / ".fitq/config.json").write_text("{")
    with pytest.raises(InvalidRequest, match=r"\.fitq/config\.json"):
        find_connection(tmp_path, {})


def test_a_file_of_another_user_on_the_way_up_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may write into /tmp; what lies there must not say where our code is sent."""
    file = write(tmp_path / "config.json", fitq_url="http://elsewhere:1")
    deep = tmp_path / "project"
    write(deep / ".fitq/config.json", fitq_url="http://ours:1")
    monkeypatch.setattr(connection, "_is_trusted", lambda found: found != file)
    assert find_connection(deep, {}).url == "http://ours:1"
    (deep / ".fitq/config.json").unlink()
    monkeypatch.setattr(connection, "_candidates", lambda _: iter([file]))
    with pytest.raises(NotFound, match="another user"):
        find_connection(deep, {})


def test_the_token_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path / ".fitq/config.json", fitq_url="http://ours:1", fitq_token="very-secret")
    assert "very-secret" not in repr(find_connection(tmp_path, {}))


def test_from_config_reads_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("FITQ_TOKEN", "t")
    assert Client.from_config().url == "http://127.0.0.1:9"


def test_an_address_without_scheme_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="FITQ_URL"):
        Client("localhost:8700")
