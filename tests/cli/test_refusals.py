"""What goes wrong is a sentence on stderr and an exit code, never a trace."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fitq.cli.output import exit_code_of
from fitq.errors import Conflict, InternalError, NotFound, RunFailed, ScoringFailed, Unavailable
from fitq.local.home import Home
from tests.cli.conftest import Fitq


def test_exit_codes_say_whose_turn_it_is() -> None:
    assert exit_code_of(RunFailed("x")) == 1
    assert {exit_code_of(e("x")) for e in (NotFound, Conflict, ScoringFailed)} == {2}
    assert {exit_code_of(e("x")) for e in (Unavailable, InternalError)} == {3}


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "list"],
        ["submit", "train.py"],
        ["call", "iris"],
        ["score", "iris"],
        ["dashboard"],
        ["doctor"],
    ],
)
def test_without_a_configuration_the_way_to_one_is_said(
    alone: Fitq, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "train.py").touch()
    told = alone(*words)
    assert told.code == 2
    assert "fitq up" in told.out + told.err
    assert "Traceback" not in told.err


def test_a_platform_that_does_not_answer_is_exit_3(alone: Fitq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_URL", "http://127.0.0.1:9")
    told = alone("runs", "list")
    assert told.code == 3
    assert told.out == ""
    assert "Nothing answers at http://127.0.0.1:9" in told.err
    monkeypatch.setenv("FITQ_TOKEN", "secret")
    told = alone("dashboard")
    assert (told.code, told.out) == (3, ""), "no link that would not open"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["submitt"], "Did you mean 'submit'"),
        (["submit", "nowhere.py"], "no file or folder nowhere.py"),
        (["submit", ".", "--script", "gone.py"], "gone.py is not part of the snapshot"),
        (["submit", "empty"], "holds no scripts"),
        (["submit", "train.py", "--penalty", "1"], "comes after --: fitq submit train.py -- --penalty"),
        (["call", "iris", "kernel=linear"], "given by name: fitq call iris -p penalty=1.0"),
        (["call", "iris", "--kernel", "linear"], "given by name: fitq call iris -p penalty=1.0"),
        (["call", "iris", "--parameter", "kernel"], "is not NAME=VALUE"),
        (["call", "iris", "--parameter", "a=1", "--parameter", "a=2"], "twice"),
        (["call", "irs"], "Did you mean 'iris'"),
        (["call", "iris", "--parameter", "kernel=lin"], "must be one of"),
        (["call", "iris", "--memory", "much"], "not a size"),
        (["call", "iris", "--memory", "99999999999GiB"], "more than there is"),
        (["call", "iris", "--timeout", "soon"], "not a duration"),
        (["call", "iris", "--timeout", "9" * 400], "more than there is"),
        (["call", "iris", "--cpus", "nan"], "--cpus nan"),
        (["call", "iris", "--cpus", "inf"], "--cpus inf"),
        (["call", "iris", "--environment", "train.py"], "no header that lists its packages"),
        (["runs", "show", "iris-zzzzzzzz"], "iris-zzzzzzzz"),
        (["models", "register", "m"], "from a run, from a file, or from another"),
        (["models", "show", "iris:"], "is not MODEL or MODEL:VERSION"),
        (["score", "nosuch"], "nosuch"),
        (["score", "nosuch", "--data", "[[1"], "is not JSON"),
        (["score", "nosuch", "--data", "rows.json"], "no such file"),
        (["score", "nosuch", "--data", "model.joblib"], "model.joblib is not JSON"),
        (["score", "nosuch", "--data", "[" * 100_000], "is not JSON"),
        (["endpoints", "show", "nosuch"], "nosuch"),
        (["endpoints", "deploy", "flowers", "--model", "iris:1", "--traffic", "1=100"], "both name versions"),
        (["pools", "scale", "default", "3", "--max", "1"], "min_workers"),
        (["up", "--pool", "cpu"], "is not NAME=N"),
        (["up", "--pool", "cpu=1", "--pool", "cpu=2"], "gives 'cpu' twice"),
        (["backup", "friday.tar"], "No platform has kept anything in"),
        (["restore", "friday.tar"], "'friday.tar' does not exist"),
        (["apply", "-f", "model.joblib"], "It is not YAML"),
        (["up", "--workers", "-1"], "--workers"),
    ],
)
def test_what_you_can_fix_is_exit_2(fitq: Fitq, tmp_path: Path, words: list[str], expected: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "train.py").touch()
    (tmp_path / "model.joblib").write_bytes(b"\x80\x04\x95")
    told = fitq(*words)
    assert told.code == 2, told
    assert expected in told.err
    assert told.out == ""
    assert "Traceback" not in told.err


def test_a_wrong_token_is_exit_2(fitq: Fitq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_TOKEN", "wrong")
    told = fitq("runs", "list")
    assert told.code == 2
    assert "token" in told.err.lower()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("FITQ_TOKEN", "…", "The token has characters that no token has"),
        ("FITQ_TOKEN", "two\nlines", "The token has characters that no token has"),
        ("FITQ_URL", "http://127.0.0.1:87000", "is not an address"),
        ("FITQ_URL", "http://[::1", "is not an address"),
        ("FITQ_URL", "127.0.0.1:8700", "is not an address"),
    ],
)
def test_a_variable_that_was_mistyped_is_a_sentence(
    alone: Fitq, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv("FITQ_URL", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, value)
    told = alone("runs", "list")
    assert told.code == 2, told
    assert expected in told.err
    assert "Traceback" not in told.err


def test_a_platform_that_is_just_starting_says_so(alone: Fitq, tmp_path: Path) -> None:
    home = Home(tmp_path / ".fitq")
    home.claim()
    told = alone("status")
    home.release()
    assert told.code == 0, told
    assert "just starting" in told.err


def test_a_run_that_nobody_takes_says_so_when_it_is_submitted(fitq: Fitq) -> None:
    Path("train.py").touch()
    told = fitq("submit", "train.py", "--pool", "nobody")
    assert told.code == 0, told
    assert "no worker in pool nobody; it gets one so: fitq pools scale nobody 1" in told.err
    assert fitq("runs", "cancel", told.out.strip()).code == 0


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".fitq").write_text("in the way")
    words = [sys.executable, "-m", "fitq", "up", "--api-port", "0", "--scoring-port", "0"]
    told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert ".fitq" in told.stderr
    assert "Traceback" not in told.stderr


def test_settings_show_no_secret(alone: Fitq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_TOKEN", "do-not-show-me")
    monkeypatch.setenv("FITQ_REDIS_URL", "redis://:nor-me@h:1/0")
    told = alone("settings")
    assert told.code == 0
    assert "FITQ_TOKEN" in told.out
    assert "me" not in told.out.replace("meaning", "").lower().split()
    assert "do-not-show-me" not in told.out
    assert "nor-me" not in told.out


def test_a_bad_setting_names_variable_and_value(alone: Fitq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_SLOTS", "many")
    told = alone("settings")
    assert told.code == 2
    assert "FITQ_SLOTS is 'many'" in told.err


def test_azureml_path_is_a_folder_with_azureml(alone: Fitq) -> None:
    folder = Path(alone("azureml-path").out.strip())
    assert stat.S_ISDIR((folder / "azureml").stat().st_mode)
