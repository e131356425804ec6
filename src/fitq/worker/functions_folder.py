"""The training functions of a folder, as a child process reports them, again whenever a file changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from fitq.logs import get_logger
from fitq.records import FunctionRecord
from fitq.worker.folder import SHIMS

log = get_logger(__name__)
_CATALOGUE = Path(__file__).with_name("catalogue.py")
_SECONDS = 120


class FunctionsFolder:
    """What one pool's workers can run from a folder."""

    def __init__(self, folder: Path | None, pool: str) -> None:
        self.folder, self.pool = folder, pool
        self.functions: dict[str, FunctionRecord] = {}
        self._fingerprint: object = None

    def refresh(self) -> bool:
        """Read the folder again if a file in it changed; whether it did."""
        fingerprint = _fingerprint(self.folder)
        if self.folder is None or fingerprint == self._fingerprint:
            return False
        self._fingerprint = fingerprint
        found = [f for f in _list(self.folder) if f.pool in (self.pool, "*")]
        self.functions = {f.name: msgspec.structs.replace(f, pool=self.pool) for f in found}
        for broken in (f for f in found if f.error):
            log.warning("function_file_broken", file=broken.file, error=broken.error)
        return True


def _fingerprint(folder: Path | None) -> object:
    if folder is None or not folder.is_dir():
        return None
    return tuple(sorted((f.name, f.stat().st_mtime_ns) for f in folder.glob("*.py")))


def _list(folder: Path) -> list[FunctionRecord]:
    """Ask a child with a scrubbed environment: importing the files runs user code."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL")
    environment = {k: os.environ[k] for k in keep if k in os.environ} | {"PYTHONPATH": str(SHIMS)}
    try:
        done = subprocess.run(
            [sys.executable, str(_CATALOGUE), str(folder.resolve())],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            env=environment,
            check=False,
        )
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=list[FunctionRecord])
    except (subprocess.TimeoutExpired, IndexError, msgspec.DecodeError) as exc:
        log.error("functions_not_listed", folder=str(folder), error=str(exc))
        return []
