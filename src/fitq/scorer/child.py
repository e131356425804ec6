"""The scorer child: loads models and predicts, in a process that holds no credential of the platform.

One file, run as a program (`python -I child.py FD PARENT MEMORY`) by any Python from 3.6 on. Standard library
only at import: numpy, joblib and pandas are whatever the environment has. It answers every request in
order, and an exception in a model is an answer. When its parent goes, it goes too.

A frame, in both directions, on the socket whose number is the first argument:

    4 bytes   number of the request, repeated by its answer, big-endian
    4 bytes   length of the header
    8 bytes   length of the payload
    header    JSON: request {"op", …}; answer {"ok": true, …} or {"ok": false, "error": {…}}
    payload   raw bytes: an array in C order, or JSON where a header says so

Requests for predictions of one model repeat the same header, byte for byte (a shape may be [-1, width]), so
each is read once.

    op        request                                        answer
    ping                                                     {"memory_bytes", "models"}
    warm                                                     {}, when scikit-learn is imported
    load      model, path; names: all that may be imported   {"estimator", "warnings", "versions",
                                                              "memory_bytes"}
    facts     model; payload: sample input or null           see `facts`
    predict   model, method, rows {layout, dtype, shape,     {"arrays": [{dtype, shape}, …], "several"} or
              kinds, checked}; payload: array, or JSON of    {"json": true}, and "seconds"; payload: answer
              columns
    unload    model                                          {}
"""

import contextlib
import ctypes
import gc
import json
import os
import platform
import resource
import signal
import socket
import struct
import sys
import time
import traceback
import types
import warnings
from collections import OrderedDict
from typing import Any, BinaryIO, Dict, Iterator, List, Optional, Set, Tuple

HEAD = struct.Struct("!IIQ")
#: Predict-like methods, the one used by default first.
METHODS = (
    "predict_proba",
    "predict",
    "decision_function",
    "predict_log_proba",
    "score_samples",
    "transform",
)
PACKAGES = ("numpy", "scipy", "scikit-learn", "joblib", "pandas", "skops")
#: How scikit-learn begins to say that it is the rows that are wrong, not the model.
CALLERS_FAULT = ("Found unknown categories", "Input X contains", "Input contains")
#: Rows of a sample that are handed back, rows that an estimator kept, and values of a column.
MAX_GIVEN, MAX_KEPT, MAX_VALUES = 32, 16, 64
#: Where estimators keep rows that `fit` saw, or rows among them.
KEPT_ROWS = ("_fit_X", "support_vectors_", "X_train_", "cluster_centers_")
#: Headers that are kept when read; a model has one per method.
MAX_HEADERS = 4096
_PR_SET_PDEATHSIG = 1


class Loaded:
    """A model and what it needs to be fed."""

    def __init__(self, model: Any, said: List[str]) -> None:
        self.model = model
        self.names = feature_names(model)
        self.said = said  #: warnings while it was loaded
        self.has_forest = any(is_forest(p) for p in parts(model))
        self.goes_by_name = any(goes_by_name(p) for p in parts(model))
        self.quick = {}  # type: Dict[str, bool]  #: method → whether the quick way was seen to answer the same


def pack(header: Dict[str, Any], payload: bytes = b"", number: int = 0) -> bytes:
    """One frame."""
    return frame(json.dumps(header).encode("utf-8"), payload, number)


def frame(header: bytes, payload: bytes, number: int) -> bytes:
    """One frame whose header is written already."""
    return b"".join((HEAD.pack(number, len(header), len(payload)), header, payload))


def pack_answer(described: Dict[str, Any], data: bytes, number: int) -> bytes:
    """One frame with an answer. The usual header is written by hand: it is as quick as all the rest."""
    if "arrays" not in described or described["several"]:
        return pack(dict(described, ok=True), data, number)
    header = '{"ok": true, "arrays": [{"dtype": "%s", "shape": %s}], "several": false, "seconds": %.9f}' % (
        described["arrays"][0]["dtype"], described["arrays"][0]["shape"], described["seconds"],
    )  # fmt: skip
    return frame(header.encode("ascii"), data, number)


def read_frame(stream: BinaryIO) -> Optional[Tuple[Dict[str, Any], bytearray]]:
    """Header and payload of the next frame, or None when the other side is gone."""
    raw = read_raw(stream)
    return None if raw is None else (json.loads(raw[1].decode("utf-8")), raw[2])


def read_raw(stream: BinaryIO) -> Optional[Tuple[int, bytes, bytearray]]:
    """Number, header and payload of the next frame, or None when the other side is gone."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    number, header_size, payload_size = HEAD.unpack(head)
    header = stream.read(header_size)
    payload = bytearray(payload_size)  # writable: some estimators insist
    view, done = memoryview(payload), 0
    while done < payload_size:
        n = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not n:
            return None
        done += n
    return number, header, payload


# ---------------------------------------------------------------- looking into fitted estimators


def parts(model: Any, _seen: Optional[Set[int]] = None) -> Iterator[Any]:
    """A fitted estimator and every estimator inside it."""
    seen = set() if _seen is None else _seen
    if id(model) in seen or len(seen) > 100000:
        return
    seen.add(id(model))
    if isinstance(model, (list, tuple)):
        inner = list(model)
    elif isinstance(model, dict):
        inner = list(model.values())
    elif hasattr(model, "get_params") and hasattr(model, "__dict__"):
        yield model
        inner = list(vars(model).values())
    else:
        return
    for value in inner:
        for found in parts(value, seen):
            yield found


def steps(model: Any) -> List[Any]:
    """A pipeline's steps, also of one that a search found; else the model alone."""
    model = getattr(model, "best_estimator_", model)
    found = [s for _, s in getattr(model, "steps", [])]
    return [s for s in found if s not in (None, "passthrough")] or [model]


