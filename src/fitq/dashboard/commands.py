"""Commands to copy: what a page shows, done by hand. Quoted for a shell, whatever the names are."""

from __future__ import annotations

import json
import re
import shlex

from fitq.records import (
    ArtifactRecord,
    EndpointRecord,
    FunctionRecord,
    JsonScalar,
    ModelRecord,
    RunRecord,
)

_MODEL_SUFFIXES = (".joblib", ".pkl", ".pickle", ".skops", ".onnx")
_BODY_CHARACTERS = 4000


def register(run: RunRecord, artifacts: list[ArtifactRecord]) -> str:
    """`fitq models register …` for the file that looks most like a model; empty if there is none."""
    # A pasted control character would act on the terminal, quoted or not.
    outputs = [a.path for a in artifacts if a.path.startswith("outputs/") and a.path.isprintable()]
    likely = [path for path in outputs if path.endswith(_MODEL_SUFFIXES)] or outputs
    if not likely:
        return ""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", run.function or run.experiment).strip("-") or "model"
    return shlex.join(["fitq", "models", "register", stem, "--run", run.id, "--path", likely[0]])


def score(scoring_url: str, model: ModelRecord, *, pinned: bool = False) -> str:
    """A `curl` that scores a row this model was seen to answer; empty if none is known."""
    version = f"/versions/{model.version}" if pinned else ""
    return _curl(f"{scoring_url}/models/{model.name}{version}/score", model, "$FITQ_TOKEN")


def score_endpoint(scoring_url: str, endpoint: EndpointRecord, model: ModelRecord | None) -> str:
    """The same through an endpoint."""
    secret = {"none": "", "token": "$FITQ_TOKEN"}.get(endpoint.auth, "$FITQ_ENDPOINT_KEY")
    return _curl(endpoint_address(scoring_url, endpoint), model, secret)


def endpoint_address(scoring_url: str, endpoint: EndpointRecord) -> str:
    """Where an endpoint scores."""
    return f"{scoring_url}/api/v1/service/{endpoint.name}/score"


def _curl(address: str, model: ModelRecord | None, secret: str) -> str:
    example = model.example_body if model else None
    if model is None or example is None:
        return ""
    if model.entry is None and isinstance(example, dict):
        example = {"data": example["data"][:1]}
    body = json.dumps(example, ensure_ascii=True)
    if len(body) > _BODY_CHARACTERS:
        return ""
    lines = [f"curl -sS {shlex.quote(address)}", '-H "Content-Type: application/json"']
    if secret:
        lines.append(f'-H "Authorization: Bearer {secret}"')
    return " \\\n  ".join([*lines, f"-d {shlex.quote(body)}"])


def call(function: FunctionRecord) -> str:
    """`fitq call …` with every required parameter and one default, as a start."""
    command = ["fitq", "call", function.name]
    for parameter in function.parameters:
        value = parameter.choices[0] if parameter.choices else parameter.default
        if parameter.required or value is not None:
            shown = _typed(value) if value is not None else parameter.type.upper()
            command += ["--parameter", f"{parameter.name}={shown}"]
        if not parameter.required:
            break
    return shlex.join([*command, "--follow"])


def _typed(value: JsonScalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)
