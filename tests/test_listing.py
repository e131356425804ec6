"""Functions of a folder as a child tells them, whatever interpreter it has and whatever the files do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import cast

from fitq.environments.interpreters import Interpreter, find_interpreters
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


def test_a_function_is_listed_and_called_by_any_python_without_anything_of_ours(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "fit.py").write_text(CODE)
    call = {"folder": str(tmp_path / "code"), "file": "fit.py", "name": "fit-it", "parameters": {"depth": 3}}
    (tmp_path / "call.json").write_text(json.dumps(call))
    for interpreter in one_of_each_minor():
        check_listed_and_called(Bare(interpreter), interpreter.minor, tmp_path)


def check_listed_and_called(bare: Bare, minor: str, folder: Path) -> None:
    (record,) = list_folder(folder / "code", cast(Runtime, bare))
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


def test_every_file_that_cannot_be_used_says_why_and_hides_no_other(tmp_path: Path) -> None:
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
    found = {record.file: record for record in list_folder(tmp_path)}
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
