"""Lists the training functions of a folder, as a program of its own: importing them runs user code.

Run as: catalogue.py FOLDER → a JSON list of FunctionRecord on the last line of stdout. A file that does
not import is listed with its error and hides no other.
"""

import sys
import traceback
from pathlib import Path
from typing import List

import msgspec

from fitq.functions import described
from fitq.names import PATTERNS
from fitq.records import FunctionRecord, to_json
from fitq.worker.call import load


def files_of(folder: str) -> List[Path]:
    """Python files of a folder that may hold functions, by name."""
    return [f for f in sorted(Path(folder).glob("*.py")) if not f.name.startswith(("_", "test_"))]


def records_of(folder: str, file: Path) -> List[FunctionRecord]:
    """The functions one file declares, or one record that says why it does not import."""
    try:
        module = load(folder, file.name)
    except BaseException as exc:  # noqa: BLE001  a file may even call sys.exit
        lines = traceback.format_exception_only(type(exc), exc)
        return [_broken(file, " ".join(line.strip() for line in lines))]
    found = [r for r in map(described, vars(module).values()) if r is not None]
    unique = {r.name: r for r in found if _is_from(file, r)}
    return [_placed(r, file) for r in unique.values()]


def _is_from(file: Path, record: FunctionRecord) -> bool:
    return record.file in ("", file.name)


def _placed(record: FunctionRecord, file: Path) -> FunctionRecord:
    return msgspec.structs.replace(record, file=file.name)


def _broken(file: Path, error: str) -> FunctionRecord:
    name = file.stem if PATTERNS["function"][0].fullmatch(file.stem) else "unnamed"
    return FunctionRecord(name=name, pool="*", file=file.name, error=error)


def main() -> None:
    folder = sys.argv[1]
    found = [record for file in files_of(folder) for record in records_of(folder, file)]
    sys.stdout.write("\n" + to_json(found).decode() + "\n")


if __name__ == "__main__":
    sys.path.pop(0)
    main()
