"""The routes of data: files and folders sent in parts, and fetched again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fitq.errors import InvalidRequest, NotFound
from fitq.names import check_name, did_you_mean
from fitq.records import DataFile, DataRecord, DataRequest
from fitq.sdk.answers import DataSummary, read_answer
from fitq.sdk.exchange import Exchange, part, said
from fitq.sdk.progress import Progress
from fitq.sdk.transfer import download

_PART_BYTES = 16 << 20  #: what the platform takes at once
_AT_ONCE = 4
_ASKED_AT_ONCE = 5000


class _Part(NamedTuple):
    """Where the bytes of a part are on this machine."""

    file: Path
    offset: int
    size: int


class DataRoutes(Exchange):
    """Upload, list and download data."""

    def upload_data(
        self, name: str, path: str | os.PathLike[str], *, description: str = "", tags: Mapping[str, str] = {}
    ) -> DataRecord:
        """Make a file or folder the next version of data; what is there already is not sent again.

        Raises:
            NotFound: there is no such file or folder.
            InvalidRequest: the name is wrong, or the folder is empty.
        """
        check_name("data", name)
        root = Path(path)
        if not root.exists():
            near = did_you_mean(root.name, (p.name for p in root.parent.glob("*")))
            raise NotFound(f"There is no file or folder {root}. {near}".strip(), hint="Give what to upload.")
        files, parts = _described(root)
        self._send_missing(parts)
        request = DataRequest(
            name=name, files=files, is_folder=root.is_dir(), description=description, tags=dict(tags)
        )
        return read_answer(self.post("/v1/data", said(request), repeatable=True), DataRecord)

    def list_data(self) -> list[DataSummary]:
        """Every name of data with its versions."""
        return [read_answer(d, DataSummary) for d in self.get("/v1/data")["data"]]

    def get_data(self, name: str, version: int | str | None = None) -> DataRecord:
        """A version of data; the newest if None."""
        path = f"/v1/data/{part(name)}/versions/{part(version or 'latest')}"
        return read_answer(self.get(path), DataRecord)

    def download_data(self, record: DataRecord, target: str | os.PathLike[str]) -> Path:
        """Write the files of a version below a folder; where they are: the folder, or its one file."""
        folder = Path(target)
        base = f"{self.url}/v1/data/{part(record.name)}/versions/{record.version}/files"
        for file in record.files:
            to = folder / file.path
            if not to.resolve().is_relative_to(folder.resolve()):
                raise NotFound(f"{file.path!r} leads out of {folder}.")
            download(self.http, f"{base}/{'/'.join(part(p) for p in file.path.split('/'))}", to)
        return folder if record.is_folder else folder / record.files[0].path

    def _send_missing(self, parts: dict[str, _Part]) -> None:
        names = list(parts)
        missing: list[str] = []
        for start in range(0, len(names), _ASKED_AT_ONCE):
            asked = {"parts": names[start : start + _ASKED_AT_ONCE]}
            missing += self.post("/v1/data-parts/missing", asked, repeatable=True)["missing"]
        size = sum(parts[m].size for m in missing)
        with Progress("Uploading", size) as progress, ThreadPoolExecutor(_AT_ONCE) as threads:
            for sent in threads.map(lambda m: self._send(m, parts[m]), missing):
                progress.add(sent)

    def _send(self, sha256: str, wanted: _Part) -> int:
        with wanted.file.open("rb") as file:
            file.seek(wanted.offset)
            content = file.read(wanted.size)
        headers = {"Content-Type": "application/octet-stream"}
        self.http.send(
            "PUT",
            f"{self.url}/v1/data-parts/{sha256}",
            repeatable=True,
            build=lambda: {"content": content, "headers": headers},
        )
        return wanted.size


def _described(root: Path) -> tuple[list[DataFile], dict[str, _Part]]:
    """The files of a file or folder, and where the bytes of each part are."""
    files, parts = list[DataFile](), dict[str, _Part]()
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


def _parts_of(file: Path) -> Iterator[tuple[str, _Part]]:
    with file.open("rb") as opened:
        offset = 0
        while content := opened.read(_PART_BYTES):
            yield hashlib.sha256(content).hexdigest(), _Part(file, offset, len(content))
            offset += len(content)
