"""A snapshot: a folder as one gzip tar, named by the SHA-256 of its bytes.

`pack` is the client's side, `read_members` and `unpack` the platform's. Unpacking is our own: regular
files and folders only, counted while they are read. tarfile's `data` filter is not a boundary (several
escapes were found in it), and a small archive may hold a huge one.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NamedTuple

import pathspec

from fitq.errors import InvalidRequest, TooLarge, UnsafeSnapshot
from fitq.names import stays_inside
from fitq.units import format_bytes

#: Where ignore rules are looked for, first found wins; gitignore syntax.
IGNORE_FILES = (".fitqignore", ".amlignore", ".gitignore")
#: Never part of a snapshot: history, environments, caches, and folders that hold our own tokens.
_ALWAYS_IGNORED = [".git/", ".fitq/", ".azureml/", ".venv/", "__pycache__/", ".ipynb_checkpoints/"]
_RULES_BYTES = 64_000
MAX_BYTES = 300_000_000
MAX_FILES = 2000


class Snapshot(NamedTuple):
    """A packed folder."""

    data: bytes  #: gzip tar
    sha256: str  #: of `data`: the snapshot's id
    files: list[str]  #: paths inside, with forward slashes
    ignored: list[str]  #: what was left out because it is a link out of the folder or no regular file


class Member(NamedTuple):
    """A file inside a snapshot."""

    path: str
    size_bytes: int
    executable: bool
    content: IO[bytes]


def pack(folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> Snapshot:
    """Pack a folder, leaving out what its ignore file names. Equal files give equal bytes.

    Raises:
        InvalidRequest: there is no such folder.
        TooLarge: more bytes or files than a snapshot may have; names the largest.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"There is no folder {folder}.", hint="Give the folder of the script.")
    files, ignored = _select(folder)
    _check_size(folder, files, max_bytes, max_files)
    data = _tar(folder, files)
    return Snapshot(data, hashlib.sha256(data).hexdigest(), files, ignored)


def _select(folder: Path) -> tuple[list[str], list[str]]:
    rules = _ignore_rules(folder)
    files: list[str] = []
    skipped: list[str] = []
    for place, folders, names in os.walk(folder):
        here = Path(place).relative_to(folder)
        folders[:] = sorted(
            d
            for d in folders
            if not (rules.match_file(f"{(here / d).as_posix()}/") or _is_of_a_platform(Path(place, d)))
        )
        for name in sorted(names):
            path = (here / name).as_posix()
            if not rules.match_file(path):
                (files if _belongs(folder, path) else skipped).append(path)
    return sorted(files), skipped


def _is_of_a_platform(folder: Path) -> bool:
    """Whether `fitq up` keeps its data there, whatever the folder is called: its token and keys are in it."""
    return (folder / "secrets.json").is_file() and (folder / "objects").is_dir()


def _ignore_rules(folder: Path) -> pathspec.GitIgnoreSpec:
    found = next((folder / n for n in IGNORE_FILES if (folder / n).is_file()), None)
    lines = found.read_text(errors="replace").splitlines() if found else []
    return pathspec.GitIgnoreSpec.from_lines([*lines, *_ALWAYS_IGNORED])