def first_step(model: Any) -> Any:
    """The estimator that the rows meet first."""
    first = steps(model)[0]
    if first is not model:
        return first_step(first)
    union = getattr(first, "transformer_list", None)
    return first_step(union[0][1]) if union else first


def takes_texts(estimator: Any) -> bool:
    return hasattr(first_step(estimator), "build_analyzer")


def feature_names(model: Any) -> List[str]:
    """The column names it was fitted with; empty if on an array."""
    for owner in (model, first_step(model)):
        try:
            names = getattr(owner, "feature_names_in_", None)
        except Exception:  # a property of a pipeline may raise anything
            names = None
        if names is not None:
            return [str(n) for n in names]
    return []


def feature_count(model: Any) -> int:
    """How many columns it was fitted with; 0 if it does not tell."""
    for owner in (model, first_step(model)):
        for name in ("n_features_in_", "n_features_"):
            try:
                return int(getattr(owner, name))
            except Exception:  # not there, or not a number
                continue
    for name in ("coef_", "cluster_centers_", "components_", "means_", "theta_", "scale_", "mean_"):
        shape = getattr(getattr(first_step(model), name, None), "shape", ())
        if shape:
            return int(shape[-1])
    return 0


# ---------------------------------------------------------------- requests


def load(path: str, names: Optional[List[str]] = None) -> Loaded:
    """Unpickle a model; remember what was said while doing so."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = load_skops(path, names) if is_skops(path) else load_pickle(path, names)
    for part in parts(model):
        # A fan-out per request costs 2-5 times what it saves (measured on a forest with n_jobs=2).
        if getattr(part, "n_jobs", None) not in (None, 1):
            part.n_jobs = 1
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()  # a full collection over scikit-learn's heap is the p99 otherwise
    # a forest of another version says the same once per tree
    return Loaded(model, list(OrderedDict.fromkeys(_one_line(w) for w in said))[:5])


class NotAllowed(Exception):
    """A name that a file may not import."""


def load_pickle(path: str, names: Optional[List[str]]) -> Any:
    import joblib

    with contextlib.ExitStack() as limits:
        if names is not None:
            limits.enter_context(only(set(names)))
        return joblib.load(path)


def is_skops(path: str) -> bool:
    """Whether it is an archive, which a pickle never is."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def load_skops(path: str, names: Optional[List[str]]) -> Any:
    """What skops makes of a file. It asks for every type that it does not know to be harmless."""
    from skops.io import get_untrusted_types
    from skops.io import load as made_of

    asked = get_untrusted_types(file=path)
    allowed = asked if names is None else [name.replace(" ", ".") for name in names]
    for name in asked:
        if name not in allowed:
            raise NotAllowed(name)
    return made_of(path, trusted=asked)


@contextlib.contextmanager
def only(names: Set[str]) -> Iterator[None]:
    """Unpickling imports these names only, and of scikit-learn's modules only what was defined in them."""
    import pickle

    from joblib import numpy_pickle

    def checked(find: Any) -> Any:
        def find_class(self: Any, module: str, name: str) -> Any:
            if "%s %s" % (module, name) not in names:
                raise NotAllowed("%s.%s" % (module, name))
            found = find(self, module, name)
            if module.startswith("sklearn") and getattr(found, "__module__", module) != module:
                raise NotAllowed("%s.%s, which is of another module" % (module, name))
            return found

        return find_class

    # arrays of objects are pickles of their own, which joblib leaves to pickle
    strict = type("Strict", (pickle.Unpickler,), {"find_class": checked(pickle.Unpickler.find_class)})
    inner = types.ModuleType("pickle")
    vars(inner).update(vars(pickle), load=lambda file, **given: strict(file, **given).load())
    joblibs = numpy_pickle.NumpyUnpickler
    usual, joblibs.find_class = joblibs.find_class, checked(joblibs.find_class)
    numpy_pickle.pickle = inner
    try:
        yield
    finally:
        joblibs.find_class, numpy_pickle.pickle = usual, pickle


def model_input(loaded: Loaded, rows: Dict[str, Any], payload: bytearray) -> Any:
    """Rows in the form the model was fitted on: matrix, DataFrame or list of texts."""
    if rows["layout"] == "texts":
        return json.loads(payload.decode("utf-8"))[0]
    import numpy as np

    if rows["layout"] == "matrix":
        matrix = np.frombuffer(payload, dtype=rows["dtype"]).reshape(rows["shape"])
        return _frame(matrix, rows["names"]) if loaded.names and rows["names"] else matrix
    columns = [_column(v, k) for v, k in zip(json.loads(payload.decode("utf-8")), rows["kinds"])]
    if loaded.names and rows["names"]:
        frame = _frame(None, rows["names"], columns)
        if frame is not None:
            return frame
    if all(c.dtype != object for c in columns):
        return np.column_stack(columns)
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for i, column in enumerate(columns):
        table[:, i] = column
    return table


def checked_matrix(loaded: Loaded, rows: Dict[str, Any], payload: bytearray) -> Any:
    """The rows as a matrix that needs no further check, where the parent says they are that; else None.

    In the same order in memory as scikit-learn would find it: the last bit of a product depends on that.
    """
    if not rows.get("checked") or loaded.goes_by_name or loaded.names not in ([], rows["names"]):
        return None
    import numpy as np

    matrix = np.frombuffer(payload, dtype=rows["dtype"]).reshape(rows["shape"])
    return np.array(matrix, order=frame_order()) if loaded.names else matrix


