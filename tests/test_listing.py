"""Functions of a folder as a child tells them, whatever interpreter it has and whatever the files do."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import cast

import psutil
import pytest

from fitq.environments.interpreters import Interpreter, find_interpreters
from fitq.errors import Unavailable
from fitq.isolation.groups import Groups
from fitq.isolation.ladder import Ladder
from fitq.worker import listing
from fitq.worker.importing import Importer
from fitq.worker.listing import list_folder
from fitq.worker.runtime import SHIMS, Runtime

_INSIDE = SHIMS.parent / "fitq_inside"
CODE = '''
import sys
from pathlib import Path
from fitq import RunContext, function

@function(pool="old", name="fit-it")
def fit(run: RunContext, depth: int, penalty: float = 1.0, note=None) -> None:
    """Fit.

    More.
    """
    run.log("python", "%d.%d" % sys.version_info[:2])
    run.log("depth", depth)
'''


def one_of_each_minor() -> list[Interpreter]:
    return list({interpreter.minor: interpreter for interpreter in find_interpreters()}.values())


class Bare:
    """An interpreter with nothing of ours installed, as in an environment."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.python = interpreter.path

    def variables(self) -> dict[str, str]:
        return {"PYTHONPATH": os.pathsep.join(map(str, (SHIMS, _INSIDE))), "PATH": os.defpath}


def test_a_function_is_listed_and_called_by_any_python_without_anything_of_ours(
    tmp_path: Path, importer: Importer
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "fit.py").write_text(CODE)
    call = {"folder": str(tmp_path / "code"), "file": "fit.py", "name": "fit-it", "parameters": {"depth": 3}}
    (tmp_path / "call.json").write_text(json.dumps(call))
    for interpreter in one_of_each_minor():
        check_listed_and_called(Bare(interpreter), interpreter.minor, tmp_path, importer)


def check_listed_and_called(bare: Bare, minor: str, folder: Path, importer: Importer) -> None:
    (record,) = list_folder(folder / "code", importer, cast(Runtime, bare))
    assert (record.name, record.pool, record.file, record.error) == ("fit-it", "old", "fit.py", "")
    assert record.description == "Fit.\n\nMore."
    assert [(p.name, p.type, p.required, p.default) for p in record.parameters] == [
        ("depth", "int", True, None),
        ("penalty", "float", False, 1.0),
        ("note", "any", False, None),
    ]
    command = [bare.python, str(SHIMS.parent / "call.py"), str(folder / "call.json")]
    subprocess.run(command, env={**bare.variables(), "FITQ_RUN_FOLDER": str(folder)}, check=True)
    assert f'"value": "{minor}"' in (folder / "metrics.jsonl").read_text()


def test_every_file_that_cannot_be_used_says_why_and_hides_no_other(
    tmp_path: Path, importer: Importer
) -> None:
    function = "from fitq import function\n"
    files = {
        "good.py": f"{function}@function\ndef good(run): ...\nprint('at import')\n",
        "missing.py": "import nothing_like_this\n",
        "leaves.py": "raise SystemExit('no')\n",
        "ends.py": "import os, sys\nprint('last words', file=sys.stderr)\nsys.stderr.flush()\nos._exit(7)\n",
        "killed.py": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        "odd-name.py": f"{function}@function(name='two words')\ndef odd(run): ...\n",
        "pool.py": f"{function}@function(pool='GPU')\ndef pool(run): ...\n",
        "default.py": f"{function}@function\ndef default(run, x=[]): ...\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = {record.file: record for record in list_folder(tmp_path, importer)}
    assert found.keys() == files.keys()
    assert (found["good.py"].name, found["good.py"].error) == ("good", "")
    words = {
        "missing.py": "nothing_like_this",
        "leaves.py": "SystemExit: no",
        "ends.py": "ended the process (exit code 7): last words",
        "killed.py": "ended the process (exit code -9)",
        "odd-name.py": "'two words' is not a valid function name",
        "pool.py": "'GPU' is not a valid pool name",
        "default.py": "the default of x is a list",
    }
    for file, said in words.items():
        assert said in found[file].problem, found[file]
        assert found[file].problem.startswith(f"{file} does not import: ")


#: Leaves a daemon that shares nothing with its parent, and processes that run away from whoever ends them.
LEAVES = """
import os, subprocess, sys
from fitq import function

code = "import time; time.sleep(1000)"
daemon = subprocess.Popen([sys.executable, "-c", code, here], env={}, start_new_session=True)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)

def left(run): ...

left.__doc__ = "a daemon" if daemon.poll() is None else "nothing"
function(left)
"""


def living(folder: Path) -> list[int]:
    """Processes that have this folder among their arguments."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(folder) in (p.info["cmdline"] or [])]


@pytest.mark.parametrize("is_confined", [True, False])
def test_nothing_that_an_import_starts_is_left_of_it(
    tmp_path: Path, importer: Importer, is_confined: bool
) -> None:
    importer = importer if is_confined else dataclasses.replace(importer, ladder=Ladder())
    (tmp_path / "left.py").write_text(f"here = {str(tmp_path)!r}\n{LEAVES}")
    (record,) = list_folder(tmp_path, importer)
    assert (record.error, record.description) == ("", "a daemon")
    assert living(tmp_path) == []
    assert list(importer.work_dir.iterdir()) == []


def test_nor_of_one_that_does_not_end(
    tmp_path: Path, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SECONDS", "_SECONDS_OF_ONE"):
        monkeypatch.setattr(listing, name, 1)
    wait = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass\n"
    (tmp_path / "left.py").write_text(f"here = {str(tmp_path)!r}\n{LEAVES}{wait}")
    (record,) = list_folder(tmp_path, importer)
    assert "did not end within 1 s" in record.error
    assert living(tmp_path) == []


def test_a_file_that_uses_all_memory_when_it_is_imported_is_told(tmp_path: Path, importer: Importer) -> None:
    if "groups" not in importer.ladder.rungs:
        pytest.skip(importer.ladder.missing["groups"])
    (tmp_path / "big.py").write_text("big = b'x' * (300 << 20)\n")
    (record,) = list_folder(tmp_path, dataclasses.replace(importer, memory_bytes=100 << 20))
    assert "used more memory" in record.error


def test_where_a_child_cannot_be_confined_none_is_started(tmp_path: Path, importer: Importer) -> None:
    (tmp_path / "one.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    (importer.work_dir / "file").touch()
    for spoiled in (
        dataclasses.replace(importer, work_dir=importer.work_dir / "file"),
        dataclasses.replace(importer, ladder=Ladder(groups=Groups((tmp_path,)))),
    ):
        with pytest.raises(Unavailable, match="Functions cannot be imported"):
            list_folder(tmp_path, spoiled)
    assert not (tmp_path / "imported").exists()
