"""Where Pythons are looked for, and which of them count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fitq.environments.interpreters import choose, find_interpreters, own_interpreter
from fitq.environments.reading import read_spec
from fitq.errors import EnvironmentFailed


def python(path: Path, version: str, **told: object) -> str:
    """A program that says of itself that it is this Python."""
    says = {"path": str(path), "version": [int(n) for n in version.split(".")], "final": True} | told
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{json.dumps(says)}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has no Python but this one."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_they_are_found_on_path_in_pyenv_and_among_uvs_and_named_ones_win(machine: Path) -> None:
    on_path = python(machine / "bin" / "python3.7", "3.7.17")
    pyenvs = python(machine / "pyenv" / "versions" / "3.6.15" / "bin" / "python", "3.6.15")
    uvs = python(machine / "uv" / "cpython-3.8.20" / "bin" / "python3", "3.8.20")
    python(machine / "bin" / "python3.9", "3.9.0")
    named = python(machine / "opt" / "mine", "3.9.0")
    found = find_interpreters(named, machine / "uv")
    assert [i.path for i in found if i.version < (3, 10, 0)] == [pyenvs, on_path, uvs, named]
    assert own_interpreter().version in [i.version for i in found]


def test_what_does_not_answer_or_is_too_old_or_another_python_is_none(machine: Path) -> None:
    before = find_interpreters()
    python(machine / "pyenv" / "versions" / "3.5.2" / "bin" / "python", "3.5.2")
    python(machine / "pyenv" / "versions" / "pypy" / "bin" / "python", "3.8.1", name="pypy")
    python(machine / "pyenv" / "versions" / "3.9-dev" / "bin" / "python", "3.9.30", final=False)
    shim = Path(python(machine / "bin" / "python3.8", "3.8.2"))
    shim.write_text("#!/bin/sh\nexit 127\n")
    assert find_interpreters() == before


def test_the_nearest_is_taken_and_said_unless_the_specification_is_strict(machine: Path) -> None:
    old = python(machine / "bin" / "python3.6", "3.6.15")
    spec = read_spec({"pip": ["numpy"], "python": "3.6.2"})
    choice = choose(spec, find_interpreters)
    assert choice.interpreter.path == old
    assert "Python 3.6.2 was asked for; this is 3.6.15" in choice.substitution
    strict = read_spec({"pip": ["numpy"], "python": "3.6.2", "strict": True})
    with pytest.raises(EnvironmentFailed, match=r"There is no Python 3\.6\.2"):
        choose(strict, find_interpreters)
