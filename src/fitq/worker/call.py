"""Runs one training function, as a program of its own. Run as: call.py CALL.json

CALL.json: {"folder": where functions are, "file": the function's file, "name": …, "parameters": {…}}.
Siblings of the file can be imported, as if it had been started as a script.

Standard library only, any Python ≥ 3.6: it is executed by the interpreter of the function's environment.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from fitq.context import RunContext
from fitq.signature import facts_of


def load(folder: str, file: str) -> ModuleType:
    """Import one file of a functions folder under its own name."""
    path = Path(folder, file).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, str(path))
    assert spec is not None
    assert spec.loader is not None  # a .py file always has one
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # what pickles classes of this file looks here
    spec.loader.exec_module(module)
    return module


def find(module: ModuleType, name: str) -> Any:
    """The decorated function of that name."""
    for value in list(vars(module).values()):
        facts = facts_of(value)
        if facts is not None and facts["name"] == name:
            return value
    raise SystemExit("There is no training function %r in %s any more." % (name, module.__file__))


def main() -> None:
    call = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.argv = [call["file"]]
    target = find(load(call["folder"], call["file"]), call["name"])
    run = RunContext.from_environment()
    target(run, **call["parameters"])


if __name__ == "__main__":
    sys.path.pop(0)  # our own folder is not the user's
    main()