def frame_order(known: List[str] = []) -> Any:  # noqa: B006  # found out once
    """How the values of a DataFrame made of a matrix lie in memory: by pandas' version "C" or "F"."""
    if not known:
        import numpy as np

        values = np.asarray(_frame(np.zeros((2, 2)), ["a", "b"]))
        known.append("C" if values.flags.c_contiguous else "F")
    return known[0]


def _column(values: List[Any], kind: str) -> Any:
    import numpy as np

    if kind == "string":
        column = np.empty(len(values), dtype=object)
        column[:] = [np.nan if v is None else v for v in values]
        return column
    if kind == "number" or None in values:
        return np.array(values, dtype=float)
    return np.array(values, dtype=bool if kind == "boolean" else np.int64)


def _frame(matrix: Any, names: List[str], columns: Optional[List[Any]] = None) -> Any:
    try:
        import pandas as pd
    except ImportError:
        return matrix
    if columns is None:
        return pd.DataFrame(matrix, columns=names)
    return pd.DataFrame(dict(zip(names, columns)), columns=names)


def is_forest(estimator: Any) -> bool:
    return any(c.__name__ == "BaseForest" for c in type(estimator).__mro__)


def goes_by_name(estimator: Any) -> bool:
    """Whether it may look at column names, so that an array is something else to it than a DataFrame."""
    kind = type(estimator)
    return not kind.__module__.startswith("sklearn.") or kind.__name__ in (
        "ColumnTransformer",
        "FunctionTransformer",
    )


# ---------------------------------------------------------------- quick ways to the same answer


class Quick:
    """The quick call that runs, of which there is one at a time."""

    rows = None  # type: Any  #: as a matrix that was checked at the door; None: no quick call runs, or not such rows


class InPlace:
    """Stands where scikit-learn has one of its own functions, and does its work in quick calls."""

    def __init__(self, usual: Any, quick: Any) -> None:
        self.usual, self.quick = usual, quick

    def __call__(self, *given: Any, **named: Any) -> Any:
        if Quick.rows is None:
            return self.usual(*given, **named)
        return self.quick(self.usual, *given, **named)


#: What `validate_data` may be asked for without a difference to a finite float64 matrix,
NO_DIFFERENCE = frozenset(
    ("reset", "accept_sparse", "accept_large_sparse", "dtype", "order", "copy", "force_writeable",
     "ensure_all_finite", "ensure_2d", "ensure_min_samples", "ensure_min_features", "skip_check_array")
)  # fmt: skip
#: and a `dtype` that this is already.
ACCEPTS = ("float64", "float", "numeric", "None")


def validated(usual: Any, estimator: Any, rows: Any = "no_validation", *more: Any, **asked: Any) -> Any:
    """The rows as they are, where they are those of the door and the usual check would not change them."""
    dtype = asked.get("dtype", "numeric")
    accepted = dtype if isinstance(dtype, (list, tuple)) else (dtype,)
    width = Quick.rows.shape[1]
    would_pass = (
        rows is Quick.rows
        and not more
        and asked.get("reset") is False
        and asked.keys() <= NO_DIFFERENCE
        and (asked.get("order") is None or rows.flags[asked["order"] + "_CONTIGUOUS"])
        and any(str(getattr(d, "__name__", d)) in ACCEPTS for d in accepted)
        and getattr(estimator, "n_features_in_", width) == width
    )
    if not would_pass:
        return usual(estimator, rows, *more, **asked)
    return rows.copy() if asked.get("copy") else rows


def fitted(_usual: Any, *_given: Any, **_named: Any) -> None:
    """It is: it has answered before."""


def namespace(usual: Any, *arrays: Any, **named: Any) -> Any:
    """For numpy's arrays always the same."""
    if named or not all(type(a).__module__ == "numpy" for a in arrays):
        return usual(*arrays, **named)
    known = usual.__dict__.get("fitq_known")
    if known is None:
        known = usual.fitq_known = usual(*arrays)
    return known


def moved(usual: Any, *arrays: Any, **named: Any) -> Any:
    """One of numpy's arrays, to numpy: it is there."""
    is_there = len(arrays) == 1 and type(arrays[0]).__module__ == "numpy"
    return arrays[0] if is_there and named.get("device") is None else usual(*arrays, **named)


#: Where scikit-learn spends most of a small prediction: asking what is known here. Modules of 1.6 and later.
IN_PLACE = (
    ("sklearn.utils.validation", "validate_data", validated),
    ("sklearn.utils.validation", "check_is_fitted", fitted),
    ("sklearn.utils._array_api", "get_namespace_and_device", namespace),
    ("sklearn.utils._array_api", "move_to", moved),
)


def put_in_place() -> bool:
    """Have `InPlace` wherever those functions were imported to; whether scikit-learn has them."""
    put_trees_in_place()
    for home, name, quick in IN_PLACE:
        usual = getattr(sys.modules.get(home), name, None)
        if name == "validate_data" and (usual is None or isinstance(usual, InPlace)):
            return usual is not None
        for where, module in list(sys.modules.items()):
            if usual is not None and where.startswith("sklearn.") and vars(module).get(name) is usual:
                setattr(module, name, InPlace(usual, quick))
    return True


def put_trees_in_place() -> None:
    """Have histogram gradient boosting add up its trees as `add_trees` does, in quick calls."""
    boosting = sys.modules.get("sklearn.ensemble._hist_gradient_boosting.gradient_boosting")
    owner = getattr(boosting, "BaseHistGradientBoosting", None)  # type: Any
    usual = getattr(owner, "_predict_iterations", None)  # type: Any
    if usual is None or hasattr(usual, "fitq_usual"):
        return

    def in_place(model: Any, rows: Any, trees: Any, sums: Any, *more: Any, **named: Any) -> None:
        is_quick = Quick.rows is not None and more and not more[0] and not named  # the first: `is_binned`
        if not is_quick or not add_trees(model, rows, trees, sums, *more[1:]):
            usual(model, rows, trees, sums, *more, **named)

    in_place.fitq_usual = usual  # type: ignore[attr-defined]
    owner._predict_iterations = in_place


