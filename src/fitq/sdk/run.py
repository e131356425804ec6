"""A submitted run, as its owner holds it; and from inside, the way to the current run."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fitq.errors import InvalidRequest, NotFound, RunFailed
from fitq.names import did_you_mean
from fitq.records import EntryRequest, RunRecord, RunStatus
from fitq.sdk import watching
from fitq.sdk.absent import absent
from fitq.sdk.details import details
from fitq.sdk.entry import entry_request
from fitq.sdk.inside.current import CurrentRun
from fitq.sdk.inside.metrics import gather
from fitq.sdk.inside.offline import get_context
from fitq.sdk.model import Model
from fitq.sdk.registering import ResourceConfiguration, register_request
from fitq.sdk.transfer import below

if TYPE_CHECKING:
    from fitq.sdk.experiment import Experiment
    from fitq.sdk.workspace import Workspace

#: What Azure's Run can do that this one cannot, and the way to it.
_ELSEWHERE = {
    "log": "Log inside the script: Run.get_context().log(name, value).",
    "log_list": "Log inside the script: Run.get_context().log_list(name, values).",
    "log_row": "Log inside the script: Run.get_context().log_row(name, column=value).",
    "tag": "Tag it when it is submitted: experiment.submit(config, tags={...}), or inside the script.",
    "set_tags": "Tag it when it is submitted: experiment.submit(config, tags={...}), or inside the script.",
    "remove_tags": "Remove them inside the script: Run.get_context().remove_tags([...]).",
    "add_properties": "Add them inside the script: Run.get_context().add_properties({...}).",
    "upload_file": "Write files into ./outputs inside the script.",
    "child_run": "Make child runs inside the script: Run.get_context().child_run(name).",
    "submit_child": "Submit one run for each.",
    "complete": "A run completes when its script ends.",
    "fail": "Stop it with run.cancel().",
}


class ActivityFailedException(RunFailed):
    """A run that was waited for did not complete. `run` in its data is the run's id."""

    code = "activity_failed"


