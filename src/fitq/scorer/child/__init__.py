"""The scorer child: loads models and predicts, in a process that holds no credential of the platform.

This folder is run as a program (`python -I child/__main__.py FD MEMORY`) by any Python from 3.6 on.
Nothing else of fitq is importable there, so its files name each other relatively; standard library only at
import: numpy, joblib and pandas are whatever the environment has. It answers every request in order, and an
exception in a model is an answer. Its keeper (`isolation/launch.py`) ends it when its program is gone.

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

from .answering import Child, failure, memory_bytes
from .boosting import add_trees
from .facts import METHODS, facts
from .frames import HEAD, frame, pack, read_frame, read_raw
from .in_place import InPlace, Quick, validated
from .loading import Loaded, load, one_line, only
from .predicting import answer_frame, called, plain, predict
from .rows import as_request, model_input
from .serving import main
from .versions import versions

__all__ = [
    "HEAD",
    "METHODS",
    "Child",
    "InPlace",
    "Loaded",
    "Quick",
    "add_trees",
    "answer_frame",
    "as_request",
    "called",
    "facts",
    "failure",
    "frame",
    "load",
    "main",
    "memory_bytes",
    "model_input",
    "one_line",
    "only",
    "pack",
    "plain",
    "predict",
    "read_frame",
    "read_raw",
    "validated",
    "versions",
]
