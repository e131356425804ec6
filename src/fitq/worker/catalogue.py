"""Lists the training functions of a folder, as a program of its own: importing them runs user code.

Run as: catalogue.py FOLDER [FILE…] → on a line of stdout after `MARK` a JSON list of what is in these
files, by default in all: FunctionRecords. A file that does not import is listed with its error and hides no
other.

Standard library only, any Python ≥ 3.6: it is executed by the interpreter of the functions' environment.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Dict, List

from fitq.signature import facts_of
from fitq.worker.call import load

Record = Dict[str, Any]
MARK = "fitq-functions: "


def files_of(folder: str) -> List[str]:
    """Names of the Python files of a folder that may hold functions."""
    found = sorted(file.name for file in Path(folder).glob("*.py"))
    return [name for name in found if not name.startswith(("_", "test_"))]


def records_of(folder: str, file: str) -> List[Record]:
    """The functions one file declares, or one record that says why it does not import."""
    try:
        module = load(folder, file)
    except BaseException as exc:  # noqa: BLE001  a file may even call sys.exit
        lines = traceback.format_exception_only(type(exc), exc)
        return [broken(file, " ".join(line.strip() for line in lines))]
    found = [facts for facts in map(facts_of, list(vars(module).values())) if facts is not None]
    return [dict(facts, file=file) for facts in found if facts["file"] in ("", file)]


def broken(file: str, error: str) -> Record:
    """What stands for the functions of a file that cannot be read."""
    return {"name": Path(file).stem, "pool": "*", "file": file, "error": error}


def main() -> None:
    folder = sys.argv[1]
    found = [r for file in sys.argv[2:] or files_of(folder) for r in records_of(folder, file)]
    unique = {(record["file"], record["name"]): record for record in found}
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the same pipe: nothing may come between
    sys.stdout.write("\n" + MARK + json.dumps(list(unique.values())) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path.pop(0)
    main()
