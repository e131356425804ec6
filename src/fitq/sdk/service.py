"""Endpoints: stable addresses that score, behind keys. Azure calls them web services."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fitq.errors import Conflict, FitqError, InvalidRequest, NotFound, Unavailable
from fitq.names import check_name
from fitq.records import EndpointRequest
from fitq.sdk.absent import absent
from fitq.sdk.answers import DeployedEndpoint, RegisteredModel
from fitq.sdk.entry import InferenceConfig, register_with_script

if TYPE_CHECKING:
    from fitq.sdk.model import Model
    from fitq.sdk.workspace import Workspace

_DEPLOYMENT_SECONDS = 600.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class DeploymentConfiguration:
    """How an endpoint is reached. Sizes are accepted and not used: every model shares the scoring service."""

    auth_enabled: bool = True  #: false: anybody who reaches the address may score
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    cpu_cores: float | None = None
    memory_gb: float | None = None
    port: int | None = None


class Endpoint:
    """A stable address that scores with a model.

    Example:
        >>> service = Model.deploy(ws, "scikit-learn-service", [model])
        >>> service.wait_for_deployment()
        >>> service.run({"data": [[5.1, 3.5, 1.4, 0.2]]})
    """

    def __init__(
        self, workspace: Workspace, name: str, *, record: DeployedEndpoint | None = None, **_: object
    ) -> None:
        """The endpoint of that name.

        Raises:
            NotFound: there is none.
        """
        self.workspace = workspace
        self.record = record or workspace.client.get_endpoint(name)  #: as last seen

    @staticmethod
    def list(workspace: Workspace, *_: object, **__: object) -> list[Endpoint]:
        """Every endpoint."""
        return [Endpoint(workspace, e.name, record=e) for e in workspace.client.endpoints()]

    @property
    def name(self) -> str:
        """Its name, a part of its address."""
        return self.record.name

    @property
    def state(self) -> str:
        """As last seen: Transitioning, Healthy, Unhealthy or Failed."""
        return self.record.state

    @property
    def scoring_uri(self) -> str:
        """Where it answers `POST {"data": [[…]]}`."""
        return self.record.scoring_uri

    @property
    def swagger_uri(self) -> str:
        """Where its schema is."""
        return self.record.swagger_uri

    @property
    def auth_enabled(self) -> bool:
        """Whether a key or token is needed."""
        return self.record.auth != "none"

    @property
    def tags(self) -> dict[str, str]:
        """As deployed."""
        return dict(self.record.tags)

    @property
    def models(self) -> dict[str, int]:
        """`name:version` → percent of the requests it gets."""
        return {f"{self.record.model}:{version}": share for version, share in self.record.traffic.items()}

    def update_deployment_state(self) -> None:
        """Look again."""
        self.record = self.workspace.client.get_endpoint(self.name)

    def get_state(self) -> str:
        """Its state now."""
        self.update_deployment_state()
        return self.state

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until it answers.

        Raises:
            FitqError: it is Unhealthy or Failed.
            Unavailable: it is still not there after `timeout_sec` (ten minutes if None).
        """
        limit = _DEPLOYMENT_SECONDS if timeout_sec is None else timeout_sec
        waited, pause = 0.0, _FIRST_PAUSE_SECONDS
        while self.get_state() == "Transitioning":
            if waited >= limit:
                raise Unavailable(
                    f"Endpoint {self.name!r} is not healthy after {limit:.0f} seconds. {self.record.problem}"
                )
            if show_output:
                sys.stdout.write("." if waited else "Running")
                sys.stdout.flush()
            self.workspace.client.http.pause(pause)
            waited += pause
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        if self.state != "Healthy":
            raise FitqError(
                f"Endpoint {self.name!r} is {self.state}. {self.record.problem}".strip(),
                hint=self.record.hint or "The log of the scoring service says why.",
            )
        if show_output:
            sys.stdout.write("\n" if waited else "")
            sys.stdout.write('Service creation operation finished, operation "Succeeded"\n')

    def run(self, input_data: object) -> Any:
        """What it answers to JSON text, bytes, or a value such as `{"data": [[5.1, 3.5, 1.4, 0.2]]}`.

        Raises:
            InputRejected: the rows do not fit; says where.
        """
        return self.workspace.client.endpoint_score(self.name, input_data)

    def get_keys(self) -> tuple[str, str]:
        """The primary and the secondary key; either opens it, as `Authorization: Bearer <key>`."""
        keys = self.workspace.client.keys(self.name)
        return keys.primary, keys.secondary

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace a key, `"Primary"` or `"Secondary"`; the old one stops working.

        Raises:
            InvalidRequest: another word, or a key of one's own choice.
        """
        if set_key is not None:
            raise absent("set_key (a key of one's own choice)", "Take the generated one from get_keys().")
        which = key.lower()
        if which not in ("primary", "secondary"):
            raise InvalidRequest(f"{key!r} is not a key.", hint="Say Primary or Secondary.")
        self.workspace.client.regenerate_key(self.name, which)

    def update(
        self,
        models: Sequence[Model] | None = None,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        auth_enabled: bool | None = None,
        inference_config: InferenceConfig | None = None,
        **_: object,
    ) -> None:
        """Change model, entry script, description, tags or protection; the address and the keys stay."""
        if models is not None and (not models or (len(models) > 1 and inference_config is None)):
            raise InvalidRequest(
                "An endpoint is updated with one model, or with several and an InferenceConfig.",
                got=len(models),
            )
        if inference_config is not None and models is None:
            raise InvalidRequest("A new entry script needs its model too.", hint="Pass models=[model].")
        record, model = self.record, models[0].record if models else None
        if inference_config is not None and model is not None:
            given = [m.record for m in models or ()]
            model = register_with_script(self.workspace.client, self.name, given, inference_config)
        request = EndpointRequest(
            model=model.name if model else record.model,
            traffic={str(model.version): 100} if model else dict(record.traffic),
            auth=record.auth if auth_enabled is None else _auth(auth_enabled),
            method=record.method,
            description=record.description if description is None else description,
            tags=record.tags if tags is None else tags,
        )
        self.record = self.workspace.client.deploy(self.name, request)

    def delete(self) -> None:
        """Take it away; the model stays."""
        self.workspace.client.delete_endpoint(self.name)

    def get_logs(self, num_lines: int = 5000, **_: object) -> str:
        """Not there yet: models share the scoring service, which has one log for all."""
        raise absent("service.get_logs", "Read the log of the scoring service where it runs.")

    def get_token(self) -> tuple[str, Any]:
        """Not there yet."""
        raise absent("service.get_token", "Use one of get_keys().")

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r}, {self.state}, {self.scoring_uri})"


def deploy(
    workspace: Workspace,
    name: str,
    models: Sequence[RegisteredModel],
    inference: InferenceConfig | None,
    configuration: DeploymentConfiguration | None,
    overwrite: bool,
    show_output: bool,
) -> Endpoint:
    """Create an endpoint for one model, or with `overwrite` replace it.

    Args:
        models: the one; several only with a script.
        inference: with a script, they are first registered together with that under the endpoint's name.

    Raises:
        Conflict: it exists, and `overwrite` is false.
    """
    check_name("endpoint", name)
    if not overwrite and _exists(workspace, name):
        raise Conflict(
            f"There is already an endpoint {name!r}.", hint="Pass overwrite=True, or service.update([model])."
        )
    model = models[0]
    if inference is not None:
        model = register_with_script(workspace.client, name, models, inference)
    how = configuration or DeploymentConfiguration()
    request = EndpointRequest(
        model=model.name,
        traffic={str(model.version): 100},
        auth=_auth(how.auth_enabled),
        description=how.description,
        tags=how.tags,
    )
    endpoint = Endpoint(workspace, name, record=workspace.client.deploy(name, request))
    if show_output:
        endpoint.wait_for_deployment(show_output=True)
    return endpoint


def _exists(workspace: Workspace, name: str) -> bool:
    try:
        workspace.client.get_endpoint(name)
    except NotFound:
        return False
    return True


def _auth(enabled: bool) -> str:
    return "key" if enabled else "none"
