"""Reads docker-compose.yml and the Dockerfiles as docker would, as far as these tests need it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
OURS = ("api", "scheduler", "worker", "scoring")
REQUIRED = (
    "FITQ_TOKEN",
    "FITQ_REDIS_PASSWORD",
    "FITQ_S3_SECRET_KEY",
    "FITQ_S3_CONTROL_KEY",
    "FITQ_S3_WORKER_KEY",
    "FITQ_S3_SCORING_KEY",
    "FITQ_S3_BACKUP_KEY",
)
_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|(?P<plain>\w+)|\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\})"
)


class MissingVariable(Exception):
    """`${NAME:?…}` and no NAME."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:?…}` filled in; `$$` is a dollar."""

    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        given = variables.get(match["plain"] or match["name"], "")
        if given or match["kind"] is None:
            return given
        if match["kind"] == "?":
            raise MissingVariable(f"{match['name']}: {match['rest']}")
        return match["rest"]

    return _VARIABLE.sub(value, text)


def read(variables: Mapping[str, str]) -> dict[str, Any]:
    """The whole file as plain data, every variable filled in."""
    return _filled(yaml.safe_load(COMPOSE.read_text()), variables)


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, variables) for v in value]
    return interpolated(value, variables) if isinstance(value, str) else value


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile."""

    word: str
    rest: str

    @property
    def paths(self) -> list[str]:
        """COPY without its flags: sources, then the target."""
        return [p for p in shlex.split(self.rest) if not p.startswith("--")]

    @property
    def from_other_stage(self) -> bool:
        return "--from=" in self.rest


def instructions(service: str) -> list[Instruction]:
    """All of a service's Dockerfile."""
    text = (ROOT / "services" / service / "Dockerfile").read_text()
    lines = [ln for ln in text.splitlines() if ln.strip() and not ln.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [Instruction(*re.split(r"\s+", ln.strip(), maxsplit=1)) for ln in joined]


def stages(service: str) -> list[list[Instruction]]:
    """The instructions of each stage of a service's Dockerfile, FROM first."""
    parts: list[list[Instruction]] = []
    for instruction in instructions(service):
        if instruction.word == "FROM":
            parts.append([])
        if parts:
            parts[-1].append(instruction)
    return parts


def last(service: str, word: str) -> str:
    """What the final stage says last under `word`."""
    return [i.rest for i in stages(service)[-1] if i.word == word][-1]


def exec_form(text: str) -> list[str]:
    """`["a", "b"]` as in CMD or HEALTHCHECK … CMD."""
    parsed: list[str] = json.loads(text[text.index("[") :])
    return parsed
