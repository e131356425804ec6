"""`fitq environments` and `--environment`, on a real platform."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Fitq
from tests.environments.conftest import TINY

SHOW = "import iniconfig, sys\nprint('has', iniconfig.__name__)\n"


def test_an_environment_is_built_ahead_and_used_by_name(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "tiny.txt").write_text(f"{TINY}\n")
    built = fitq("environments", "build", "tiny.txt", "--description", "for tests")
    assert built.code == 0, built.err
    assert built.out == "tiny:1\n"
    assert "environment ready in" in built.err
    shown = json.loads(fitq("environments", "show", "tiny", "--json").out)
    assert shown["build"]["status"] == "Completed"
    assert shown["build"]["packages"] == {"iniconfig": "1.1.1"}
    assert "iniconfig 1.1.1" in fitq("environments", "show", "tiny").out
    assert "tiny" in fitq("environments", "list").out

    (tmp_path / "train.py").write_text(SHOW)
    run = fitq("submit", "train.py", "--environment", "tiny", "--follow")
    assert run.code == 0, run.err
    assert "has iniconfig" in run.err
    assert "building environment" not in run.err
    record = json.loads(fitq("runs", "show", run.out.strip(), "--json").out)
    assert record["environment"]["hash"] == shown["build"]["hash"]

    assert fitq("environments", "withdraw", "tiny").code == 0
    assert "tiny" not in fitq("environments", "list").out
    assert fitq("environments", "show", "tiny").code == 2
    assert fitq("environments", "show", "tiny:1").code == 0, "runs name it"
    assert "curated: it is there for ever" in fitq("environments", "withdraw", "AzureML-Tutorial").err


def test_a_script_that_lists_its_packages_gets_them(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(f'# /// script\n# dependencies = ["{TINY}"]\n# ///\n{SHOW}')
    run = fitq("submit", "train.py", "--follow")
    assert run.code == 0, run.err
    assert "has iniconfig" in run.err


def test_a_build_that_fails_says_why(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_text("scikit-lern\n")
    built = fitq("environments", "build", "wrong.txt")
    assert built.code == 1
    assert "Did you mean 'scikit-learn'" in built.err
    failure = json.loads(fitq("environments", "show", "wrong", "--json").out)["build"]["failure"]
    assert failure["kind"] == "environment_failed"


def test_an_environment_that_nobody_knows_is_said_with_near_ones(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SHOW)
    told = fitq("submit", "train.py", "--environment", "AzureML-Tutorail")
    assert told.code == 2
    assert "Did you mean 'AzureML-Tutorial'" in told.err
