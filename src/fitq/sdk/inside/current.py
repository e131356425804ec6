"""The run that this process is."""

import datetime
import json
import os
import shutil
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence

from fitq.context import RunContext, _metric, plain_value
from fitq.sdk.inside.metrics import gather
from fitq.sdk.inside.places import fresh, new_folder, place
from fitq.sdk.inside.say import warn_once

#: Calls of Azure's client whose meaning has no counterpart here: nothing depends on their effect.
_WITHOUT_COUNTERPART = (
    "add_type_providers",
    "clean",
    "restore_snapshot",
    "set_parent",
    "snapshot",
    "take_snapshot",
)
_FROM_OUTSIDE = {
    "submit_child": "A run holds no token of the platform; submit where this one was submitted.",
    "output_datasets": "Write files into ./outputs; they are kept when the run ends.",
}


class CurrentExperiment:
    """The experiment of the run that this process is."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def workspace(self) -> Any:
        """Not reachable: a run has no token."""
        raise AttributeError(
            "Inside a run there is no workspace: a run holds no token of the platform. "
            "Use it where the run is submitted."
        )


class PromisedModel:
    """A model that the run registers when it completes. Its version is decided then."""

    version = None

    def __init__(self, name: str, run_id: str, tags: Dict[str, str], properties: Dict[str, str]) -> None:
        self.name, self.run_id, self.tags, self.properties = name, run_id, tags, properties

    @property
    def id(self) -> str:
        """The name: there is no version yet."""
        return self.name

    def __repr__(self) -> str:
        return "Model(name=%s, registered when run %s completes)" % (self.name, self.run_id)


class CurrentRun:
    """The run that this process is. What is logged lands in its folder, and from there on the platform.

    Example:
        >>> run = Run.get_context()
        >>> run.log("Accuracy", 0.97)
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self.id = context.id
        self.experiment = CurrentExperiment(context.experiment)
        self.parent: Optional["CurrentRun"] = None
        self.display_name = ""
        self._children: List["CurrentRun"] = []
        self.tags: Dict[str, str] = {}
        self.properties: Dict[str, str] = {}

    # Metrics

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Log one number or text; the same name again makes a series.

        Raises:
            TypeError: the value is a list; `log_list` takes those.
        """
        self._context.log(name, value, step)

    def log_list(self, name: str, value: Sequence[Any], description: str = "") -> None:
        """Log several values of one series at once."""
        self._context.log_list(name, value)

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        """Log one row of a table, a value per column."""
        self._row(name, kwargs)

    def log_table(self, name: str, value: Dict[str, Any], description: str = "") -> None:
        """Log a table given as columns; missing cells of shorter columns become null."""
        columns = {k: plain_value(v) for k, v in value.items()}
        lists = {k: v if isinstance(v, list) else [v] for k, v in columns.items()}
        if len({len(v) for v in lists.values()}) > 1:
            warn_once("table " + name, "the columns of table %r differ in length" % name)
        for row in zip_longest(*lists.values()):
            self._row(name, dict(zip(lists, row)))

    def log_image(
        self, name: str, path: Optional[str] = None, plot: Any = None, description: str = ""
    ) -> None:
        """Keep an image, a file or a matplotlib plot, as `outputs/images/…`, and log that path."""
        if (path is None) == (plot is None):
            raise ValueError("log_image(%r) takes either path or plot" % name)
        suffix = os.path.splitext(str(path))[1] if path is not None else ".png"
        target = fresh(self._context.outputs, "images", name, suffix or ".png")
        if path is not None:
            shutil.copyfile(str(path), str(target))
        else:
            plot.savefig(str(target))
        self._context.log(name, self._shown(target))

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Keep a confusion matrix, JSON text or a dict, as `outputs/metrics/….json`, and log that path."""
        self._document(name, value)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Keep an accuracy table as `log_confusion_matrix` does."""
        self._document(name, value)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Keep residuals as `log_confusion_matrix` does."""
        self._document(name, value)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Keep predictions as `log_confusion_matrix` does."""
        self._document(name, value)

    @property
    def input_datasets(self) -> Dict[str, str]:
        """Name of each input → the path of its file or folder."""
        return {name: str(path) for name, path in self._context.inputs.items()}

    def get_metrics(self, name: Optional[str] = None, **_: Any) -> Dict[str, Any]:
        """What was logged so far: a value for one that was logged once, else a list."""
        lines = _lines(self._context.path / "metrics.jsonl")
        return gather((m["name"], m["value"]) for m in lines if name in (None, m["name"]))

    # Tags and properties

    def tag(self, key: str, value: Any = None) -> None:
        """Set a tag on the run."""
        self.tags[str(key)] = "" if value is None else str(value)
        self._context.tag(key, self.tags[str(key)])

    def set_tags(self, tags: Dict[str, Any]) -> None:
        """Set several tags."""
        for key, value in tags.items():
            self.tag(key, value)

    def get_tags(self) -> Dict[str, str]:
        """The tags set from here."""
        return dict(self.tags)

    def remove_tags(self, tags: Any) -> None:
        """Take tags away, given as one name or several, also those that the run was submitted with."""
        names = [tags] if isinstance(tags, str) else [str(name) for name in tags]
        for name in names:
            self.tags.pop(name, None)
        self._context.untag(*names)

    def add_properties(self, properties: Dict[str, Any]) -> None:
        """Set properties, which never change; one that is set already stays."""
        for key, value in properties.items():
            if str(key) in self.properties:
                warn_once("property " + str(key), "property %r is set already and stays" % key)
                continue
            self.properties[str(key)] = str(value)
            self._context._append("properties.jsonl", {"property": {str(key): str(value)}})

    def get_properties(self) -> Dict[str, str]:
        """The properties set from here."""
        return dict(self.properties)

    # Files

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Optional[str] = None) -> None:
        """Keep a file, given as path or open file, as `outputs/<name>`.

        Raises:
            ValueError: the name leads out of the run's folder.
        """
        target = place(self._context.outputs, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if hasattr(path_or_stream, "read"):
            content = path_or_stream.read()
            target.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        elif not (target.exists() and os.path.samefile(str(path_or_stream), str(target))):
            shutil.copyfile(str(path_or_stream), str(target))

    def upload_files(self, names: Sequence[str], paths: Sequence[str], **_: Any) -> None:
        """Keep several files."""
        if len(names) != len(paths):
            raise ValueError("upload_files takes as many names as paths")
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: str, datastore_name: Optional[str] = None) -> None:
        """Keep all files of a folder below `outputs/<name>`."""
        root = Path(path)
        for file in sorted(root.rglob("*")):
            if file.is_file():
                self.upload_file("%s/%s" % (name, file.relative_to(root).as_posix()), str(file))

    def get_file_names(self) -> List[str]:
        """The files left in ./outputs so far."""
        root = self._context.outputs
        return sorted("outputs/" + f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())

    def register_model(
        self,
        model_name: str,
        model_path: Optional[str] = None,
        tags: Optional[Dict[str, Any]] = None,
        properties: Optional[Dict[str, Any]] = None,
        model_framework: Optional[str] = None,
        model_framework_version: Optional[str] = None,
        description: Optional[str] = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **_: Any,
    ) -> PromisedModel:
        """Have a file of `./outputs` become the next version of a model once the run completes.

        Raises:
            FileNotFoundError: it is not there; says what is.
        """
        if datasets or sample_output_dataset is not None:
            warn_once("datasets of a model", "data sets of a model are not kept")
        said = {"tags": _texts(tags), "properties": _texts(properties)}
        sample = sample_input_dataset
        self._context.register(
            model_name,
            model_name if model_path is None else model_path,
            description=description,
            framework=model_framework,
            framework_version=model_framework_version,
            resources=resource_configuration and resource_configuration.to_dict(),
            sample_input=sample.to_dict("records") if hasattr(sample, "columns") else sample,
            **said,
        )
        return PromisedModel(model_name, self.id, said["tags"], said["properties"])

    # The life of the run is the worker's business

    def get_status(self) -> str:
        """`Running`: it is this process."""
        return "Running"

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run from inside."""
        return {"runId": self.id, "status": "Running", "properties": self.get_properties()}

    def child_run(self, name: Optional[str] = None, run_id: Any = None, outputs: Any = None) -> "CurrentRun":
        """A part of this run with metrics, tags and files of its own, which are kept when this run ends.

        Example:
            >>> with run.child_run("C=0.1") as child:
            ...     child.log("accuracy", 0.97)
        """
        if self.parent is not None:
            raise ValueError("a child run has no child runs of its own")
        number = new_folder(self._context.path / "children")
        folder = self._context.path / "children" / str(number)
        experiment = self.experiment.name
        child = type(self)(RunContext(folder, "%s-%d" % (self.id, number), experiment, folder / "outputs"))
        child.parent, child.display_name = self, name or ""
        child._context._append("child.jsonl", {"display_name": child.display_name, "at": _now()})
        self._children.append(child)
        return child

    def create_children(
        self, count: Optional[int] = None, tag_key: Optional[str] = None, tag_values: Any = None
    ) -> List["CurrentRun"]:
        """Several child runs: `count` of them, or one for each of `tag_values`, tagged with it."""
        if (count is None) == (tag_values is None):
            raise ValueError("create_children takes either count or tag_key and tag_values")
        values = list(tag_values) if tag_values is not None else [None] * int(count or 0)
        children = [self.child_run() for _ in values]
        for child, value in zip(children, values):
            if tag_key is not None:
                child.tag(tag_key, value)
        return children

    def get_children(self, *_: Any, **__: Any) -> Iterable["CurrentRun"]:
        """The child runs made from here, newest first, as in Azure."""
        return iter(self._children[::-1])

    def complete(self, _set_status: bool = True) -> None:
        """End a child run. The run itself is complete when its script ends with exit code 0."""
        self._end_child("Completed")

    def fail(self, error_details: Any = None, error_code: Any = None, _set_status: bool = True) -> None:
        """End a child run as failed. The run itself fails when its script exits with another code than 0."""
        if self._end_child("Failed", "" if error_details is None else str(error_details)):
            return
        if error_details is not None:
            sys.stderr.write("fitq: run.fail: %s\n" % (error_details,))
        warn_once("fail", "run.fail() does not end the run; end the script with sys.exit(1)")

    def cancel(self) -> None:
        """End a child run as canceled. The run itself cannot be canceled from inside; warns."""
        if not self._end_child("Canceled"):
            warn_once("cancel", "a run cannot cancel itself; end the script with sys.exit(1)")

    def _end_child(self, status: str, message: str = "") -> bool:
        """Whether this is a child run. What is said first of its end, counts."""
        if self.parent is None:
            return False
        self._context._append("child.jsonl", {"status": status, "message": message, "at": _now()})
        return True

    def get_secret(self, name: str) -> str:
        """A secret that this run names. Azure's `db-password` is `db_password` or `DB_PASSWORD` here.

        Raises:
            KeyError: it does not name that.
        """
        plain = name.replace("-", "_")
        for variable in (plain, plain.upper()):
            if variable in os.environ:
                return os.environ[variable]
        raise KeyError("This run has no secret %r. Submit it with --secret %s." % (name, plain.upper()))

    def get_secrets(self, secrets: Iterable[str]) -> Dict[str, str]:
        """Several secrets, by the names that were given."""
        return {name: self.get_secret(name) for name in secrets}

    def flush(self, timeout_seconds: int = 300) -> None:
        """Nothing to do: every line is written at once."""

    def __enter__(self) -> "CurrentRun":
        return self

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        if kind is None:
            self.complete()
        elif self.parent is not None:
            self.fail("%s: %s" % (kind.__name__, value))

    def __repr__(self) -> str:
        return "Run(Experiment: %s, Id: %s, inside)" % (self.experiment.name, self.id)

    def __getattr__(self, name: str) -> Any:
        if name in _FROM_OUTSIDE:
            raise AttributeError("%s cannot be used inside a run. %s" % (name, _FROM_OUTSIDE[name]))
        if name not in _WITHOUT_COUNTERPART:
            raise AttributeError("A run has no %r inside its script." % name)

        def nothing(*_: Any, **__: Any) -> None:
            warn_once(name, "run.%s() has no counterpart here and does nothing" % name)

        return nothing

    # How things are written

    def _row(self, name: str, columns: Dict[str, Any]) -> None:
        self._context._append("metrics.jsonl", _metric(name, plain_value(columns), None))

    def _document(self, name: str, value: Any) -> None:
        parsed = json.loads(value) if isinstance(value, (str, bytes)) else plain_value(value)
        target = fresh(self._context.outputs, "metrics", name, ".json")
        target.write_text(json.dumps(parsed, indent=2), encoding="utf-8")
        self._context.log(name, self._shown(target))

    def _shown(self, target: Path) -> str:
        return "outputs/" + target.relative_to(self._context.outputs).as_posix()


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def _texts(values: Optional[Dict[str, Any]]) -> Dict[str, str]:
    return {str(k): "" if v is None else str(v) for k, v in (values or {}).items()}


def _lines(file: Path) -> List[Dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
