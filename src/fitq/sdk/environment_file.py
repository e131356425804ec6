"""Files that list packages: requirements.txt, pyproject.toml, a script's header; conda files: `conda.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fitq.errors import InvalidRequest, NotFound
from fitq.script_header import header_block
from fitq.sdk.conda import CondaDependencies

_HASH = re.compile(r"\s+--hash=\S+")
_KINDS = "a conda file (.yml), requirements (.txt), a pyproject.toml, or a script with a header (.py)"


def form_of_file(file: Path) -> dict[str, Any]:
    """What a file says, in the form that the platform takes: `{"conda": …}`, `{"pip": …}`, …

    Raises:
        NotFound, InvalidRequest: there is no such file, or it is none of these.
    """
    if file.suffix in (".yml", ".yaml"):
        return {"conda": CondaDependencies(file).as_dict()}
    if file.suffix == ".txt":
        return {"pip": read_requirements(file)}
    if file.suffix == ".toml":
        return {"pyproject": _text(file)}
    if file.suffix == ".py":
        header = script_header(file)
        if header is None:
            raise InvalidRequest(
                f"{file} has no header that lists its packages.",
                hint='Start it with: # /// script / # dependencies = ["scikit-learn"] / # ///',
            )
        return {"script": header}
    raise InvalidRequest(
        f"{file} does not list packages in a way that is known here.", hint=f"Give {_KINDS}."
    )


def script_header(file: Path) -> str | None:
    """A script's PEP 723 header; None if it has none, or cannot be read."""
    try:
        return header_block(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None


def read_requirements(file: Path) -> list[str]:
    """The requirements in a file, and in those that it includes with -r.

    Raises:
        NotFound: it, or one that it includes, is not there.
        InvalidRequest: it has an option for pip.
    """
    return list(_requirements(file, {file.resolve()}))


def _requirements(file: Path, seen: set[Path]) -> Iterator[str]:
    joined = re.sub(r"\\\r?\n", " ", _text(file))
    for raw in joined.splitlines():
        line = _HASH.sub("", re.sub(r"(^|\s)#.*$", "", raw)).strip()
        included = re.fullmatch(r"(?:-r|--requirement)[\s=]+(\S+)", line)
        if included:
            other = (file.parent / included[1]).resolve()
            if other not in seen:
                yield from _requirements(other, seen | {other})
        elif line.startswith("-"):
            raise InvalidRequest(
                f"{file} has an option for pip ({line.split()[0]}), which a run cannot carry.",
                hint="List requirements only, one a line, such as scikit-learn==1.5.2.",
            )
        elif line:
            yield line


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as exc:
        raise NotFound(f"There is no file {str(file)!r}.", hint=f"Give {_KINDS}.") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidRequest(f"{file} cannot be read as text: {exc}.", hint=f"Give {_KINDS}.") from exc
