"""What a training function or script is handed: a folder to leave things in, and words to log with.

A run is a folder. Everything here only writes files, so functions are tested with `tmp_path`, scripts
log without a network, and the worker has one thing to watch:

    metrics.jsonl      one JSON object per line: {"name", "value", "step", "at"}
    properties.jsonl   one JSON object per line: {"tag": {…}}, {"untag": […]}, {"property": {…}} or
                       {"register": {…}}
    outputs/           kept when the run ends
    logs/              kept too, and uploaded while the run goes on

This file is standard library only and runs on Python 3.6 and later: it is also used inside the
environments that training scripts ask for.
"""

import datetime
import json
import os
from pathlib import Path
from typing import Any, Dict, Optional, Sequence


class _Inputs(Dict[str, Path]):
    """Says which there are, when another one is asked for."""

    def __missing__(self, name: str) -> Path:
        known = ", ".join(sorted(self)) or "none"
        raise KeyError(
            "no input %s; the run takes: %s. It is given with --input %s=DATA" % (name, known, name)
        )


class RunContext:
    """A run as seen from inside. First parameter of every training function.

    Example:
        >>> def train(run: RunContext, penalty: float = 1.0):
        ...     run.log("accuracy", 0.97)
        ...     joblib.dump(model, run.outputs / "model.joblib")
    """

    def __init__(
        self, path: Any, id: str = "offline", experiment: str = "offline", outputs: Any = None
    ) -> None:
        self.path = Path(path)
        self.id = id
        self.experiment = experiment
        self.outputs = Path(outputs) if outputs else self.path / "outputs"
        self.outputs.mkdir(parents=True, exist_ok=True)

    @classmethod
    def from_environment(cls) -> Optional["RunContext"]:
        """The run this process belongs to, or None outside a run."""
        folder = os.environ.get("FITQ_RUN_FOLDER")
        if not folder:
            return None
        return cls(
            folder,
            id=os.environ.get("FITQ_RUN_ID", "offline"),
            experiment=os.environ.get("FITQ_EXPERIMENT", "offline"),
            outputs=os.environ.get("FITQ_OUTPUTS"),
        )

    @property
    def inputs(self) -> Dict[str, Path]:
        """The data that the run takes: name of the input → its file or folder, which is read-only."""
        given = json.loads(os.environ.get("FITQ_INPUTS") or "{}")
        return _Inputs((name, Path(path)) for name, path in given.items())

    def log(self, name: str, value: Any, step: Optional[int] = None) -> None:
        """Log one number or text. The same name again makes a series.

        Raises:
            TypeError: the value is a list; `log_list` takes those.
        """
        plain = plain_value(value)
        if isinstance(plain, (list, dict)):
            raise TypeError(
                "log(%r) takes one number or text, not a %s; use log_list or log_row"
                % (name, type(value).__name__)
            )
        self._append("metrics.jsonl", _metric(name, plain, step))

    def log_list(self, name: str, values: Sequence[Any]) -> None:
        """Log several values of one series at once."""
        for value in values:
            self._append("metrics.jsonl", _metric(name, plain_value(value), None))

    def log_row(self, name: str, **columns: Any) -> None:
        """Log one row of a table: `log_row("fold", index=1, accuracy=0.9)`."""
        row = {k: plain_value(v) for k, v in columns.items()}
        self._append("metrics.jsonl", _metric(name, row, None))

    def log_table(self, name: str, table: Dict[str, Sequence[Any]]) -> None:
        """Log a whole table given as columns of equal length."""
        for row in zip(*table.values()):
            self.log_row(name, **dict(zip(table.keys(), row)))

    def tag(self, key: str, value: Any = "") -> None:
        """Set a tag on the run."""
        self._append("properties.jsonl", {"tag": {str(key): str(value)}})

    def untag(self, *keys: str) -> None:
        """Take tags away, also those that the run was submitted with."""
        self._append("properties.jsonl", {"untag": [str(key) for key in keys]})

    def register(self, name: str, path: Any, **said: Any) -> None:
        """Have a file of `outputs` become the next version of a model once the run completes.

        Args:
            path: of the file, in `outputs` or from the run's folder: "model.joblib", "outputs/model.joblib".
            said: tags, properties, description, framework, framework_version, sample_input.

        Raises:
            FileNotFoundError: it is not there; says what is.

        Example:
            >>> joblib.dump(model, run.outputs / "model.joblib")
            >>> run.register("iris", "model.joblib")
        """
        file = self._kept_file(path)
        wanted = {"name": str(name), "path": file}
        wanted.update((k, plain_value(v)) for k, v in said.items() if v is not None)
        self._append("properties.jsonl", {"register": wanted})

    def _kept_file(self, path: Any) -> str:
        """A file or folder of the outputs, as it is named among the run's artifacts."""
        root = self.outputs.resolve()
        for place in (root.parent / str(path), root / str(path)):
            place = place.resolve()
            if place.exists() and root in place.parents:
                return "outputs/" + place.relative_to(root).as_posix()
        there = sorted(f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())
        raise FileNotFoundError("outputs has no file %s; it has: %s" % (path, ", ".join(there) or "none"))

    def _append(self, file: str, record: Dict[str, Any]) -> None:
        line = json.dumps(record) + "\n"
        # One write of one line in append mode: several processes of a run may log at once.
        fd = os.open(str(self.path / file), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line.encode("utf-8"))
        finally:
            os.close(fd)


def plain_value(value: Any) -> Any:
    """A number, text, list or dict that JSON can carry; numpy values are converted."""
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        # JSON has no NaN; their names survive the way and are charted as gaps
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain_value(v) for k, v in value.items()}
    return str(value)


def _metric(name: str, value: Any, step: Optional[int]) -> Dict[str, Any]:
    at = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return {"name": str(name), "value": value, "step": step, "at": at}