def add_trees(model: Any, rows: Any, trees: Any, sums: Any, *threads: Any) -> bool:
    """Add the answers of each iteration's trees to `sums`, of shape (n, trees per iteration), in their order.

    There are often hundreds, and most of a small prediction goes into the Python around each. False, and
    nothing added, where this version of scikit-learn asks a tree otherwise.
    """
    import numpy as np

    module = sys.modules["sklearn.ensemble._hist_gradient_boosting.predictor"]
    ask = getattr(module, "_predict_from_raw_data", None)
    if ask is None or not trees:
        return False
    known, positions = model._bin_mapper.make_known_categories_bitsets()
    answers = np.empty((len(trees) + 1, sums.shape[1], len(rows)))
    answers[0] = sums.T
    for iteration, answer in zip(trees, answers[1:]):
        for tree, out in zip(iteration, answer):
            try:
                ask(tree.nodes, rows, tree.raw_left_cat_bitsets, known, positions, *threads, out)
            except TypeError:
                return False
    sums[:] = np.add.accumulate(answers, axis=0)[-1].T  # one after another, as `+=` would
    return True


class Loop:
    """In place of joblib's `Parallel` inside forests, whose dispatch takes longer than the trees."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, tasks: Any) -> List[Any]:
        return [ask_tree(getattr(f, "function", f), args, named) for f, args, named in tasks]


def ask_tree(function: Any, args: Tuple[Any, ...], named: Dict[str, Any]) -> Any:
    """Add one tree's answer to a forest's, straight from the tree where it has one output."""
    predict = args[0] if args else None  # type: Any
    tree = getattr(predict, "__self__", None)  # type: Any
    if function.__name__ != "_accumulate_prediction" or len(args[2]) != 1 or not hasattr(tree, "tree_"):
        return function(*args, **named)
    values = tree.tree_.predict(args[1])
    args[2][0] += values[:, 0] if predict.__name__ == "predict" else values[:, : tree.n_classes_]
    return None


def predict(loaded: Loaded, method: str, rows: Any, matrix: Any = None) -> Any:
    """Call a method; an array, or for several outputs a list of arrays.

    Its first quick answer is made both ways; only if they are equal to the last bit, later ones are made in
    the quicker one.

    Args:
        rows: what the model was fitted on: a matrix, a DataFrame, a list of texts.
        matrix: the same rows as a finite float64 matrix, if they are that.
    """
    if loaded.quick.get(method) is False or (matrix is None and not loaded.has_forest):
        return _called(loaded, method, rows)
    if loaded.quick.get(method):
        return _quickly(loaded, method, rows, matrix)
    again = None if matrix is None else matrix.copy(order="K")  # some estimators change what they are given
    began = time.perf_counter()
    answer = _called(loaded, method, rows)
    if time.perf_counter() - began > 1:
        return answer  # nobody waits twice as long for this; a smaller request will show it
    loaded.quick[method] = False
    with contextlib.suppress(Exception):
        quick = _quickly(loaded, method, rows, again)
        loaded.quick[method] = answer_frame(quick) == answer_frame(answer)
    return answer


def _quickly(loaded: Loaded, method: str, rows: Any, matrix: Any) -> Any:
    """Call a method with forests in a plain loop, and without asking what is known of the rows."""
    forests = sys.modules.get("sklearn.ensemble._forest")
    parallel = getattr(forests, "Parallel", None)
    try:
        if parallel is not None and loaded.has_forest:
            forests.Parallel = Loop  # type: ignore[union-attr]
        if matrix is not None and put_in_place():
            Quick.rows = matrix
        return _called(loaded, method, rows if matrix is None else matrix)
    finally:
        Quick.rows = None
        if parallel is not None:
            forests.Parallel = parallel  # type: ignore[union-attr]


def _called(loaded: Loaded, method: str, rows: Any) -> Any:
    answer = getattr(loaded.model, method)(rows)
    if isinstance(answer, tuple):
        answer = list(answer)
    several = isinstance(answer, list) and bool(answer) and hasattr(answer[0], "shape")
    return [_dense(a) for a in answer] if several else _dense(answer)


def _dense(answer: Any) -> Any:
    import numpy as np

    if hasattr(answer, "toarray"):
        answer = answer.toarray()  # a sparse matrix
    elif hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()  # a DataFrame
    return np.asarray(answer)


def answer_frame(answer: Any) -> Tuple[Dict[str, Any], bytes]:
    """Predictions as raw arrays where numpy knows their type, else as JSON."""
    arrays = answer if isinstance(answer, list) else [answer]
    if any(a.dtype.kind not in "fiubU" or a.dtype.itemsize > 8 and a.dtype.kind == "f" for a in arrays):
        return {"json": True}, json.dumps(plain([a.tolist() for a in arrays] if isinstance(answer, list)
                                                else answer.tolist())).encode("utf-8")  # fmt: skip
    described = [{"dtype": a.dtype.str, "shape": list(a.shape)} for a in arrays]
    return {"arrays": described, "several": isinstance(answer, list)}, b"".join(a.tobytes() for a in arrays)


def plain(value: Any) -> Any:
    """What JSON can carry: NaN and infinity become null, unknown objects their text."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# ---------------------------------------------------------------- facts, for registration


