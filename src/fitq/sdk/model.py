"""Models: registered files with versions, and their deployment."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from fitq.errors import Conflict, InvalidRequest, NotFound
from fitq.records import ChangeRequest
from fitq.sdk.absent import absent
from fitq.sdk.answers import RegisteredModel
from fitq.sdk.entry import InferenceConfig, entry_request
from fitq.sdk.finding import Wanted, cached, find
from fitq.sdk.registering import ResourceConfiguration, one_file, register_request
from fitq.sdk.service import DeploymentConfiguration, Endpoint, deploy

if TYPE_CHECKING:
    from fitq.sdk.run import Run
    from fitq.sdk.workspace import Workspace


class Model:
    """One version of a registered model.

    Example:
        >>> model = run.register_model("sklearn-iris", "outputs/model.joblib")
        >>> service = Model.deploy(ws, "scikit-learn-service", [model])
        >>> service.run('{"data": [[5.1, 3.5, 1.4, 0.2]]}')
    """

    class Framework:
        """Frameworks that may be declared. Scoring goes by the file itself."""

        CUSTOM: ClassVar[str] = "Custom"
        TENSORFLOW: ClassVar[str] = "TensorFlow"
        SCIKITLEARN: ClassVar[str] = "ScikitLearn"
        ONNX: ClassVar[str] = "Onnx"
        TFKERAS: ClassVar[str] = "TfKeras"
        PYTORCH: ClassVar[str] = "PyTorch"
        MULTI: ClassVar[str] = "Multi"

    def __init__(
        self,
        workspace: Workspace,
        name: str | None = None,
        id: str | None = None,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
        version: int | str | None = None,
        run_id: str | None = None,
        *,
        record: RegisteredModel | None = None,
        **_: object,
    ) -> None:
        """The newest version that fits.

        Args:
            id: `name:version`, instead of `name` and `version`.
            tags, properties: keys, or [key, value] pairs, that it must have.
            run_id: the run it must come from.

        Raises:
            NotFound: none does.
        """
        self.workspace = workspace
        self.record = record or find(workspace.client, name, id, version, Wanted(tags, properties, run_id))

    @classmethod
    def _of(cls, workspace: Workspace, record: RegisteredModel) -> Model:
        return cls(workspace, record=record)

    # What is known of it

    @property
    def name(self) -> str:
        """Its name, shared by all versions."""
        return self.record.name

    @property
    def version(self) -> int:
        """1, 2, 3 …"""
        return self.record.version

    @property
    def id(self) -> str:
        """`name:version`."""
        return self.record.id

    @property
    def description(self) -> str:
        """As registered."""
        return self.record.description

    @property
    def tags(self) -> dict[str, str]:
        """As registered."""
        return dict(self.record.tags)

    @property
    def properties(self) -> dict[str, str]:
        """As registered."""
        return dict(self.record.properties)

    @property
    def created_time(self) -> datetime:
        """When it was registered."""
        return self.record.created_at

    @property
    def model_framework(self) -> str:
        """As declared."""
        return self.record.framework

    @property
    def model_framework_version(self) -> str:
        """As declared; serving goes by `record.versions`, what really wrote the file."""
        return self.record.framework_version

    @property
    def resource_configuration(self) -> ResourceConfiguration | None:
        """As declared."""
        return ResourceConfiguration(**self.record.resources) if self.record.resources else None  # type: ignore[arg-type]  # gpu travels as a number

    @property
    def run_id(self) -> str | None:
        """The run it came from; None for an uploaded file."""
        return self.record.run

    @property
    def experiment_name(self) -> str | None:
        """The experiment of that run."""
        return self.record.experiment

    @property
    def run(self) -> Run | None:
        """The run it came from."""
        return self.workspace.get_run(self.record.run) if self.record.run else None

    @property
    def url(self) -> str:
        """Where its file is."""
        return f"{self.workspace.client.url}/v1/models/{self.name}/versions/{self.version}/file"

    @property
    def scoring_uri(self) -> str:
        """Where it answers, without any deployment."""
        return self.record.scoring_uri

    def score(self, body: object) -> Any:
        """What this very version answers to a body such as `{"data": [[5.1, 3.5, 1.4, 0.2]]}`."""
        return self.workspace.client.score(self.name, body, self.version)

    # Registering, finding, fetching

    @staticmethod
    def register(
        workspace: Workspace,
        model_path: str | os.PathLike[str],
        model_name: str,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        description: str | None = None,
        datasets: object = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Sequence[str] | None = None,
        sample_input_dataset: object = None,
        sample_output_dataset: object = None,
        resource_configuration: ResourceConfiguration | None = None,
        sample_input: object = None,
        entry_script: str | os.PathLike[str] | None = None,
        source_directory: str | os.PathLike[str] | None = None,
        **_: object,
    ) -> Model:
        """Upload a local file as the next version of a model.

        Args:
            entry_script: answers with the model, as in `InferenceConfig`.
            source_directory: the script's folder, which is sent along; None: the script alone.

        Raises:
            NotFound: there is no such file.
            ModelUnusable: the file cannot be served; says why.
        """
        file = one_file(Path(model_path), child_paths)
        request = register_request(
            model_name,
            tags=tags,
            properties=properties,
            framework=model_framework,
            framework_version=model_framework_version,
            description=description,
            datasets=datasets,
            sample_input=sample_input if sample_input is not None else sample_input_dataset,
            sample_output=sample_output_dataset,
            resources=resource_configuration,
        )
        if entry_script is not None:
            entry = entry_request(workspace.client, entry_script, source_directory)
            request = msgspec.structs.replace(request, entry=entry)
        return Model._of(workspace, workspace.client.register_model(request, file))

    @staticmethod
    def list(
        workspace: Workspace,
        name: str | None = None,
        tags: Sequence[Any] | None = None,
        properties: Sequence[Any] | None = None,
        run_id: str | None = None,
        latest: bool = False,
        model_framework: str | None = None,
        **_: object,
    ) -> list[Model]:
        """Versions of models, newest first; with `latest` only the newest of each model."""
        client = workspace.client
        wanted = Wanted(tags, properties, run_id, model_framework)
        names = [s.name for s in client.list_models() if name in (None, s.name)]
        fitting = ([r for r in client.get_model_summary(n).records if wanted(r)] for n in names)
        kept = [record for records in fitting for record in (records[:1] if latest else records)]
        kept.sort(key=lambda record: record.created_at, reverse=True)
        return [Model._of(workspace, record) for record in kept]

    def download(
        self,
        target_dir: str | os.PathLike[str] = ".",
        exist_ok: bool = False,
        exists_ok: bool | None = None,
    ) -> str:
        """Write its file into a folder; where it is now.

        Raises:
            Conflict: a file of that name is there already, and `exist_ok` is false.
        """
        target = Path(target_dir) / PurePosixPath(self.record.path).name
        if target.exists() and not (exist_ok or exists_ok):
            raise Conflict(f"{target} exists already.", hint="Pass exist_ok=True to replace it.")
        return str(self.workspace.client.download_model(self.name, self.version, target))

    def delete(self) -> None:
        """Delete this version. Its number is not used again.

        Raises:
            Conflict: an alias or an endpoint still points to it.
        """
        self.workspace.client.delete_model(self.name, self.version)

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Add tags, or change those of these names."""
        self._change(ChangeRequest(tags={str(k): str(v) for k, v in tags.items()}))

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Take tags away."""
        self._change(ChangeRequest(tags=dict.fromkeys(tags)))

    def update(self, tags: Mapping[str, Any] | None = None, description: str | None = None) -> None:
        """Add or change tags, and change the description."""
        changed = {str(k): str(v) for k, v in (tags or {}).items()}
        self._change(ChangeRequest(tags=dict(changed), description=description))

    def _change(self, request: ChangeRequest) -> None:
        self.record = self.workspace.client.change_model(self.name, self.version, request)

    @staticmethod
    def get_model_path(
        model_name: str, version: int | str | None = None, _workspace: Workspace | None = None
    ) -> str:
        """Where a model's file is on this machine, for code that loads it.

        Below `AZUREML_MODEL_DIR` or `./azureml-models` as `<name>/<version>/`; fetched there from the
        workspace if one is given.

        Raises:
            NotFound: it is not there, and no workspace was given.
        """
        root = Path(os.environ.get("AZUREML_MODEL_DIR") or "azureml-models")
        found = cached(root / model_name, version)
        if found is not None and (version is not None or _workspace is None):
            return str(found)
        if _workspace is None:
            raise NotFound(
                f"Model {model_name!r} is not below {root}.", hint="Pass _workspace=ws, or model.download()."
            )
        model = Model(_workspace, model_name, version=version)
        folder = root / model.name / str(model.version)
        return str(cached(folder.parent, model.version) or model.download(folder))

    # Deploying

    @staticmethod
    def deploy(
        workspace: Workspace,
        name: str,
        models: Sequence[Model | str],
        inference_config: InferenceConfig | None = None,
        deployment_config: DeploymentConfiguration | None = None,
        deployment_target: object = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Endpoint:
        """Give one model, or several with a script that reads them, a stable address with keys.

        Args:
            name: 3–32 lower-case letters, digits or '-'.
            models: the one model, or its name or id; several only with a script, which finds each in
                `AZUREML_MODEL_DIR/<name>/<version>/`.
            inference_config: a script that answers with the models. They and the script become the next
                version of a model of this endpoint's name.
            overwrite: replace an endpoint of that name.

        Raises:
            InvalidRequest: not exactly one model, and no script.
            ModelUnusable: the script does not import or does not load the model; says why.
            Conflict: the endpoint exists, and `overwrite` is false.
        """
        if not isinstance(inference_config, InferenceConfig | None):
            raise InvalidRequest(
                f"inference_config is a {type(inference_config).__name__}.",
                hint='Give InferenceConfig(entry_script="score.py", source_directory=".").',
            )
        if not models and inference_config is not None:
            raise absent("An entry script without a model", "Deploy it with the model that it answers with.")
        if len(models) != 1 and inference_config is None:
            raise InvalidRequest(
                "You must provide an InferenceConfig when deploying zero or multiple models.",
                hint="Deploy one model: Model.deploy(ws, name, [model]).",
                got=len(models),
            )
        found = [_find_named(workspace, m) if isinstance(m, str) else m for m in models]
        records = [model.record for model in found]
        return deploy(workspace, name, records, inference_config, deployment_config, overwrite, show_output)

    @staticmethod
    def package(*_: object, **__: object) -> Any:
        """Not there yet."""
        raise absent(
            "Model.package", "Run the scoring service's own image; it serves every registered model."
        )

    @staticmethod
    def profile(*_: object, **__: object) -> Any:
        """Not there yet."""
        raise absent("Model.profile", "Measure the service: x-ms-run-fn-exec-ms of its answers.")

    # How it shows itself

    def __repr__(self) -> str:
        return f"Model(Name: {self.name}, Version: {self.version}, Run: {self.run_id})"

    def _repr_html_(self) -> str:
        cells = (self.name, self.version, self.record.estimator, self.run_id or "", self.scoring_uri)
        row = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        head = "<tr><th>Model</th><th>Version</th><th>Estimator</th><th>Run</th><th>Scoring</th></tr>"
        return f"<table>{head}<tr>{row}</tr></table>"


def _find_named(workspace: Workspace, text: str) -> Model:
    return Model(workspace, id=text) if ":" in text else Model(workspace, text)
