"""Secrets by reference: a run names them, its worker finds their values on its own side, nobody else does.

Where a worker looks for a secret `NAME`, the first that has it:

    <FITQ_SECRETS_FOLDER>/NAME    a file, read when a run starts: a new value holds from the next run on
    FITQ_SECRET_NAME              a variable, read when the worker starts

A mounted secret of Kubernetes or Compose, and systemd's credentials, are such folders.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

from fitq.errors import SecretUnavailable
from fitq.names import PATTERNS, did_you_mean
from fitq.offered_secrets import VARIABLE, where_to_put

#: Half of the longest variable that Linux starts a process with.
_MOST_BYTES = 64 * 1024


def take_from(environment: MutableMapping[str, str]) -> dict[str, str]:
    """The secrets among these variables, by name; they are not among them any more, so that no child
    inherits them."""
    taken = [v for v in environment if v.startswith(VARIABLE) and _is_name(v.removeprefix(VARIABLE))]
    return {variable.removeprefix(VARIABLE): environment.pop(variable) for variable in taken}


class Vault:
    """What one worker can give to runs."""

    def __init__(self, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> None:
        self._folder, self._variables = folder, dict(variables or {})

    @property
    def names(self) -> list[str]:
        """What it has, without looking at any value."""
        return sorted({*self._variables, *self._files()})

    def _files(self) -> list[str]:
        if self._folder is None:
            return []
        try:
            return [file.name for file in os.scandir(self._folder) if _is_secret(file)]
        except OSError:  # there is no such folder, yet
            return []

    def values(self, names: Iterable[str]) -> dict[str, str]:
        """Each named secret's value, without the line end that editors leave behind it.

        Raises:
            SecretUnavailable: one is not here, or cannot be a variable's value.
        """
        return {name: self._value(name) for name in names}

    def _value(self, name: str) -> str:
        data = self._read(name) if name in self._files() else None
        text = self._variables.get(name) if data is None else _text(name, data)
        if text is None:
            raise SecretUnavailable(
                f"This worker has no secret {name!r}. {did_you_mean(name, self.names)}".strip(),
                hint=where_to_put(name),
            )
        value = text.rstrip("\r\n")
        if not value or "\0" in value or len(value.encode()) > _MOST_BYTES:
            raise _unusable(name)
        return value

    def _read(self, name: str) -> bytes:
        assert self._folder is not None
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(_MOST_BYTES + 3)
        except OSError as exc:
            raise SecretUnavailable(
                f"Secret {name!r} cannot be read by this worker: {exc.strerror}.",
                hint="Let the user of the worker read its file.",
            ) from exc


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise _unusable(name) from exc.with_traceback(None)


def _unusable(name: str) -> SecretUnavailable:
    return SecretUnavailable(
        f"Secret {name!r} cannot be a variable of a process.",
        hint="It has to be text, not empty, without a NUL character, of at most 64 KiB. "
        "Encode what is not text, in base64 for example.",
    )


def _is_name(name: str) -> bool:
    return PATTERNS["secret"][0].fullmatch(name) is not None


def _is_secret(file: os.DirEntry[str]) -> bool:
    return _is_name(file.name) and file.is_file()