def facts(loaded: Loaded, sample: Optional[List[Any]]) -> Dict[str, Any]:
    """What a model tells about itself, with rows that it was seen to answer.

    Raises:
        Unfit: the sample input is not one the model answers.
    """
    model = loaded.model
    found = {
        "estimator": type(model).__name__,
        "methods": [m for m in METHODS if _has(model, m)],
        "default_method": "",
        "input_schema": None,
        "classes": plain(getattr(model, "classes_", [])) if _has(model, "classes_") else [],
        "versions": {"python": platform.python_version(), "packages": versions()},
        "output_shape": [],
        "warnings": list(loaded.said),
        "given": [],
        "seen": [],
    }  # type: Dict[str, Any]
    if not found["methods"]:
        found["warnings"].append(
            "%s has none of the methods %s: it is kept, but it cannot be scored."
            % (found["estimator"], ", ".join(METHODS))
        )
        return found
    schema = schema_of_sample(loaded, sample) if sample else schema_of_model(loaded)
    if schema is None:
        found["warnings"].append(
            "%s does not tell how many columns it takes: it is kept, but it cannot be scored. "
            "Register it with a sample_input." % found["estimator"]
        )
        return found
    found["given"] = schema.pop("given", [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _probe(loaded, schema, sample, found)
        found["seen"] = seen_by_fit(loaded, schema["columns"])
        found["given"] = found["given"] or kept_rows(loaded, schema["columns"])
    return found


class Unfit(Exception):
    """Sample input that does not fit the model."""


def _probe(loaded: Loaded, schema: Dict[str, Any], sample: Any, found: Dict[str, Any]) -> None:
    """Keep only what the model was seen to do: methods, an example, which columns may be missing."""
    trouble = None  # type: Optional[Exception]
    for rows in [schema["example"]] if sample else example_rows(schema):
        answers, trouble = _answers(loaded, schema, rows, found["methods"])
        if answers:
            schema["example"] = rows
            break
    else:
        if sample:
            raise Unfit("The model does not answer its sample_input: %s" % _sentence(trouble))
        found["warnings"].append("No example row was found that it answers: %s" % _sentence(trouble))
        schema["example"], answers = [], {m: [] for m in found["methods"]}
    found["methods"] = [m for m in found["methods"] if m in answers]
    # most useful first, whatever else it has; a list of methods keeps that order
    found["default_method"] = found["methods"][0]
    found["output_shape"] = answers[found["methods"][0]]
    if found["default_method"] not in ("predict_proba", "predict") and "transform" in answers:
        found["default_method"] = "transform"
    if schema["example"] and schema["layout"] == "rows":
        _mark_nullable(loaded, schema, found["default_method"])
    found["input_schema"] = schema


def _answers(
    loaded: Loaded, schema: Dict[str, Any], rows: List[Any], methods: List[str]
) -> Tuple[Dict[str, List[int]], Optional[Exception]]:
    """Shape of the answer of each method that answers."""
    shapes, trouble = {}, None  # type: Dict[str, List[int]], Optional[Exception]
    for method in methods:
        try:
            answer = predict(loaded, method, model_input(loaded, *as_request(schema, rows)))
            shapes[method] = list((answer[0] if isinstance(answer, list) else answer).shape)
        except Exception as exc:
            trouble = trouble or exc
    return shapes, trouble


def as_request(schema: Dict[str, Any], rows: List[Any]) -> Tuple[Dict[str, Any], bytearray]:
    """Example rows in the form in which the parent sends rows."""
    kinds = [c["kind"] for c in schema["columns"]]
    names = [c["name"] for c in schema["columns"] if c["name"]]
    if schema["layout"] == "texts":
        return {"layout": "texts"}, bytearray(json.dumps([rows]).encode("utf-8"))
    if set(kinds) == {"number"}:
        import numpy as np

        matrix = np.array(rows, dtype=float)
        shaped = {"layout": "matrix", "dtype": "<f8", "shape": matrix.shape, "names": names}
        return shaped, bytearray(matrix.tobytes())
    columns = [list(c) for c in zip(*rows)]
    described = {"layout": "table", "kinds": kinds, "names": names}
    return described, bytearray(json.dumps(columns).encode("utf-8"))


def example_rows(schema: Dict[str, Any]) -> Iterator[List[Any]]:
    """Rows to try: zeros, then ones; the first category where a column has some."""
    if schema["layout"] == "texts":
        yield ["an example text"]
        return
    known = schema.pop("known")
    for number in (0.0, 1.0, 0.5):
        filler = {"number": number, "integer": int(number), "boolean": False, "string": "text"}
        yield [[known.get(i, filler[c["kind"]]) for i, c in enumerate(schema["columns"])]]


def schema_of_model(loaded: Loaded) -> Optional[Dict[str, Any]]:
    """The input as the fitted estimator tells it, or None when it does not."""
    if takes_texts(loaded.model):
        return {"layout": "texts", "columns": [_new_column("string")], "source": "model", "example": []}
    width = len(loaded.names) or feature_count(loaded.model)
    if not width:
        return None
    names = loaded.names or [""] * width
    columns = [_new_column("number", name) for name in names]
    known, unused = {}, set()  # type: Dict[int, Any], Set[int]
    for position, kind, values in categorical_columns(first_step(loaded.model), names):
        columns[position]["kind"] = kind
        if kind == "unused":
            unused.add(position)
        elif values:
            known[position] = values[0]
    # columns that a ColumnTransformer drops need not be sent, where it goes by name
    kept = [i for i in range(width) if i not in unused]
    for i in unused:
        columns[i]["kind"] = "number"
    if loaded.names and kept:
        columns = [columns[i] for i in kept]
        known = {kept.index(i): v for i, v in known.items()}
    return {"layout": "rows", "columns": columns, "source": "model", "example": [], "known": known}


def _new_column(kind: str, name: str = "") -> Dict[str, Any]:
    return {"kind": kind, "name": name, "nullable": False}


def categorical_columns(transformer: Any, names: List[str]) -> Iterator[Tuple[int, str, List[Any]]]:
    """(position, kind, known values) of each column that is not a plain number."""
    if not hasattr(transformer, "transformers_"):
        for found in _categories(transformer, list(range(len(names)))):
            yield found
        return
    taken = set()  # type: Set[int]
    for _, inner, where in transformer.transformers_:
        positions = _positions(where, names)
        if isinstance(inner, str) and inner == "drop":
            for position in positions:
                if position not in taken:
                    yield position, "unused", []
            continue
        taken.update(positions)
        if isinstance(where, str) and takes_texts(inner):
            yield positions[0], "string", ["an example text"]
        elif not isinstance(inner, str):
            for found in _categories(inner, positions):
                yield found


def _categories(transformer: Any, positions: List[int]) -> Iterator[Tuple[int, str, List[Any]]]:
    for step in steps(transformer):
        categories = getattr(step, "categories_", None)
        if categories is None or len(categories) != len(positions):
            continue
        for position, values in zip(positions, categories):
            present = [v for v in plain(values) if v is not None]
            yield position, _kind(present) or "number", present


def _positions(where: Any, names: List[str]) -> List[int]:
    """Column numbers of a ColumnTransformer's selection, however it was written."""
    if isinstance(where, slice):
        ends = [names.index(e) if isinstance(e, str) else e for e in (where.start, where.stop)]
        # a slice of names includes its end
        stop = ends[1] + 1 if isinstance(where.stop, str) else ends[1]
        return list(range(len(names)))[slice(ends[0], stop, where.step)]
    chosen = [where] if isinstance(where, (str, int)) else list(where)
    if chosen and all(isinstance(c, bool) or type(c).__name__ == "bool_" for c in chosen):
        return [i for i, c in enumerate(chosen) if c]
    count = len(names)
    return [names.index(c) if isinstance(c, str) else int(c) % count for c in chosen]


def schema_of_sample(loaded: Loaded, sample: List[Any]) -> Dict[str, Any]:
    """The input as a person's sample rows show it."""
    if not isinstance(sample, list):
        raise Unfit("sample_input must be a list of rows, records or texts.")
    if all(isinstance(row, str) for row in sample):
        return {"layout": "texts", "columns": [_new_column("string")], "source": "sample_input",
                "example": sample[:3], "given": sample[:MAX_GIVEN]}  # fmt: skip
    by_name = isinstance(sample[0], dict)
    names = loaded.names
    if by_name:
        given = sorted(sample[0])
        if not names or not set(given) <= set(names):
            if names or feature_count(loaded.model) not in (0, len(given)):
                expected = names or "%d columns" % feature_count(loaded.model)
                raise Unfit("sample_input has the columns %s; the model expects %s." % (given, expected))
            names = list(sample[0])
        names = [n for n in names if n in sample[0]]
        if any(not isinstance(row, dict) or set(row) != set(names) for row in sample):
            raise Unfit("The records of sample_input do not all have the same columns.")
        sample = [[row[n] for n in names] for row in sample]
    width = len(sample[0]) if isinstance(sample[0], list) else 0
    if not width or any(not isinstance(row, list) or len(row) != width for row in sample):
        raise Unfit("sample_input must be a list of rows of equal length, of records, or of texts.")
    columns = []
    for i, values in enumerate(zip(*sample)):
        column = _new_column(
            _kind([v for v in values if v is not None]), names[i] if len(names) == width else ""
        )
        if not column["kind"]:
            raise Unfit("Column %d of sample_input mixes text with numbers, or holds neither." % i)
        column["nullable"] = None in values
        columns.append(column)
    kinds = {c["kind"] for c in columns}
    if not by_name and kinds == {"number", "integer"}:
        for column in columns:
            column["kind"] = "number"  # one list of numbers is one array, as numpy would make it
    return {"layout": "rows", "columns": columns, "source": "sample_input", "example": sample[:3],
            "given": sample[:MAX_GIVEN]}  # fmt: skip


def _kind(values: List[Any]) -> str:
    if not values:
        return "number"
    if all(isinstance(v, bool) for v in values):
        return "boolean"
    if all(isinstance(v, str) for v in values):
        return "string"
    if any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in values):
        return ""
    return "integer" if all(isinstance(v, int) for v in values) else "number"


def _mark_nullable(loaded: Loaded, schema: Dict[str, Any], method: str) -> None:
    """Which columns may be missing: where a step says so *and* the model then answers.

    Saying so alone is not enough: a scaler takes missing values, the classifier behind it may not.
    """
    if not any(_allows_missing(p) for p in parts(loaded.model)):
        return
    asked = [i for i, c in enumerate(schema["columns"]) if c["kind"] in ("number", "string")]
    # all at once, and only if that is refused one by one, which takes a prediction each
    for missing in [asked] if _answers_without(loaded, schema, method, asked) else [[i] for i in asked[:256]]:
        if _answers_without(loaded, schema, method, missing):
            for i in missing:
                schema["columns"][i]["nullable"] = True


def _answers_without(loaded: Loaded, schema: Dict[str, Any], method: str, missing: List[int]) -> bool:
    row = list(schema["example"][0])
    for i in missing:
        row[i] = None
    return bool(_answers(loaded, schema, [row], [method])[0])


def _allows_missing(estimator: Any) -> bool:
    try:
        from sklearn.utils import get_tags  # scikit-learn 1.6 and later

        return bool(get_tags(estimator).input_tags.allow_nan)
    except ImportError:
        tags = estimator._get_tags() if hasattr(estimator, "_get_tags") else {}
        return bool(tags.get("allow_nan"))
    except Exception:  # not one of scikit-learn's own
        return False


# ---------------------------------------------------------------- what `fit` saw, as far as it left traces


def seen_by_fit(loaded: Loaded, columns: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Per column {"low", "high"} of numbers or {"values"}: from where rows may be drawn; {} where unknown."""
    names = loaded.names or [""] * len(columns)
    seen = [{} for _ in columns]  # type: List[Dict[str, Any]]
    where = {n: i for i, n in enumerate(c["name"] for c in columns) if n}
    with contextlib.suppress(Exception):  # an estimator that is built otherwise tells nothing
        for position, told in _traces(loaded.model, list(range(len(names))), names):
            column = where.get(names[position], -1) if names[position] else position
            if 0 <= column < len(columns) and not seen[column]:
                seen[column] = told
    return seen


def kept_rows(loaded: Loaded, columns: List[Dict[str, Any]]) -> List[List[float]]:
    """Some of the rows that the estimator itself remembers, if it meets the given rows first."""
    if {c["kind"] for c in columns} != {"number"}:
        return []
    for name in KEPT_ROWS:
        kept = getattr(steps(loaded.model)[0], name, None)  # type: Any
        if len(getattr(kept, "shape", ())) == 2 and kept.shape[1] == len(columns) and hasattr(kept, "tolist"):
            return kept[:: max(1, len(kept) // MAX_KEPT)][:MAX_KEPT].astype(float).tolist()  # type: ignore
    return []


def _traces(model: Any, positions: List[int], names: List[str]) -> Iterator[Tuple[int, Dict[str, Any]]]:
    """What each step tells of the columns at these positions, as long as they are still the given ones."""
    filled_in = []  # type: List[Tuple[int, Dict[str, Any]]]  #: by imputers: one value each, better than none
    for step in steps(model):
        if step is not model and steps(step) != [step]:
            for found in _traces(step, positions, names):
                yield found
            return
        if hasattr(step, "transformers_"):
            for _, inner, selected in step.transformers_:
                if not isinstance(inner, str):
                    for found in _traces(inner, _positions(selected, names), names):
                        yield found
            return
        if hasattr(step, "transformer_list"):
            for _, inner in step.transformer_list:
                for found in _traces(inner, positions, names):
                    yield found
            return
        if hasattr(step, "vocabulary_"):
            words = sorted(step.vocabulary_)
            yield positions[0], {"values": words[:: max(1, len(words) // MAX_VALUES)][:MAX_VALUES]}
            return
        for position, _, values in _categories(step, positions):
            yield position, {"values": values[:MAX_VALUES]}
        for position, ends in zip(positions, _ranges(step, len(positions))):
            if ends is not None:
                yield position, {"low": ends[0], "high": ends[1]}
        if not type(step).__name__.endswith("Imputer"):
            break  # what comes next sees other values
        for position, value in zip(positions, getattr(step, "statistics_", [])):
            if isinstance(value, float):  # numpy's is one
                filled_in.append((position, {"low": float(value) - 1, "high": float(value) + 1}))
    for found in filled_in:
        yield found


def _ranges(step: Any, count: int) -> List[Optional[Tuple[float, float]]]:
    """(low, high) per column, from the first kind of trace that the estimator has."""
    import numpy as np

    def of(name: str) -> Any:
        found = np.asarray(getattr(step, name), dtype=float)
        if found.shape[-1:] != (count,):
            raise ValueError(name)
        return found

    def around(middle: Any, spread: Any) -> Tuple[Any, Any]:
        return middle - 2 * spread, middle + 2 * spread

    def rows(name: str) -> Tuple[Any, Any]:
        return of(name).min(axis=0), of(name).max(axis=0)

    variance = "var_" if hasattr(step, "var_") else "sigma_"  # its name until scikit-learn 0.24
    ways = (
        lambda: (of("data_min_"), of("data_max_")),  # MinMaxScaler
        lambda: around(of("mean_"), of("scale_")),  # StandardScaler
        lambda: around(of("center_"), of("scale_")),  # RobustScaler
        lambda: (-of("max_abs_"), of("max_abs_")),
        lambda: rows("quantiles_"),
        lambda: tuple(zip(*((e[0], e[-1]) for e in step.bin_edges_))),  # KBinsDiscretizer
        lambda: rows(next(n for n in KEPT_ROWS if hasattr(step, n))),
        lambda: (
            (of("theta_") - 2 * of(variance) ** 0.5).min(axis=0),  # GaussianNB
            (of("theta_") + 2 * of(variance) ** 0.5).max(axis=0),
        ),
        lambda: around(of("mean_"), np.sqrt(step.explained_variance_.dot(of("components_") ** 2))),  # PCA
        lambda: rows("means_"),
        lambda: around(of("xbar_"), 1.0),
        lambda: tuple(zip(*_split_at(step, count))),
    )
    for way in ways:
        try:
            low, high = way()
            pairs = [(float(a), float(b)) for a, b in zip(low, high)]
        except Exception:  # not that kind of estimator
            continue
        if len(pairs) == count:
            return [p if np.isfinite(p).all() else None for p in pairs]
    return [None] * count


def _split_at(model: Any, count: int) -> List[Tuple[float, float]]:
    """Where trees split each column, and a little beyond."""
    ends = {}  # type: Dict[int, List[float]]
    bins = getattr(getattr(model, "_bin_mapper", None), "bin_thresholds_", None)
    for feature, edges in enumerate(bins if bins is not None else []):
        ends[feature] = [float(edges[0]), float(edges[-1])] if len(edges) else [0.0, 1.0]
    inner = getattr(model, "estimators_", model)  # of gradient boosting it is an array
    found = parts(list(inner.ravel()) if hasattr(inner, "ravel") else inner)
    trees = (p.tree_ for p in found if hasattr(p, "tree_") and p.tree_.n_features == count)
    for tree, _ in zip(trees, range(100)):
        for feature, threshold in zip(tree.feature.tolist(), tree.threshold.tolist()):
            if feature >= 0:
                low, high = ends.get(feature, [threshold, threshold])
                ends[feature] = [min(low, threshold), max(high, threshold)]
    if not ends:
        raise ValueError("no trees")
    beyond = {f: max(0.25 * (high - low), 0.1 * abs(low), 1e-3) for f, (low, high) in ends.items()}
    return [(ends[f][0] - beyond[f], ends[f][1] + beyond[f]) if f in ends else (0.0, 1.0)
            for f in range(count)]  # fmt: skip


def versions() -> Dict[str, str]:
    """Of the packages that matter, what this interpreter really has."""
    found = {}
    for name in PACKAGES:
        module = sys.modules.get("sklearn" if name == "scikit-learn" else name)
        version = str(getattr(module, "__version__", "")) or _installed(name)
        if version:
            found[name] = version
    return found


def _installed(name: str) -> str:
    """The version of a package that nothing has imported yet; importing it to ask takes a second."""
    try:
        from importlib.metadata import version  # Python 3.8 and later

        return version(name)
    except Exception:  # absent, or an older Python
        return ""


# ---------------------------------------------------------------- the program


def _has(model: Any, name: str) -> bool:
    try:
        return getattr(model, name, None) is not None
    except Exception:  # a property may raise anything
        return False


def _one_line(warning: Any) -> str:
    return " ".join(str(warning.message).split())[:500]


def _sentence(exc: Optional[Exception]) -> str:
    return "%s: %s" % (type(exc).__name__, " ".join(str(exc).split())[:500])


def _memory_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class Child:
    """Answers requests about models."""

    def __init__(self) -> None:
        self.models = {}  # type: Dict[str, Loaded]

    def answer(self, header: Dict[str, Any], payload: bytearray) -> Tuple[Dict[str, Any], bytes]:
        op = header["op"]
        if op == "ping":
            return {"memory_bytes": _memory_bytes(), "models": sorted(self.models)}, b""
        if op == "warm":
            __import__("joblib"), __import__("sklearn.pipeline")
            return {}, b""
        if op == "load":
            before = _memory_bytes()
            loaded = self.models[header["model"]] = load(header["path"], header.get("names"))
            grown = max(0, _memory_bytes() - before)
            wrote = {"python": platform.python_version(), "packages": versions()}
            return {
                "estimator": type(loaded.model).__name__,
                "warnings": loaded.said,
                "versions": wrote,
                "memory_bytes": grown,
            }, b""
        if op == "unload":
            self.models.pop(header["model"], None)
            return {}, b""
        loaded = self.models[header["model"]]
        if op == "facts":
            return facts(loaded, json.loads(payload.decode("utf-8"))), b""
        began = time.perf_counter()
        method, rows = header["method"], header["rows"]
        matrix = checked_matrix(loaded, rows, payload)
        if matrix is not None and loaded.quick.get(method):
            answer = _quickly(loaded, method, None, matrix)
        else:
            answer = predict(loaded, method, model_input(loaded, rows, payload), matrix)
        described, data = answer_frame(answer)
        described["seconds"] = time.perf_counter() - began
        return described, data


def failure(exc: BaseException) -> Dict[str, Any]:
    """An exception as an answer."""
    text = " ".join(str(exc).split())[:2000]
    lines = traceback.format_exception(type(exc), exc, exc.__traceback__)[-6:]
    told = {
        "type": type(exc).__name__,
        "message": text,
        "rows_at_fault": isinstance(exc, ValueError) and text.startswith(CALLERS_FAULT),
        "trace": "".join(lines)[-4000:],
    }
    told.update(getattr(exc, "told", {}))
    return told


def die_with(parent: int) -> None:
    """Ask the kernel to end us when the parent ends, however that happens."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the closed socket has to do
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def limit_memory(most_bytes: int) -> None:
    """From here on, more memory of our own is refused; numpy then raises MemoryError, which is an answer."""
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))


def main(child: Any) -> None:
    """Let a child answer what comes over the socket, until the parent hangs up."""
    die_with(int(sys.argv[2]))
    limit_memory(int(sys.argv[3]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then hangs up
    os.dup2(2, 1)  # what models print goes where warnings go; frames have a socket of their own
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=int(sys.argv[1]))
    stream, pid = link.makefile("rb"), os.getpid()
    warnings.simplefilter("ignore")
    headers = {}  # type: Dict[bytes, Dict[str, Any]]
    while True:
        raw = read_raw(stream)
        if raw is None:
            return
        number, text, payload = raw
        header = headers.get(text)
        if header is None:
            if len(headers) >= MAX_HEADERS:
                headers.clear()
            header = headers[text] = json.loads(text.decode("utf-8"))
        try:
            described, data = child.answer(header, payload)
            answer = pack_answer(described, data, number)
        except (Exception, SystemExit) as exc:
            answer = pack({"ok": False, "error": failure(exc)}, number=number)
        if os.getpid() != pid:
            os._exit(0)  # a model forked; only the original speaks on this socket
        link.sendall(answer)


if __name__ == "__main__":
    main(Child())
