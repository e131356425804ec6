"""What is asked of models, and what becomes of exceptions."""

import json
import os
import platform
import time
import traceback
from typing import Any, Dict, Tuple

from .facts import facts
from .loading import Loaded, load
from .predicting import answer_frame, predict, quickly
from .rows import checked_matrix, model_input
from .versions import versions

#: How scikit-learn begins to say that it is the rows that are wrong, not the model.
CALLERS_FAULT = ("Found unknown categories", "Input X contains", "Input contains")


def memory_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class Child:
    """Answers requests about models."""

    def __init__(self) -> None:
        self.models: Dict[str, Loaded] = {}

    def answer(self, header: Dict[str, Any], payload: bytearray) -> Tuple[Dict[str, Any], bytes]:
        op = header["op"]
        if op == "ping":
            return {"memory_bytes": memory_bytes(), "models": sorted(self.models)}, b""
        if op == "warm":
            __import__("joblib"), __import__("sklearn.pipeline")
            return {}, b""
        if op == "load":
            before = memory_bytes()
            loaded = self.models[header["model"]] = load(header["path"], header.get("names"))
            grown = max(0, memory_bytes() - before)
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
            answer = quickly(loaded, method, None, matrix)
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
