"""A file that a program touches while its loop turns. How old it is says whether the program hangs.

The loop turns as well while a store is away: that is no reason to end a worker and its runs.
`python -m fitq.heartbeat` asks nothing but the file that `FITQ_HEARTBEAT` names: exit 0, or a sentence and
exit 1.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from fitq.errors import FitqError, InvalidRequest, Unavailable
from fitq.settings import Settings

#: A loop takes seconds, a minute where Redis hangs in every call of it.
_SILENT_SECONDS = 120.0


class Heartbeat:
    """The file of one program."""

    def __init__(self, file: str = "") -> None:
        """
        Args:
            file: its path; empty: nobody asks.
        """
        self._file = Path(file) if file else None

    def begin(self) -> None:
        """Forget what a program before this one left: a start may take minutes, and nobody is to judge it.

        Raises:
            InvalidRequest: the file cannot be there.
        """
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.unlink(missing_ok=True)
        except OSError as exc:
            raise InvalidRequest(
                f"FITQ_HEARTBEAT is {str(self._file)!r}, and no file can be made there: {exc}",
                hint="Name a file in a folder that this program may write.",
            ) from exc

    def beat(self) -> None:
        """The loop has come round."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk is no reason to stop what beats
                self._file.touch()

    def check(self) -> None:
        """Look at it from outside.

        Raises:
            InvalidRequest: it has no file.
            Unavailable: the loop has stood still for too long. One that has not begun yet is not judged.
        """
        if self._file is None:
            raise InvalidRequest("FITQ_HEARTBEAT is not set.", hint="Name the file that the program touches.")
        with contextlib.suppress(FileNotFoundError):
            silent_seconds = time.time() - self._file.stat().st_mtime
            if silent_seconds > _SILENT_SECONDS:
                raise Unavailable(
                    f"The last sign of life is {silent_seconds:.0f} seconds old.",
                    hint="It hangs: start it again.",
                )


if __name__ == "__main__":
    try:
        Heartbeat(Settings.from_environment(os.environ).heartbeat).check()
    except FitqError as exc:
        sys.exit(str(exc))