class Run:
    """One execution of a function or script.

    Example:
        >>> run = Experiment(ws, "train-sklearn").submit(config)
        >>> run.wait_for_completion(show_output=True)
        >>> run.get_metrics()
        {'Kernel type': 'linear', 'Penalty': 1.0, 'Accuracy': 0.97}
    """

    def __init__(self, experiment: Experiment, run_id: str, *, record: RunRecord | None = None) -> None:
        """The run of that id.

        Raises:
            NotFound: there is none.
        """
        self.experiment = experiment
        self._client = experiment.workspace.client
        self.record = record or self._client.get_run(run_id)  #: as last seen

    @classmethod
    def get(cls, workspace: Workspace, run_id: str) -> Run:
        """The run of that id, whatever its experiment."""
        record = workspace.client.get_run(run_id)
        return cls(workspace.experiment(record.experiment), run_id, record=record)

    @staticmethod
    def get_context(allow_offline: bool = True, **_: object) -> CurrentRun:
        """Inside a run, that run; outside, one that prints what it would log.

        Raises:
            RuntimeError: outside a run, if `allow_offline` is false.
        """
        return get_context(allow_offline)

    # What is known of it

    @property
    def id(self) -> str:
        """Its id, such as `train-iris-k3f9x2ma`."""
        return self.record.id

    @property
    def status(self) -> str:
        """Its status now: Queued, Preparing, Running, Finalizing, Completed, Failed or Canceled."""
        return self.get_status()

    @property
    def display_name(self) -> str:
        """What it is called in lists."""
        return self.record.title

    @property
    def tags(self) -> dict[str, str]:
        """Its tags, as last seen."""
        return dict(self.record.tags)

    @property
    def parent(self) -> Run | None:
        """The run whose script made it, for a child run."""
        return Run(self.experiment, self.record.parent) if self.record.parent else None

    def refresh(self) -> RunRecord:
        """Its record, asked for again unless it can no longer change."""
        if not self.record.status.is_final:
            self.record = self._client.get_run(self.id)
        return self.record

    def get_status(self) -> str:
        """Its status now."""
        return str(self.refresh().status)

    def get_tags(self) -> dict[str, str]:
        """Its tags now."""
        return dict(self.refresh().tags)

    def get_portal_url(self) -> str:
        """Its page on the dashboard."""
        return watching.web_view(self._client, self.id)

    def get_children(
        self, recursive: bool = False, tags: object = None, properties: object = None, **_: object
    ) -> Iterator[Run]:
        """Its child runs, newest first; they are there once it has ended."""
        if tags or properties:
            raise absent("get_children with tags or properties", "Take all, and choose among them.")
        found = self._client.list_runs(parent=self.id).runs
        return (Run(self.experiment, record.id, record=record) for record in found)

    def get_details(self) -> dict[str, Any]:
        """Its record under Azure's keys: runId, target, status, startTimeUtc, error, runDefinition, …"""
        return details(self.refresh(), self._client.url, self.get_file_names())

    # Waiting and stopping

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Wait until it is final; its details.

        Args:
            show_output: write its log to standard output meanwhile. Ctrl-C stops the showing, not the run.
            wait_post_processing: always so: outputs are kept before a run is final.

        Raises:
            ActivityFailedException: it failed or was canceled (unless `raise_on_error` is false).
        """
        look = watching.show if show_output else watching.wait
        self.record = look(self._client, self.id)
        if raise_on_error and self.record.status is not RunStatus.COMPLETED:
            raise self._failed()
        return self.get_details()

    def _failed(self) -> ActivityFailedException:
        failure = self.record.failure
        return ActivityFailedException(
            f"Run {self.id} is {self.record.status}.\n{watching.explain(self.record)}",
            hint="" if failure and failure.hint else f"Its log: fitq runs logs {self.id}",
            run=self.id,
            run_status=str(self.record.status),
        )

    def cancel(self) -> None:
        """Ask it to stop; once it is Canceled, what it left behind is still there.

        Raises:
            Conflict: it already ended otherwise.
        """
        self.record = self._client.cancel_run(self.id)

    # What it left behind

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: object = None,
        populate: bool = False,
    ) -> dict[str, Any]:
        """What it logged so far: a value for one logged once, else a list; a table is its columns.

        Args:
            recursive: that of its child runs as well, by run id.
        """
        if recursive:
            return {r.id: r.get_metrics(name) for r in [self, *self.get_children()]}
        series = self._client.metrics(self.id)
        wanted = series.values() if name is None else [series.get(name, [])]
        return gather((point.name, point.value) for points in wanted for point in points)

    def get_file_names(self) -> list[str]:
        """The files it left behind: outputs/…, logs/…, user_logs/std_log.txt."""
        return [artifact.path for artifact in self._client.artifacts(self.id)]

    def download_file(
        self, name: str, output_file_path: str | os.PathLike[str] | None = None, *_: object, **__: object
    ) -> str:
        """Write one of its files to a path or into a folder (here if None); where it is now.

        Raises:
            NotFound: it left no such file; the message lists what it left.
        """
        target = Path(output_file_path) if output_file_path is not None else Path(Path(name).name)
        if target.is_dir() or str(output_file_path).endswith(("/", os.sep)):
            target = target / Path(name).name
        return str(self._client.download_artifact(self.id, name, target))

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: Iterable[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: int | None = None,
    ) -> None:
        """Write its files below a folder.

        Args:
            prefix: only files whose path starts with this folder, such as `outputs`.
            output_directory: the current folder if None.
            output_paths: instead of `output_directory`, a path for each file.
            append_prefix: keep the prefix below the folder.

        Raises:
            NotFound: no file has that prefix.
        """
        folder = "" if prefix is None else prefix.rstrip("/")
        names = [n for n in self.get_file_names() if not folder or n == folder or n.startswith(f"{folder}/")]
        if not names:
            raise NotFound(
                f"Run {self.id} has no files below {folder or 'it'!r}.", hint="See get_file_names()."
            )
        if output_paths is not None:
            targets = [Path(p) for p in output_paths]
            if len(targets) != len(names):
                raise InvalidRequest(f"{len(names)} files but {len(targets)} output_paths.", files=names)
        else:
            targets = [below(Path(output_directory or "."), n, folder, append_prefix) for n in names]
        for name, target in zip(names, targets, strict=True):
            self._client.download_artifact(self.id, name, target)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Download its log files; their paths."""
        root = Path(destination or f"logs-{self.id}")
        names = [n for n in self.get_file_names() if n.startswith(("logs/", "user_logs/"))]
        return [str(self._client.download_artifact(self.id, n, root / n)) for n in names]

    def get_details_with_logs(self) -> dict[str, Any]:
        """`get_details`, with the text of its log."""
        log = self._client.read_whole_log(self.id).decode(errors="replace")
        return {**self.get_details(), "log": log}

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Mapping[str, Any] | None = None,
        properties: Mapping[str, Any] | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: object = None,
        sample_input_dataset: object = None,
        sample_output_dataset: object = None,
        resource_configuration: ResourceConfiguration | None = None,
        sample_input: object = None,
        entry_script: str | None = None,
        source_directory: str | os.PathLike[str] | None = None,
        **_: object,
    ) -> Model:
        """Make one of its files the next version of a model, which is served from then on.

        Args:
            model_path: such as `outputs/model.joblib`; the model's name if None.
            sample_input: a few rows (list, array or DataFrame) that show what the model takes.
            entry_script: answers with the model: a script of the run's own code, or of `source_directory`.

        Raises:
            NotFound: it left no such file; the message lists what it left.
            ModelUnusable: the file cannot be served; says why.
        """
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
            run=self.id,
            path=model_path or model_name,
        )
        if entry_script is not None:
            own_code = EntryRequest(script=entry_script)
            entry = (
                entry_request(self._client, entry_script, source_directory) if source_directory else own_code
            )
            request = msgspec.structs.replace(request, entry=entry)
        return Model._of(self.experiment.workspace, self._client.register_model(request))

    # How it shows itself

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.record.experiment}, Id: {self.id}, Status: {self.record.status})"

    def _repr_html_(self) -> str:
        link = html.escape(self.get_portal_url(), quote=True)
        cells = (html.escape(str(t)) for t in (self.record.experiment, self.id, self.record.status))
        row = "".join(f"<td>{cell}</td>" for cell in cells)
        head = "<tr><th>Experiment</th><th>Id</th><th>Status</th><th>Page</th></tr>"
        return f'<table>{head}<tr>{row}<td><a href="{link}" rel="noopener">open</a></td></tr></table>'

    def __getattr__(self, name: str) -> Any:
        if name in _ELSEWHERE:
            raise AttributeError(f"Run.{name} is not there on a submitted run. {_ELSEWHERE[name]}")
        raise AttributeError(f"A Run has no {name!r}. {did_you_mean(name, dir(type(self)))}".strip())
