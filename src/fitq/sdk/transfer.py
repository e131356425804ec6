"""Large bodies: counted while they go, written to files whole or not at all, and below the folder meant."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from fitq.errors import NotFound
from fitq.sdk.http import Http, unreachable
from fitq.sdk.progress import Progress, WatchedFile

_CHUNK_BYTES = 1 << 16
_TRIES = 3


def counted(data: bytes, label: str) -> Iterator[bytes]:
    """`data` in chunks, with progress when it takes long."""
    with Progress(label, len(data)) as progress:
        for start in range(0, len(data), _CHUNK_BYTES):
            chunk = data[start : start + _CHUNK_BYTES]
            yield chunk
            progress.add(len(chunk))


@contextlib.contextmanager
def multipart(file: Path, fields: dict[str, str]) -> Iterator[Callable[[], dict[str, Any]]]:
    """Makes the parts of an upload: `fields`, and `file` read from disk as it goes.

    Raises:
        NotFound: there is no such file.
    """
    if not file.is_file():
        raise NotFound(f"There is no file {str(file)!r}.", hint="Give the path of one model file.")
    with file.open("rb") as opened, Progress(f"Uploading {file.name}", file.stat().st_size) as progress:

        def build() -> dict[str, Any]:
            opened.seek(0)
            part = (file.name, WatchedFile(opened, progress), "application/octet-stream")
            return {"data": fields, "files": {"file": part}}

        yield build


def below(root: Path, name: str, prefix: str, keep_prefix: bool) -> Path:
    """Where a downloaded file goes; a name can not lead out of the folder.

    Raises:
        NotFound: it would.
    """
    inner = name if keep_prefix or not prefix else name[len(prefix) :].lstrip("/") or Path(name).name
    target = root / inner
    if not target.resolve().is_relative_to(root.resolve()):
        raise NotFound(f"{name!r} leads out of {root}.")
    return target


def download(http: Http, url: str, target: Path) -> Path:
    """Write what an address answers to `target`, replacing it only when all of it is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        for left in reversed(range(_TRIES)):
            try:
                _write(http, url, partial, target.name)
                break
            except httpx2.TransportError as exc:
                if not left:
                    raise unreachable(url, exc) from exc
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _write(http: Http, url: str, partial: Path, name: str) -> None:
    options = {"headers": {"Accept": "*/*"}}
    response = http.send("GET", url, repeatable=True, build=lambda: options, stream=True)
    size = response.headers.get("content-length", "")
    try:
        with partial.open("wb") as file, Progress(f"Downloading {name}", int(size or 0)) as progress:
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                file.write(chunk)
                progress.add(len(chunk))
    finally:
        response.close()
