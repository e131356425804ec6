"""Remembers the last model that a script fitted, and what `fit` saw, so that nothing need be saved by hand.

On when `install` is called, which `sitecustomize` and forks of the warm parent do for runs with
FITQ_CAPTURE=1. The warm parent calls `prepare` before: changing two hundred classes in each fork would copy
their pages. At exit, and only if the script left no model in its outputs, it writes

    <FITQ_RUN_FOLDER>/captured/model.joblib    the last predictor fitted, not as part of another's fit
    <FITQ_RUN_FOLDER>/captured/fit.json        shape, columns (name, dtype, range or values, missing), rows,
                                               and what `score` answered

It changes nothing that a script can see: no output, no result, no pickle, no line of a traceback. A `fit` of
scikit-learn is found by the descriptor in its place, which hands out the very method that was there; its
arguments are read when its frame begins, by a profile function that lives from the attribute's look-up until
then. So no frame of ours stands between a script and its estimator. It never raises, looks at no more than
its share of time allows, and does nothing in threads, child processes and under another profiler.

Standard library only (numpy and joblib once a script has imported them), any Python ≥ 3.6.
"""

import atexit
import importlib
import json
import os
import sys
import threading
import time
import types
import warnings
import weakref
from typing import Any, Dict, List, Optional, Set, Tuple

_watching = importlib.import_module("fitq_watching")
_ROWS = 32  #: kept of what `fit` saw
_VALUES = 50  #: a column of text with more different values has no list of them
_COLUMNS = 2000  #: of wider data only the shape is kept
_CELLS = 20000000  #: ranges of larger data are those of evenly spaced rows
_EVENTS = 200000  #: of the profile function in a whole process: about 0.1 s
_SHARE, _ALLOWANCE_SECONDS = 0.005, 0.05  #: of the time so far, for looking at data
_MODEL_BYTES = 1 << 30
_MODEL_SUFFIXES = (".joblib", ".pkl", ".pickle", ".skops", ".onnx")
_PACKAGES = ("sklearn",)
_FITTING = ("fit_transform", "fit_predict")  #: methods that call `fit` for whoever called them


_prepared: List["Capture"] = []  # at most one, for the forks of this process


def prepare() -> None:
    """Change the classes now, for forks of this process that `install` or `withdraw`."""
    capture = Capture()
    if capture.watch_classes():
        _prepared.append(capture)


def install(folder: str, outputs: Optional[str]) -> None:
    """Begin to remember, in this process and thread; processes that it starts do not."""
    os.environ["FITQ_CAPTURE"] = "0"
    capture = _prepared.pop() if _prepared else Capture()
    capture.begin(folder, outputs)
    atexit.register(capture.at_exit)
    if not capture.watch_classes():
        sys.meta_path.insert(0, _Waiting(capture))
    importlib.import_module("fitq_figures").install(folder, outputs)


def withdraw() -> None:
    """Make classes what they were before `prepare`."""
    while _prepared:
        _prepared.pop().leave_classes()


class _Waiting(object):
    """A finder that finds nothing: it notices that scikit-learn is being imported."""

    def __init__(self, capture: "Capture") -> None:
        self._capture = capture

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith("sklearn.") and self._capture.watch_classes():
            sys.meta_path.remove(self)


