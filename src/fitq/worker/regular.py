"""Opening what a run left, which may be anything by now, as a regular file and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_INTO_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_regular(path: Path) -> int:
    """A descriptor of a regular file, no part of whose path is a link.

    What was a file when it was found may be a link or a fifo by now, and so may any folder above it: a run
    that goes on could have the worker read what the run itself may not.

    Raises:
        OSError: it is none.
    """
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *above, name = path.absolute().parts[1:]
    try:
        for part in above:
            below = os.open(part, _INTO_FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file")
    return file