def ignored_by(folder: Path, path: str) -> str:
    """The rule that leaves a path out of a folder's snapshot: `'*.csv' in .gitignore`; empty if none does.

    The folder may be that of a run, so its ignore file is anybody's: no link is followed, and only the first
    200 short and simple rules are looked at.
    """
    for name in IGNORE_FILES:
        try:
            fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue
        with os.fdopen(fd, "rb") as file:
            text = file.read(_RULES_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        lines = [ln.strip() for ln in text.decode("utf-8", "replace").splitlines()[:200]]
        rules = [
            ln for ln in lines if ln and not ln.startswith("#") and len(ln) <= 200 and ln.count("*") <= 4
        ]
        found = pathspec.GitIgnoreSpec.from_lines(rules).check_file(path[:200])
        return f"{rules[found.index]!r} in {name}" if found.include and found.index is not None else ""
    return ""


def _belongs(folder: Path, path: str) -> bool:
    """A regular file, or a link to one that stays inside the folder."""
    full = folder / path
    inside = full.resolve().is_relative_to(folder.resolve())
    return inside and full.is_file()


def _check_size(folder: Path, files: list[str], max_bytes: int, max_files: int) -> None:
    sizes = {f: (folder / f).stat().st_size for f in files}
    if sum(sizes.values()) <= max_bytes and len(files) <= max_files:
        return
    largest = sorted(sizes, key=lambda f: sizes[f], reverse=True)[:5]
    named = ", ".join(f"{f} ({format_bytes(sizes[f])})" for f in largest)
    raise TooLarge(
        f"The folder has {len(files)} files and {format_bytes(sum(sizes.values()))}; a snapshot may have "
        f"{max_files} files and {format_bytes(max_bytes)}. Largest: {named}.",
        hint="Name what the script does not need in .fitqignore (gitignore syntax).",
        largest=largest,
    )


def _tar(folder: Path, files: list[str]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as zipped,
        tarfile.open(fileobj=zipped, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in files:
            with (folder / path).open("rb") as content:
                facts = os.fstat(content.fileno())
                member = tarfile.TarInfo(path)
                member.size = facts.st_size
                member.mode = 0o755 if facts.st_mode & stat.S_IXUSR else 0o644
                tar.addfile(member, content)
    return buffer.getvalue()


class _Bounded(io.RawIOBase):
    """Passes bytes on until there are too many: a bomb is noticed while it goes off."""

    def __init__(self, source: BinaryIO | gzip.GzipFile, limit: int) -> None:
        self._source, self._left, self._limit = source, limit, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(min(size, 1 << 20) if size >= 0 else 1 << 20)
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge(f"The snapshot unpacks to more than {format_bytes(self._limit)}.")
        return data


def read_members(
    source: BinaryIO, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES
) -> Iterator[Member]:
    """Each file of a snapshot, in order, checked before it is handed out.

    Raises:
        UnsafeSnapshot: not a gzip tar, or a member that may not be unpacked; `at` names it.
        TooLarge: more bytes or files than allowed.
    """
    seen: set[str] = set()
    folders: set[str] = set()
    # Headers and padding come on top of the files' own bytes.
    bounded = _Bounded(gzip.GzipFile(fileobj=source, mode="rb"), max_bytes + 2048 * (max_files + 2))
    try:
        with tarfile.open(fileobj=bounded, mode="r|", errorlevel=2) as tar:
            for member in tar:
                if member.isdir():
                    _checked_path(member.name)
                    continue
                path = _checked_member(member, seen, folders)
                if len(seen) > max_files:
                    raise TooLarge(f"The snapshot has more than {max_files} files.")
                content = tar.extractfile(member)
                if content is not None:
                    yield Member(path, member.size, bool(member.mode & 0o100), content)
        while bounded.read(1 << 16):
            pass  # what follows the archive is read too: gzip's checksum stands at the very end
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError) as exc:
        raise UnsafeSnapshot(f"The snapshot is not a readable gzip tar: {exc}.") from exc


def _checked_member(member: tarfile.TarInfo, seen: set[str], folders: set[str]) -> str:
    path = _checked_path(member.name)
    if not member.isreg() or member.issparse():
        kind = "link" if member.issym() or member.islnk() else "special file"
        raise UnsafeSnapshot(f"The snapshot holds a {kind}: {path!r}.", at=path)
    if path in seen:
        raise UnsafeSnapshot(f"The snapshot holds {path!r} twice.", at=path)
    above = {str(parent) for parent in PurePosixPath(path).parents}
    if path in folders or above & seen:
        raise UnsafeSnapshot(f"{path!r} or a part of it is both a file and a folder.", at=path)
    seen.add(path)
    folders |= above
    return path


def _checked_path(name: str) -> str:
    shown = ascii(name[:200])
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UnsafeSnapshot(f"A name in the snapshot is not UTF-8: {shown}.", at=shown) from None
    if not stays_inside(name):
        raise UnsafeSnapshot(f"A name in the snapshot leaves its folder or is unreadable: {shown}.", at=shown)
    return "/".join(PurePosixPath(name).parts)


def unpack(source: BinaryIO, folder: Path) -> list[str]:
    """Write a snapshot's files below a folder that does not exist yet; returns their paths.

    Only files and folders are ever made, each exclusively, so no link can lead a later file outside.
    """
    folder.mkdir(parents=True)
    paths = []
    for member in read_members(source):
        target = folder / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            while piece := member.content.read(1 << 20):
                out.write(piece)
        target.chmod(0o755 if member.executable else 0o644)
        paths.append(member.path)
    return paths