class Capture(object):
    """What one process has fitted."""

    def __init__(self) -> None:
        self._pid = 0  #: of the process that it remembers for; nobody's until it begins
        self._watched: List[Tuple[Any, Any]] = []  # classes, and their own `fit`
        self._codes: Set[types.CodeType] = set()
        self._expected: List[Tuple[Any, types.FrameType]] = []  # estimator, who looked its `fit` up
        self._fits: List[_Seen] = []  #: the last two: the last one may have failed
        self._scores = importlib.import_module("fitq_scores").Scores(self._is_of_the_script)

    def begin(self, folder: str, outputs: Optional[str]) -> None:
        """Remember what this process and thread fit from now on."""
        self._folder, self._outputs = folder, outputs
        self._pid, self._thread = os.getpid(), threading.get_ident()
        self._began, self._spent, self._events = time.time(), 0.0, _EVENTS

    # -- classes

    def watch_classes(self) -> bool:
        """Put descriptors in place, once; False while scikit-learn's base is not there."""
        if self._watched:
            return True
        base = sys.modules.get("sklearn.base")
        found = getattr(base, "BaseEstimator", None)
        if found is None or not hasattr(base, "TransformerMixin"):
            return False
        try:
            for one in _below(found):
                self._watch(one)
            self._watch_later(found)
        except Exception:
            pass
        return True

    def leave_classes(self) -> None:
        """Take the descriptors away."""
        self._scores.leave()
        for one, function in self._watched:
            one.fit = function
        base = sys.modules["sklearn.base"].BaseEstimator
        if "__init_subclass__" in vars(base):
            del base.__init_subclass__
        self._watched = []

    def _watch(self, one: Any) -> None:
        function = vars(one).get("fit")
        if isinstance(function, types.FunctionType) and one.__module__.partition(".")[0] in _PACKAGES:
            one.fit = _watching.Watched(function, self)
            self._watched.append((one, function))
            self._codes.add(function.__code__)
        self._scores.watch(one, _PACKAGES)

    def _watch_later(self, base: Any) -> None:
        capture = self

        def __init_subclass__(cls: Any, **keywords: Any) -> None:
            super(base, cls).__init_subclass__(**keywords)
            try:
                capture._watch(cls)
            except Exception:
                pass

        base.__init_subclass__ = classmethod(__init_subclass__)  # type: ignore[arg-type]  # made outside a class

    # -- calls

    def expect(self, instance: Any) -> None:
        """Somebody has looked up `fit`: its call may follow."""
        try:
            caller = sys._getframe(2)
            if self._is_of_the_script(caller):
                self._wait_for(instance, caller)
        except Exception:
            pass

    def _is_of_the_script(self, caller: types.FrameType) -> bool:
        """Not within a fit, and not scikit-learn asking whether there is such a method."""
        if os.getpid() != self._pid or threading.get_ident() != self._thread:
            return False
        module = caller.f_globals.get("__name__", "")
        if module.partition(".")[0] in _PACKAGES and caller.f_code.co_name not in _FITTING:
            return False
        frame: Optional[types.FrameType] = caller
        while frame is not None:
            if frame.f_code in self._codes:
                return False
            frame = frame.f_back
        return True

    def _wait_for(self, instance: Any, caller: types.FrameType) -> None:
        if self._expected:
            self._expected.append((instance, caller))  # one in the arguments of another
        elif self._events > 0 and (sys.getprofile() is None or self._scores.is_watching):
            self._expected.append((instance, caller))
            sys.setprofile(self._on_event)

    def _on_event(self, frame: types.FrameType, event: str, _: Any) -> None:
        self._events -= 1
        if event == "call" and frame.f_code in self._codes:
            instance = _watching.first_argument(frame)
            if any(one is instance for one, _ in self._expected):
                self._expected = [pair for pair in self._expected if pair[0] is not instance]
                self._see(instance, frame)
        elif event == "return":
            self._expected = [pair for pair in self._expected if pair[1] is not frame]
        if not self._expected or self._events <= 0:
            self._expected = []
            self._scores.resume()

    def _see(self, instance: Any, frame: types.FrameType) -> None:
        began = time.time()
        try:
            data = _argument(frame)
            may_look = self._spent < _ALLOWANCE_SECONDS + _SHARE * (began - self._began)
            self._remember(instance, data, summary_of(data) if may_look else {})
        except Exception:
            pass
        self._spent += time.time() - began

    def _remember(self, instance: Any, data: Any, told: Dict[str, Any]) -> None:
        """A predictor rather than what was fitted to look at its results."""
        is_predictor = hasattr(type(instance), "predict")
        if is_predictor or not any(hasattr(type(fit.model), "predict") for fit in self._fits):
            others = [fit for fit in self._fits if fit.model is not instance]
            self._fits = others[-1:] + [_Seen(instance, data, told)]

    # -- the end

    def at_exit(self) -> None:
        """Write the model, if there is one and the script kept none itself."""
        fits, self._fits = self._fits, []
        try:
            if os.getpid() == self._pid and not _has_model(self._outputs) and not self._ended_in_fit():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for fit in [fit for fit in fits if _is_fitted(fit.model)][-1:]:
                        self._write(fit.model, {**fit.summary(), "scores": self._scores.of(fit.model)})
        except Exception:
            pass

    def _ended_in_fit(self) -> bool:
        """Whether an exception out of a `fit` ended the script: its model is half fitted."""
        trace = getattr(sys, "last_traceback", None)
        while trace is not None:
            if trace.tb_frame.f_code in self._codes:
                return True
            trace = trace.tb_next
        return False

    def _write(self, model: Any, seen: Dict[str, Any]) -> None:
        import joblib

        if not os.path.isdir(self._folder):
            os.makedirs(self._folder)
        part = os.path.join(self._folder, ".part")
        try:
            with open(part, "wb") as file:
                joblib.dump(model, _Limited(file))
            facts = {"estimator": "%s.%s" % (type(model).__module__, type(model).__name__)}
            facts.update(seen)
            with open(os.path.join(self._folder, "fit.json"), "w") as told:
                json.dump(facts, told)
            os.rename(part, os.path.join(self._folder, "model.joblib"))
        finally:
            if os.path.exists(part):
                os.remove(part)


