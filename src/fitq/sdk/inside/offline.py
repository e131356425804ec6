"""Outside a run: the same words, shown instead of kept; and the choice between the two."""

import sys
import uuid
from typing import Any, Dict, List, Optional, Sequence, Tuple

from fitq.context import RunContext, plain_value
from fitq.sdk.inside.current import CurrentExperiment, CurrentRun, PromisedModel
from fitq.sdk.inside.metrics import gather


class OfflineRun(CurrentRun):
    """Outside a run: shows what a run would have logged, and keeps nothing."""

    def __init__(self) -> None:  # not super: there is no folder
        self.id = "OfflineRun_" + str(uuid.uuid4())
        self.experiment = CurrentExperiment("offline")
        self.parent = None
        self.display_name = ""
        self._children: List[CurrentRun] = []
        self.tags = {}
        self.properties = {}
        self._logged: List[Tuple[str, Any]] = []

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        if isinstance(plain_value(value), (list, dict)):
            raise TypeError("log(%r) takes one number or text; use log_list or log_row" % name)
        self._attempt("scalar", name, value)

    def log_list(self, name: str, value: Sequence[Any], description: str = "") -> None:
        self._attempt("list", name, value, *plain_value(list(value)))

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        self._attempt("row", name, kwargs)

    def log_table(self, name: str, value: Dict[str, Any], description: str = "") -> None:
        self._attempt("table", name, value)

    def log_image(
        self, name: str, path: Optional[str] = None, plot: Any = None, description: str = ""
    ) -> None:
        self._attempt("image", name, path if path is not None else plot)

    def _document(self, name: str, value: Any) -> None:
        self._attempt("document", name, value)

    def _attempt(self, kind: str, name: str, value: Any, *values: Any) -> None:
        sys.stdout.write("Attempted to log %s metric %s:\n%s\n" % (kind, name, value))
        self._logged.extend((name, plain_value(v)) for v in values or (value,))

    def get_metrics(self, name: Optional[str] = None, **_: Any) -> Dict[str, Any]:
        return gather((n, v) for n, v in self._logged if name in (None, n))

    def tag(self, key: str, value: Any = None) -> None:
        self.tags[str(key)] = "" if value is None else str(value)

    def remove_tags(self, tags: Any) -> None:
        for name in [tags] if isinstance(tags, str) else tags:
            self.tags.pop(str(name), None)

    def add_properties(self, properties: Dict[str, Any]) -> None:
        for key, value in properties.items():
            self.properties.setdefault(str(key), str(value))

    @property
    def input_datasets(self) -> Dict[str, str]:
        return {}

    def child_run(self, name: Optional[str] = None, run_id: Any = None, outputs: Any = None) -> CurrentRun:
        child = type(self)()
        child.parent, child.display_name = self, name or ""
        self._children.append(child)
        return child

    def _end_child(self, status: str, message: str = "") -> bool:
        return self.parent is not None

    def register_model(
        self, model_name: str, model_path: Optional[str] = None, *_: Any, **__: Any
    ) -> PromisedModel:
        sys.stdout.write("Attempted to register model %s from %s\n" % (model_name, model_path or model_name))
        return PromisedModel(model_name, self.id, {}, {})

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Optional[str] = None) -> None:
        sys.stdout.write("Attempted to upload file %s\n" % name)

    def get_file_names(self) -> List[str]:
        return []

    def __repr__(self) -> str:
        return "Run(Id: %s)" % self.id


def get_context(allow_offline: bool = True) -> CurrentRun:
    """The run this process belongs to; outside a run one that only prints.

    Raises:
        RuntimeError: outside a run, if `allow_offline` is false.
    """
    context = RunContext.from_environment()
    if context is not None:
        return CurrentRun(context)
    if not allow_offline:
        raise RuntimeError("Could not load a submitted run: this process is not inside one.")
    return OfflineRun()
