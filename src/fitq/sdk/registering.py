"""What is said when a file becomes a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitq.context import plain_value
from fitq.errors import InvalidRequest
from fitq.names import check_name
from fitq.records import RegisterRequest
from fitq.sdk.absent import absent
from fitq.sdk.inside.say import warn_once


@dataclass(frozen=True)
class ResourceConfiguration:
    """What a model's service should have. Stored with the model; every number is above 0.

    Raises:
        InvalidRequest: a number is not.
    """

    cpu: float | None = None  #: cores
    memory_in_gb: float | None = None
    gpu: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InvalidRequest(f"{name} is {value!r}; it must be above 0.", at=name)

    def to_dict(self) -> dict[str, float]:
        """What was given."""
        given = {"cpu": self.cpu, "memory_in_gb": self.memory_in_gb, "gpu": self.gpu}
        return {name: value for name, value in given.items() if value is not None}


def register_request(
    name: str,
    *,
    tags: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    framework: str | None = None,
    framework_version: str | None = None,
    description: str | None = None,
    datasets: object = None,
    sample_input: object = None,
    sample_output: object = None,
    resources: ResourceConfiguration | None = None,
    run: str | None = None,
    path: str | None = None,
) -> RegisterRequest:
    """The body that registers a model.

    Raises:
        InvalidRequest: the name, or what is not there yet.
    """
    if datasets:
        raise absent("datasets=… of a model", "Leave it out; note the data in tags or description.")
    if sample_output is not None:
        warn_once("sample_output", "sample_output_dataset is not kept; answers are made from sample_input")
    return RegisterRequest(
        name=check_name("model", name),
        run=run,
        path=path,
        description=description or "",
        tags=_texts(tags),
        properties=_texts(properties),
        framework=framework or "ScikitLearn",
        framework_version=framework_version or "",
        resources=resources.to_dict() if resources is not None else {},
        sample_input=_rows(sample_input),
    )


def _rows(sample: Any) -> list[Any] | None:
    """Sample rows as JSON: lists, or objects where the sample has named columns."""
    if sample is None:
        return None
    plain = sample.to_dict("records") if hasattr(sample, "columns") else plain_value(sample)
    if not isinstance(plain, list) or not plain:
        raise InvalidRequest(
            f"sample_input is a {type(sample).__name__}.", hint="Give a few rows: a list, array or DataFrame."
        )
    return [plain_value(row) for row in plain]


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(k): "" if v is None else str(v) for k, v in (values or {}).items()}


def one_file(path: Path, child_paths: Sequence[str] | None) -> Path:
    """The one file of a model, given as itself or as a folder that holds nothing else."""
    if child_paths:
        path = path / child_paths[0] if len(child_paths) == 1 else path
    if path.is_dir():
        files = [f for f in sorted(path.rglob("*")) if f.is_file()]
        if len(files) != 1:
            raise absent(f"A model of several files ({path} holds {len(files)})", "Give the one model file.")
        return files[0]
    return path