class _Seen(object):
    """An estimator and what its `fit` saw."""

    def __init__(self, model: Any, data: Any, told: Dict[str, Any]) -> None:
        self.model, self._told = model, told
        self._data = None if told else weakref.ref(data)

    def summary(self) -> Dict[str, Any]:
        """What was told at the time, or else is still there at the script's end."""
        data = self._data and self._data()
        return self._told if data is None else summary_of(data, False)


class _Limited(object):
    """A file that takes no more than a model may have."""

    def __init__(self, file: Any) -> None:
        self._file, self._left = file, _MODEL_BYTES

    def write(self, data: Any) -> int:
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise ValueError("too large")
        return int(self._file.write(data))

    def tell(self) -> int:
        return int(self._file.tell())


def _below(base: Any) -> List[Any]:
    """All subclasses, of all generations."""
    found: List[Any] = []
    left: List[Any] = [base]
    while left:
        one = left.pop()
        found.append(one)
        left.extend(type.__subclasses__(one))
    return found


def _argument(frame: types.FrameType) -> Any:
    """X of a frame that has just begun: the first argument after the estimator, by place or by name."""
    code, told = frame.f_code, frame.f_locals
    names = code.co_varnames
    count = code.co_argcount
    values = [told[name] for name in names[:count]]
    position = count + code.co_kwonlyargcount
    if code.co_flags & 4:  # *args
        values.extend(told[names[position]])
        position += 1
    if len(values) > 1:
        return values[1]
    keywords = told[names[position]] if code.co_flags & 8 else {}
    return next(keywords[name] for name in ("X", "raw_documents") if name in keywords)


def _is_fitted(model: Any) -> bool:
    """Whether a fit came to its end: one that refuses its data has noted its width at most."""
    steps = getattr(model, "steps", None)
    if steps:
        return _is_fitted(steps[-1][1])
    found = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    is_ours = type(model).__module__.partition(".")[0] in _PACKAGES
    return not is_ours or bool(found - {"n_features_in_", "feature_names_in_"})


def _has_model(outputs: Optional[str]) -> bool:
    return any(
        name.endswith(_MODEL_SUFFIXES) for _, _, names in os.walk(outputs or os.devnull) for name in names
    )


# -- what `fit` saw


