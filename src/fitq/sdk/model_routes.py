"""The routes of models and endpoints, and scoring."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fitq.errors import InvalidRequest
from fitq.records import ChangeRequest, EndpointRequest, RegisterRequest
from fitq.sdk.answers import (
    AliasAnswer,
    DeployedEndpoint,
    EndpointKeys,
    ModelSummary,
    RegisteredModel,
    read_answer,
)
from fitq.sdk.exchange import Exchange, part, said
from fitq.sdk.http import decoded, json_body
from fitq.sdk.transfer import download, multipart


class ModelRoutes(Exchange):
    """Register, deploy and score models."""

    # Models

    def register_model(self, request: RegisterRequest, file: Path | None = None) -> RegisteredModel:
        """The next version of a model: a file of the run that `request` names, or an uploaded `file`."""
        if file is None:
            return read_answer(self.post("/v1/models", said(request)), RegisteredModel)
        with multipart(file, {"metadata": json_body(said(request)).decode()}) as build:
            response = self.http.send("POST", f"{self.url}/v1/models", repeatable=False, build=build)
        return read_answer(decoded(response), RegisteredModel)

    def list_models(self) -> list[ModelSummary]:
        """Every model with its versions and aliases."""
        return [read_answer(m, ModelSummary) for m in self.get("/v1/models")["models"]]

    def get_model_summary(self, name: str) -> ModelSummary:
        """One model with the records of its versions."""
        return read_answer(self.get(f"/v1/models/{part(name)}"), ModelSummary)

    def get_model(self, name: str, version: int | str | None = None) -> RegisteredModel:
        """One version of a model; the newest if None."""
        if version is None:
            version = self.get_model_summary(name).latest_version
        return read_answer(self.get(f"/v1/models/{part(name)}/versions/{part(version)}"), RegisteredModel)

    def download_model(self, name: str, version: int | str, target: str | os.PathLike[str]) -> Path:
        """Write a model's file to `target`."""
        url = f"{self.url}/v1/models/{part(name)}/versions/{part(version)}/file"
        return download(self.http, url, Path(target))

    def set_alias(self, name: str, alias: str, version: int) -> AliasAnswer:
        """Let an alias such as `champion` point to a version."""
        path = f"/v1/models/{part(name)}/aliases/{part(alias)}"
        return read_answer(self.put(path, {"version": version}), AliasAnswer)

    def change_model(self, name: str, version: int | str, request: ChangeRequest) -> RegisteredModel:
        """Change tags, description, or whether other answers are tolerated."""
        path = f"/v1/models/{part(name)}/versions/{part(version)}"
        return read_answer(self.patch(path, said(request)), RegisteredModel)

    def approve_file(self, sha256: str) -> None:
        """Trust a model file by its SHA-256: it is loaded whatever it imports."""
        self.put(f"/v1/approvals/{part(sha256)}")

    def delete_model(self, name: str, version: int | None = None) -> None:
        """Delete one version of a model; all of them if None."""
        pinned = f"/versions/{version}" if version is not None else ""
        self.delete(f"/v1/models/{part(name)}{pinned}")

    # Endpoints

    def deploy(self, name: str, request: EndpointRequest) -> DeployedEndpoint:
        """Create or replace an endpoint."""
        return read_answer(self.put(f"/v1/endpoints/{part(name)}", said(request)), DeployedEndpoint)

    def endpoints(self) -> list[DeployedEndpoint]:
        """Every endpoint."""
        return [read_answer(e, DeployedEndpoint) for e in self.get("/v1/endpoints")["endpoints"]]

    def get_endpoint(self, name: str) -> DeployedEndpoint:
        """One endpoint."""
        return read_answer(self.get(f"/v1/endpoints/{part(name)}"), DeployedEndpoint)

    def delete_endpoint(self, name: str) -> None:
        """Take an endpoint away; its model stays."""
        self.delete(f"/v1/endpoints/{part(name)}")

    def keys(self, endpoint: str) -> EndpointKeys:
        """An endpoint's keys."""
        return read_answer(self.get(f"/v1/endpoints/{part(endpoint)}/keys"), EndpointKeys)

    def regenerate_key(self, endpoint: str, which: str) -> EndpointKeys:
        """Replace the primary or secondary key; the old one stops working."""
        path = f"/v1/endpoints/{part(endpoint)}/keys/{part(which)}/regenerate"
        return read_answer(self.post(path), EndpointKeys)

    # Scoring

    def score(self, model: str, body: object, version: int | str | None = None) -> Any:
        """What a model answers to a body such as `{"data": [[5.1, 3.5, 1.4, 0.2]]}` (or its JSON text)."""
        pinned = f"/versions/{part(version)}" if version is not None else ""
        return self._score(f"/models/{part(model)}{pinned}/score", body, None)

    def endpoint_score(self, endpoint: str, body: object, key: str | None = None) -> Any:
        """What an endpoint answers; with the client's token unless a key is given."""
        return self._score(f"/api/v1/service/{part(endpoint)}/score", body, key)

    def _score(self, path: str, body: object, key: str | None) -> Any:
        if not self.scoring_url:
            raise InvalidRequest("The scoring address is not known.", hint="Set FITQ_SCORING_URL.")
        options = {"content": json_body(body), "headers": {"Content-Type": "application/json"}}
        url = self.scoring_url + path
        return decoded(self.http.send("POST", url, repeatable=True, build=lambda: options, token=key))
