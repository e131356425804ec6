"""Where the platform is, and the token that opens it: the environment first, then a configuration file.

Files are looked for from a folder upwards; in each folder `.fitq/`, `.azureml/` and `aml_config/` come
before the folder itself. Keys: fitq_url, fitq_scoring_url, fitq_token, fitq_workspace, and Azure's
workspace_name, subscription_id and resource_group.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitq.errors import InvalidRequest, NotFound

PLACES = (".fitq/config.json", ".azureml/config.json", "aml_config/config.json", "config.json")
VARIABLES = ("FITQ_URL", "FITQ_SCORING_URL", "FITQ_TOKEN", "FITQ_WORKSPACE")
DEFAULT_URL = "http://127.0.0.1:8700"
_WAY_OUT = (
    "Start the platform on this machine with: fitq up. For one that runs elsewhere, set FITQ_URL, "
    "FITQ_SCORING_URL and FITQ_TOKEN, or write them as fitq_url, fitq_scoring_url and fitq_token "
    "into .fitq/config.json."
)


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One platform, as a client addresses it."""

    url: str  #: of the control plane
    scoring_url: str = ""  #: empty: not known
    token: str = field(default="", repr=False)
    workspace: str = "default"
    subscription_id: str = ""
    resource_group: str = ""
    source: str = ""  #: the file or variable it came from, for messages


def find_connection(
    start: str | os.PathLike[str] | None = None, environment: Mapping[str, str] | None = None
) -> Connection:
    """The platform that the environment or the nearest configuration file names.

    Args:
        start: a configuration file, or the folder from which to look upwards; the working folder if None.
        environment: where `FITQ_…` variables are read; the process's own if None.

    Raises:
        NotFound: neither names a platform; the message lists where it looked.
        InvalidRequest: a configuration file is not a JSON object.
    """
    environment = os.environ if environment is None else environment
    given = {name: environment[name].strip() for name in VARIABLES if environment.get(name, "").strip()}
    place = Path(start) if start is not None else Path.cwd()
    if start is not None and not place.exists():
        raise NotFound(f"There is no file or folder {str(start)!r}.", hint=_WAY_OUT)
    looked: list[str] = []
    found = _first_usable(place, looked, accept_azure="FITQ_URL" in given)
    if found is None and not ("FITQ_URL" in given or "FITQ_TOKEN" in given):
        raise NotFound(
            f"No fitq configuration was found in {place.resolve()} or the folders above it."
            + "".join(f" {note}" for note in looked),
            hint=_WAY_OUT,
        )
    file, values = found or (None, {})
    return _merge(given, file, values)


def _merge(given: Mapping[str, str], file: Path | None, values: Mapping[str, Any]) -> Connection:
    file_url = str(values.get("fitq_url") or "").rstrip("/")
    url = given.get("FITQ_URL", file_url or DEFAULT_URL).rstrip("/")
    # A token opens the platform that its file names; it never travels to another address.
    own = values if url == file_url else {}
    return Connection(
        url=url,
        scoring_url=given.get("FITQ_SCORING_URL") or str(own.get("fitq_scoring_url") or "") or _beside(url),
        token=given.get("FITQ_TOKEN") or str(own.get("fitq_token") or ""),
        workspace=given.get("FITQ_WORKSPACE")
        or str(values.get("workspace_name") or values.get("fitq_workspace") or "default"),
        subscription_id=str(values.get("subscription_id") or ""),
        resource_group=str(values.get("resource_group") or ""),
        source="FITQ_URL" if "FITQ_URL" in given else str(file or "FITQ_TOKEN"),
    )


def _beside(url: str) -> str:
    """The scoring address when only the control plane's is known: default port beside default port."""
    found = re.fullmatch(r"(https?://[^/]+):8700(/.*)?", url)
    return f"{found[1]}:8701{found[2] or ''}" if found else ""


def _first_usable(
    place: Path, looked: list[str], *, accept_azure: bool
) -> tuple[Path, dict[str, Any]] | None:
    for file in _candidates(place):
        if not file.is_file():
            continue
        if not (place.is_file() or _is_trusted(file)):
            looked.append(f"{file} belongs to another user.")
            continue
        values = _read(file, looked, asked_for=place.is_file())
        if values is None:
            continue
        if values.get("fitq_url") or (accept_azure and values.get("workspace_name")):
            return file, values
        looked.append(f"{file} has no fitq_url.")
    return None


def _is_trusted(file: Path) -> bool:
    """Whether a file found on the way up is ours or root's: anybody may leave a config.json in /tmp."""
    return file.stat().st_uid in (0, os.getuid())


def _candidates(place: Path) -> Iterator[Path]:
    place = place.resolve()
    if place.is_file():
        yield place
        return
    for folder in (place, *place.parents):
        for name in PLACES:
            yield folder / name


def _read(file: Path, looked: list[str], *, asked_for: bool) -> dict[str, Any] | None:
    """The file's JSON object. Somebody else's unreadable `config.json` on the way up is only a remark."""
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as exc:
        if asked_for or file.parent.name in (".fitq", ".azureml"):
            raise InvalidRequest(f"{file} cannot be read as JSON: {exc}.", hint=_WAY_OUT) from exc
        looked.append(f"{file} is not JSON.")
        return None
    if not isinstance(values, dict):
        looked.append(f"{file} is not a JSON object.")
        return None
    return values
