"""The data folder: secrets are made once and stay private; one platform at a time."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from fitq.errors import Conflict
from fitq.local.home import Home, find_home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    home = Home(tmp_path / "data")
    home.claim()
    first = home.secrets({})
    assert home.secrets({}) == first
    assert mode(home.folder / "secrets.json") == 0o600
    assert mode(home.folder) == 0o700
    assert (home.folder / ".gitignore").read_text() == "*\n", "no repository takes them in"


def test_a_token_of_the_environment_wins_and_is_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = Home(tmp_path)
    assert home.secrets({"FITQ_TOKEN": "mine"}).token == "mine"
    assert home.secrets({}).token == "mine"


def test_a_second_platform_on_the_folder_hears_where_the_first_is(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.claim()
    first.write_state({"url": "http://127.0.0.1:8700"})
    with pytest.raises(Conflict, match=r"already running at http://127.0.0.1:8700.*fitq down"):
        second.claim()
    second.release()
    assert first.state(), "one that never held the folder takes nothing away"
    assert second.is_held
    first.release()
    assert not second.is_held
    second.claim()
    second.release()


def test_clients_in_the_working_folder_find_a_platform_whose_data_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "here", Home(tmp_path / "data")
    here.mkdir()
    monkeypatch.chdir(here)
    home.claim()
    home.write_config({"fitq_url": "http://127.0.0.1:1"})
    home.tell_here()
    assert json.loads((here / ".fitq/config.json").read_text())["fitq_url"] == "http://127.0.0.1:1"
    assert mode(here / ".fitq/config.json") == 0o600
    assert find_home(None).folder == home.folder
    home.release()


def test_a_configuration_that_a_person_wrote_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / ".fitq/config.json"
    theirs.parent.mkdir()
    theirs.write_text('{"fitq_url": "http://ml.example.org"}')
    home = Home(tmp_path / "data")
    home.claim()
    home.write_config({"fitq_url": "http://127.0.0.1:1"})
    home.tell_here()
    home.release()
    assert "example.org" in theirs.read_text()
