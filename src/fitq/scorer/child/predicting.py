"""Calling a method of a model, and what it answers as bytes."""

import contextlib
import json
import sys
import time
from typing import Any, Dict, Tuple

from .estimators import WITH_STD
from .forests import Loop
from .in_place import Quick, put_in_place
from .loading import Loaded

#: pandas' types of what is missing among objects.
MISSING = ("NaTType", "NAType")


def predict(loaded: Loaded, method: str, rows: Any, matrix: Any = None) -> Any:
    """Call a method; an array, or for several outputs a list of arrays.

    Its first quick answer is made both ways; only if they are equal to the last bit, later ones are made in
    the quicker one.

    Args:
        rows: what the model was fitted on: a matrix, a DataFrame, a list of texts.
        matrix: the same rows as a finite float64 matrix, if they are that.
    """
    if loaded.quick.get(method) is False or (matrix is None and not loaded.has_forest):
        return called(loaded, method, rows)
    if loaded.quick.get(method):
        return quickly(loaded, method, rows, matrix)
    again = None if matrix is None else matrix.copy(order="K")  # some estimators change what they are given
    began = time.perf_counter()
    answer = called(loaded, method, rows)
    if time.perf_counter() - began > 1:
        return answer  # nobody waits twice as long for this; a smaller request will show it
    loaded.quick[method] = False
    with contextlib.suppress(Exception):
        quick = quickly(loaded, method, rows, again)
        loaded.quick[method] = answer_frame(quick) == answer_frame(answer)
    return answer


def quickly(loaded: Loaded, method: str, rows: Any, matrix: Any) -> Any:
    """Call a method with forests in a plain loop, and without asking what is known of the rows."""
    forests = sys.modules.get("sklearn.ensemble._forest")
    parallel = getattr(forests, "Parallel", None)
    try:
        if parallel is not None and loaded.has_forest:
            forests.Parallel = Loop  # type: ignore[union-attr]
        if matrix is not None and put_in_place():
            Quick.rows = matrix
        return called(loaded, method, rows if matrix is None else matrix)
    finally:
        Quick.rows = None
        if parallel is not None:
            forests.Parallel = parallel  # type: ignore[union-attr]


def called(loaded: Loaded, method: str, rows: Any) -> Any:
    if method == WITH_STD:
        return _with_std(loaded.model.predict(rows, return_std=True))
    answer = getattr(loaded.model, method)(rows)
    if isinstance(answer, tuple):
        answer = list(answer)
    several = isinstance(answer, list) and bool(answer) and hasattr(answer[0], "shape")
    return [_dense(a) for a in answer] if several else _dense(answer)


def _with_std(answer: Any) -> Any:
    """[mean, std] per row; of several outputs the means and the deviations, shape (n, 2, outputs)."""
    import numpy as np

    mean, std = (np.asarray(a) for a in answer)
    if std.ndim < mean.ndim:  # one deviation for all outputs, as older versions tell it
        std = np.broadcast_to(std.reshape(std.shape + (1,) * (mean.ndim - std.ndim)), mean.shape)
    return np.stack((mean, std), axis=1)


def _dense(answer: Any) -> Any:
    import numpy as np

    if hasattr(answer, "toarray"):
        answer = answer.toarray()  # a sparse matrix
    elif hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()  # a DataFrame
    answer = np.asarray(answer)
    if answer.dtype.kind not in "mM":
        return answer
    # JSON has no dates: they are texts, as ISO 8601 writes them; one that is missing is null
    missing, texts = np.isnat(answer), answer.astype(str)
    return np.where(missing, None, texts) if missing.any() else texts


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
        value = _dense(value).tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if type(value).__name__ in MISSING:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
