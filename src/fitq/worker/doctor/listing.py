"""The snapshot's files, and what its ignore file left out."""

from __future__ import annotations

import difflib
import functools
import os
from pathlib import Path, PurePosixPath

from fitq.snapshots import ignored_by

_MOST_FILES = 5000


class Listing:
    """Reads a folder once, when somebody asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @functools.cached_property
    def files(self) -> list[str]:
        """Relative paths with forward slashes, a bounded number of them."""
        found: list[str] = []
        if self._folder.is_symlink():  # the script may have put it there: not what was sent
            return found
        for place, folders, names in os.walk(self._folder):
            folders[:] = sorted(f for f in folders if f != "__pycache__")
            found += [Path(place, n).relative_to(self._folder).as_posix() for n in sorted(names)]
            if len(found) >= _MOST_FILES:
                break
        return found[:_MOST_FILES]

    def ignored_by(self, path: str) -> str:
        """The rule that kept a file out of the snapshot, as `'*.csv' in .gitignore`; else empty."""
        return ignored_by(self._folder, path)

    def near(self, path: str) -> list[str]:
        """Files that may be meant: the same name elsewhere, another case, a slip of the finger."""
        name = PurePosixPath(path).name.lower()
        same = [f for f in self.files if PurePosixPath(f).name.lower() == name]
        if same:
            return same[:3]
        by_name = {PurePosixPath(f).name: f for f in self.files}
        alike = difflib.get_close_matches(PurePosixPath(path).name, list(by_name), n=2, cutoff=0.7)
        return [by_name[a] for a in alike] or difflib.get_close_matches(path, self.files, n=2, cutoff=0.7)
