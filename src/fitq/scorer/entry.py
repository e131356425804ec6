"""Entry scripts as the parent of their scorer child sees them: what is handed over, what comes back."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fitq.errors import FitqError, InvalidRequest, MethodNotAllowed, ScoringFailed, UnsupportedMediaType
from fitq.logs import get_logger
from fitq.scorer import process
from fitq.snapshots import unpack

log = get_logger(__name__)
#: How a recorded body was sent, and is sent again.
AS_JSON = {"content_type": "application/json", "accept": "application/json", "verb": "POST", "layout": "body"}
_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{0,4000}")
#: What the platform says itself about an answer and its connection.
_OURS = {"connection", "content-length", "content-type", "keep-alive", "server", "te", "trailer",
         "transfer-encoding", "upgrade", "x-request-id", "x-fitq-model", "x-ms-run-fn-exec-ms"}  # fmt: skip


class EntryCode(NamedTuple):
    """A script and the model it answers with, on this machine's disk."""

    script: str  #: path in the folder of its code
    code: Path  #: that folder; of this model alone, because without confinement the script may write there
    models: Path  #: the folder with the model's file, or with a folder for each of several

    @property
    def reads(self) -> list[Path]:
        """What its child needs to read: the code, and the files of its models themselves."""
        files = [path.resolve() for path in self.models.rglob("*") if path.is_file()]
        return [self.code, self.models, *files]


class EntryAnswer(NamedTuple):
    """What a script answered to a request."""

    status: int
    content_type: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    seconds: float  #: inside the script
    cold_seconds: float | None = None  #: that the request waited for its model to be loaded, if it did


def lay_out(script: str, packed: bytes, files: Mapping[str, Path], folder: Path) -> EntryCode:
    """The code of a script, and beside it the files of its models where the script expects them.

    Args:
        script: its path in the packed folder.
        packed: a snapshot.
        files: path in the folder of models → where those bytes are. The one model's file lies in that folder
            itself; of several each lies in `<name>/<version>/`.
        folder: into which all goes; made here.
    """
    code, models = folder / "code", folder / "model"
    unpack(io.BytesIO(packed), code)
    for path, file in files.items():
        (models / path).parent.mkdir(parents=True, exist_ok=True)
        (models / path).symlink_to(file.absolute())
    return EntryCode(script, code, models)


def load_header(entry: EntryCode) -> dict[str, Any]:
    """What the child is told to load."""
    return {
        "path": str(entry.models),
        "code": str(entry.code),
        "script": entry.script,
        "paths": [str(process.SHIMS)],
    }


def answer_to(answer: dict[str, Any], data: bytes) -> EntryAnswer:
    """A child's answer. Only what HTTP can carry passes: the script may have said anything.

    Raises:
        ScoringFailed: a status or type that HTTP does not have.
    """
    status, kind = answer["status"], str(answer["content_type"])
    if not isinstance(status, int) or not 200 <= status <= 599 or not _VALUE.fullmatch(kind):
        raise ScoringFailed(
            f"The entry script answered with the status {status!r} and the type {kind[:100]!r}.",
            hint="A status is a number from 200 to 599; a type is like application/json.",
        )
    named = ((n.lower(), v) for n, v in answer["headers"] if _TOKEN.fullmatch(n) and _VALUE.fullmatch(v))
    headers = [(n.encode(), v.encode()) for n, v in named if n not in _OURS]
    return EntryAnswer(status, kind, headers, data, answer["seconds"])


def refused_by_script(error: dict[str, Any], key: str, script: str) -> FitqError:
    """The error a child answered with instead of an answer."""
    status = error.get("status")
    if status == 405:
        return MethodNotAllowed(error["message"], at=error["at"], expected=error["expected"], allow=["POST"])
    if status in (400, 415):
        kind = InvalidRequest if status == 400 else UnsupportedMediaType
        expected = error.get("expected") or "a body that the script takes"
        return kind(error["message"], at=error["at"], expected=expected, got=error["message"][:200])
    cause = f"{error['type']}: {error['message']}"
    stage = error.get("stage") or script
    log.error("entry_script_raised", model=key, script=script, stage=stage, error=cause, trace=error["trace"])
    return ScoringFailed(
        "An unexpected error occurred in scoring script. Check the logs for more info.",
        hint=f"{stage} of {script} raised {cause[:300]}. The scoring log has its trace.",
        error=cause,
    )