def summary_of(data: Any, may_look: bool = True) -> Dict[str, Any]:
    """Shape, columns and up to 32 rows of a table, a matrix or texts, as JSON; {} for anything else.

    Args:
        may_look: also ranges, values and which are missing, which takes time.
    """
    numpy = sys.modules["numpy"]
    if hasattr(data, "iloc") and hasattr(data, "columns"):
        return _of_table(data, may_look)
    if hasattr(data, "tocsr"):
        return {"shape": list(data.shape), "dtype": str(data.dtype), "container": "sparse"}
    if isinstance(data, (list, tuple)) or hasattr(data, "to_numpy"):
        if len(data) and isinstance(data[0] if isinstance(data, (list, tuple)) else data.iloc[0], str):
            return {
                "shape": [len(data)],
                "container": "texts",
                "rows": [str(data_row) for data_row in data[:_ROWS]],
            }
        data = numpy.asarray(data)
    if not isinstance(data, numpy.ndarray) or data.ndim not in (1, 2):
        return {}
    if data.ndim == 1:
        texts = data.dtype.kind in "UO" and all(isinstance(t, str) for t in data[:_ROWS])
        return (
            {"shape": list(data.shape), "container": "texts", "rows": data[:_ROWS].tolist()} if texts else {}
        )
    return _of_array(data, may_look)


def _of_array(data: Any, may_look: bool) -> Dict[str, Any]:
    told: Dict[str, Any] = {"shape": list(data.shape), "dtype": str(data.dtype), "container": "array"}
    if not data.shape[0] or data.shape[1] > _COLUMNS:
        return told
    told["rows"] = [_plain(row) for row in data[_spaced(len(data))].tolist()]
    if may_look and data.dtype.kind in "biuf":
        told["columns"] = _ranges(data)
    return told


def _of_table(data: Any, may_look: bool) -> Dict[str, Any]:
    told: Dict[str, Any] = {"shape": list(data.shape), "container": "table"}
    if not len(data) or data.shape[1] > _COLUMNS:
        return told
    names = [str(name) for name in data.columns]
    picked = data.iloc[_spaced(len(data))]
    lists = [_plain(picked.iloc[:, n].tolist()) for n in range(len(names))]
    named = all(isinstance(name, str) for name in data.columns)
    told["rows"] = [dict(zip(names, row)) if named else list(row) for row in zip(*lists)]
    told["columns"] = [{"name": n, "dtype": str(t)} for n, t in zip(names, data.dtypes)]
    if may_look:
        for n, column in enumerate(told["columns"]):
            column.update(_of_column(data.iloc[:, n]))
    return told


def _of_column(column: Any) -> Dict[str, Any]:
    told: Dict[str, Any] = {"missing": int(column.isna().sum())}
    if getattr(column.dtype, "kind", "O") in "iuf":
        told.update(low=_number(column.min()), high=_number(column.max()))
    else:
        values = column.dropna().unique()[: _VALUES + 1].tolist()
        if len(values) <= _VALUES and all(isinstance(v, (str, bool)) for v in values):
            told["values"] = sorted(values)
    return told


def _ranges(data: Any) -> List[Dict[str, Any]]:
    numpy = sys.modules["numpy"]
    if data.size > _CELLS:
        data = data[:: data.size // _CELLS + 1]
    low, high = numpy.fmin.reduce(data), numpy.fmax.reduce(data)
    missing = numpy.isnan(data).sum(axis=0) if data.dtype.kind == "f" else numpy.zeros(data.shape[1], int)
    return [{"low": _number(a), "high": _number(b), "missing": int(c)} for a, b, c in zip(low, high, missing)]


def _spaced(count: int) -> List[int]:
    """Up to 32 positions, evenly spaced."""
    if count <= _ROWS:
        return list(range(count))
    return [n * (count - 1) // (_ROWS - 1) for n in range(_ROWS)]


def _plain(values: List[Any]) -> List[Any]:
    """Values that JSON has; what is missing is null."""
    return [_scalar(value) for value in values]


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, (int, float)):
        return value if value == value and abs(value) != float("inf") else None
    missing = type(value).__name__ in ("NAType", "NaTType")
    return None if missing else str(value)


def _number(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return _scalar(value)
