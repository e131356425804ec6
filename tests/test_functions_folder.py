"""A folder of training functions, read by a child process and again when a file changes."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from fitq.worker.functions_folder import FunctionsFolder
from fitq.worker.importing import Importer
from tests.conftest import eventually

FUNCTION = """
from fitq import function

@function(pool="{pool}")
def {name}(run): ...
"""


def write(folder: Path, name: str, text: str = "", pool: str = "default") -> None:
    (folder / f"{name}.py").write_text(text + FUNCTION.format(name=name, pool=pool))


def test_functions_of_this_pool_and_broken_files_are_known_at_once(
    tmp_path: Path, importer: Importer
) -> None:
    write(tmp_path, "iris")
    write(tmp_path, "elsewhere", pool="gpu")
    write(tmp_path, "broken", "import nothing_like_this\n")
    folder = FunctionsFolder(tmp_path, "default", importer)
    assert folder.refresh()
    assert set(folder.functions) == {"iris", "broken"}
    assert "nothing_like_this" in folder.functions["broken"].error
    assert not folder.refresh()


def test_the_secrets_that_a_function_names_are_known_and_a_name_that_cannot_be_one_is_its_error(
    tmp_path: Path, importer: Importer
) -> None:
    for name, secret in (("report", "DB_PASSWORD"), ("wrong", "db-password")):
        code = f'from fitq import function\n\n@function(secrets=["{secret}"])\ndef {name}(run): ...\n'
        (tmp_path / f"{name}.py").write_text(code)
    folder = FunctionsFolder(tmp_path, "default", importer)
    folder.refresh()
    assert folder.functions["report"].secrets == ["DB_PASSWORD"]
    assert "not a valid secret name" in folder.functions["wrong"].error


def test_a_changed_file_is_read_again_behind_the_callers_back(tmp_path: Path, importer: Importer) -> None:
    """Importing may take minutes; the caller renews the leases of runs meanwhile."""
    write(tmp_path, "iris")
    folder = FunctionsFolder(tmp_path, "default", importer)
    folder.refresh()
    gate = tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    write(tmp_path, "slow", wait)
    began = time.monotonic()
    assert not folder.refresh()
    assert not folder.refresh()
    assert time.monotonic() - began < 1
    assert set(folder.functions) == {"iris"}
    gate.touch()
    assert eventually(folder.refresh)
    assert set(folder.functions) == {"iris", "slow"}
    assert not folder.refresh()


def test_a_file_that_ends_the_reader_hides_no_other(tmp_path: Path, importer: Importer) -> None:
    write(tmp_path, "iris")
    folder = FunctionsFolder(tmp_path, "default", importer)
    folder.refresh()
    write(tmp_path, "fatal", "import os\nos._exit(3)\n")
    write(tmp_path, "digits")
    assert eventually(folder.refresh)
    assert set(folder.functions) == {"iris", "digits", "fatal"}
    assert "ended the process (exit code 3)" in folder.functions["fatal"].error


def test_what_was_known_stays_known_while_nothing_can_be_imported(tmp_path: Path, importer: Importer) -> None:
    write(tmp_path, "iris")
    folder = FunctionsFolder(tmp_path, "default", importer)
    folder.refresh()
    importer.work_dir.rmdir()
    importer.work_dir.touch()
    write(tmp_path, "digits")
    assert not folder.refresh()
    eventually(lambda: "functions-folder" not in {thread.name for thread in threading.enumerate()})
    assert not folder.refresh()
    assert set(folder.functions) == {"iris"}
    importer.work_dir.unlink()
    assert eventually(folder.refresh)
    assert set(folder.functions) == {"iris", "digits"}


def test_a_file_that_vanishes_while_it_is_looked_at_is_no_error(tmp_path: Path, importer: Importer) -> None:
    write(tmp_path, "iris")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    folder = FunctionsFolder(tmp_path, "default", importer)
    assert folder.refresh()
    assert "iris" in folder.functions


def test_without_a_folder_nothing_is_known(importer: Importer) -> None:
    folder = FunctionsFolder(None, "default", importer)
    assert not folder.refresh()
    assert folder.functions == {}
