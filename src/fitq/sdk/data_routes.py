"""The routes of data: files and folders sent in parts, and fetched again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fitq.errors import NotFound
from fitq.names import check_name
from fitq.records import DataRecord, DataRequest
from fitq.sdk.answers import DataSummary, read_answer
from fitq.sdk.exchange import Exchange, part, said
from fitq.sdk.local_data import LocalData, Part, read_data
from fitq.sdk.progress import Progress
from fitq.sdk.transfer import download

_AT_ONCE = 4
_ASKED_AT_ONCE = 5000


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
        content, parts = read_data(Path(path))
        self._send_missing(parts)
        request = DataRequest(
            name=name,
            files=content.files,
            is_folder=content.is_folder,
            description=description,
            tags=dict(tags),
        )
        return read_answer(self.post("/v1/data", said(request), repeatable=True), DataRecord)

    def send_data(self, local: LocalData) -> None:
        """Have what is in a file or folder there, without a name; what is there is not sent again."""
        self._send_missing(local.parts)
        self.post("/v1/data-contents", said(local.content), repeatable=True)

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

    def withdraw_data(self, name: str) -> None:
        """Take a name out of all lists; runs that name a version by its number still find it."""
        self.delete(f"/v1/data/{part(name)}")

    def _send_missing(self, parts: dict[str, Part]) -> None:
        names = list(parts)
        missing: list[str] = []
        for start in range(0, len(names), _ASKED_AT_ONCE):
            asked = {"parts": names[start : start + _ASKED_AT_ONCE]}
            missing += self.post("/v1/data-parts/missing", asked, repeatable=True)["missing"]
        size = sum(parts[m].size for m in missing)
        with Progress("Uploading", size) as progress, ThreadPoolExecutor(_AT_ONCE) as threads:
            for sent in threads.map(lambda m: self._send(m, parts[m]), missing):
                progress.add(sent)

    def _send(self, sha256: str, wanted: Part) -> int:
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
