"""Files and folders on this machine, as data: which files, of which parts, and where the bytes are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fitq.errors import InvalidRequest, NotFound
from fitq.names import did_you_mean
from fitq.records import DataContent, DataFile
from fitq.sdk.progress import Progress

_PART_BYTES = 16 << 20  #: what the platform takes at once


class Part(NamedTuple):
    """Where the bytes of a part are on this machine."""

    file: Path
    offset: int
    size: int


class LocalData(NamedTuple):
    """A file or folder, read once."""

    content: DataContent
    parts: dict[str, Part]


def read_data(root: Path) -> LocalData:
    """What a file or folder holds.

    Raises:
        NotFound: there is no such file or folder; with a near name.
        InvalidRequest: it holds no files.
    """
    if not root.exists():
        near = did_you_mean(root.name, (p.name for p in root.parent.glob("*")))
        raise NotFound(f"There is no file or folder {root}. {near}".strip(), hint="Give what to upload.")
    files, parts = _described(root)
    return LocalData(DataContent(files=files, is_folder=root.is_dir()), parts)


def _described(root: Path) -> tuple[list[DataFile], dict[str, Part]]:
    """The files of a file or folder, and where the bytes of each part are."""
    files, parts = list[DataFile](), dict[str, Part]()
    found = list(_files(root))
    if not found:
        raise InvalidRequest(f"{root} holds no files.", hint="Give a file, or a folder with files in it.")
    with Progress("Reading", sum(f.stat().st_size for f in found)) as progress:
        for file in found:
            mine = list(_parts_of(file))
            parts.update(mine)
            path = file.relative_to(root).as_posix() if root.is_dir() else file.name
            size = sum(p.size for _, p in mine)
            files.append(DataFile(path=path, size_bytes=size, parts=[sha256 for sha256, _ in mine]))
            progress.add(size)
    return files, parts


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for place, folders, names in os.walk(root):
        folders.sort()
        yield from (p for name in sorted(names) if (p := Path(place, name)).is_file() and not p.is_symlink())


def _parts_of(file: Path) -> Iterator[tuple[str, Part]]:
    with file.open("rb") as opened:
        offset = 0
        while content := opened.read(_PART_BYTES):
            yield hashlib.sha256(content).hexdigest(), Part(file, offset, len(content))
            offset += len(content)
