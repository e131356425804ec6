"""Documents in YAML files, with the file and line of every part of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fitq.errors import InvalidRequest

_SUFFIXES = (".yaml", ".yml", ".json")
_MOST_DEPTH, _MOST_NODES = 50, 100_000


class Written(NamedTuple):
    """One document and where it stands."""

    document: dict[str, Any]
    file: Path
    lines: dict[str, int]  #: dotted path → line, from 1; the empty path is the document itself

    def where(self, path: str) -> str:
        """`pools.yaml:3`: where a path stands, or the nearest part above it that does."""
        while path not in self.lines and path:
            path = path.rpartition(".")[0]
        return f"{self.file}:{self.lines[path]}"


def read_written(given: Sequence[Path]) -> list[Written]:
    """All documents of files, folders (the YAML files right in them) and `-`, standard input.

    Raises:
        InvalidRequest: nothing is there, or something is not YAML; says file and line.
    """
    found = [written for path in given for file in _files(path) for written in _documents(file)]
    if not found:
        raise InvalidRequest(
            f"There is no document in {', '.join(map(str, given))}.",
            hint="Write one, or start from what is there: fitq export > fitq.yaml",
        )
    return found


def as_text(documents: Iterable[dict[str, Any]]) -> str:
    """Documents as a file would have them."""
    style: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
    return "\n---\n".join(yaml.dump(d, Dumper=_Dumper, **style).rstrip() for d in documents)


class _Dumper(yaml.SafeDumper):
    """Escapes all that YAML would take for the end of a line: PyYAML writes three of them as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set("\x85\u2028\u2029").intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _files(path: Path) -> list[Path]:
    if str(path) == "-" or path.is_file():
        return [path]
    if not path.is_dir():
        raise InvalidRequest(f"There is no file or folder {path}.", hint="Name one with -f.")
    return sorted(f for f in path.iterdir() if f.suffix in _SUFFIXES and f.is_file())


def _documents(file: Path) -> Iterator[Written]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        for node in yaml.compose_all(text, yaml.SafeLoader):
            if node is None or node.tag == "tag:yaml.org,2002:null":
                continue
            reading = _Reading(file)
            document = reading.value(node, "", 0)
            if not isinstance(document, dict):
                raise _wrong(file, node, "A document is a mapping with kind and name.")
            yield Written(document, file, reading.lines)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        raise InvalidRequest(f"{place}: {exc.problem or exc.context}.", hint="It is not YAML there.") from exc
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidRequest(f"{file}: {exc}.", hint="It is not YAML.") from exc


def _wrong(file: Path, node: yaml.Node, message: str, hint: str = "") -> InvalidRequest:
    return InvalidRequest(f"{file}:{node.start_mark.line + 1}: {message}", hint=hint)


class _Reading:
    """One document as plain data; keys are text also where YAML reads a number: `traffic: {3: 90}`."""

    def __init__(self, file: Path) -> None:
        self.lines: dict[str, int] = {}
        self._file = file
        self._scalars = yaml.SafeLoader("")
        self._nodes = 0

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        self._nodes += 1
        if depth > _MOST_DEPTH or self._nodes > _MOST_NODES:  # an anchor may hold itself, or double often
            raise _wrong(self._file, node, "The document is too deep or too large.")
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(n, f"{path}[{i}]", depth + 1) for i, n in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)
        except ValueError as exc:  # such as the date 2024-02-31
            hint = "Put it in quotes if it is a text."
            raise _wrong(self._file, node, f"{node.value} cannot be: {exc}.", hint) from exc

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        self._check_keys(node)
        self._scalars.flatten_mapping(node)  # what `<<` merges in comes first, so that own keys win
        found: dict[str, Any] = {}
        for key, value in node.value:
            below = f"{path}.{key.value}" if path else key.value
            self.lines[below] = key.start_mark.line + 1
            found[key.value] = self.value(value, below, depth + 1)
        return found

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(self._file, key, "A key must be text.")
            if key.value in seen:
                raise _wrong(self._file, key, f"{key.value!r} stands here twice.", "Keep one of the two.")
            seen.add(key.value)
