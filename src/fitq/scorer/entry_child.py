"""The scorer child of an entry script: `init` and `run` as Azure calls them, `model_fn` … as SageMaker does.

A program beside `child/`, with the same frames and the same promises; any Python from 3.6 on. One process
has one model, because a script may do what it likes to its process: variables, folder, modules.

    op        request                                    answer
    ping      as in child/
    warm      {}                                         {}
    load      path: the model's folder; code: the        {"kind", "estimator", "input", "output", "warnings",
              script's; script: its path in there;        "versions", "memory_bytes"}
              paths: importable after all others
    predict   rows {content_type, accept, verb,          {"status", "content_type", "headers",
              path, query};                               "seconds"}; payload: the body of the answer
              payload: the body of the HTTP request

An exception of the script is an answer. `error` then has `stage`: what was running; and where it is the
caller who can mend it, `status`: 400, 405 or 415.

Sources: azureml-inference-server-http for how `run` is called, sagemaker-scikit-learn-container for the rest.
"""

import importlib
import importlib.util
import inspect
import io
import json
import os
import platform
import sys
import time
import warnings
from collections import OrderedDict
from typing import Any, Callable, Dict, Optional, Tuple

JSON, CSV, NPY = "application/json", "text/csv", "application/x-npy"
ARRAYS = ", ".join((JSON, CSV, NPY))
#: What SageMaker hands over as text; everything else as bytes.
TEXTS = (JSON, CSV)
SAGEMAKER = ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
#: How the shims mark a function that wants the request itself, and an answer that is complete.
RAW, ANSWER = "fitq_rawhttp", "fitq_answer"
_FRAMES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child", "__init__.py")


def module_at(path: str, name: str, *more: str) -> Any:
    """A file as a module of that name, found under more of them too."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.update(dict.fromkeys((name,) + more, module))
    spec.loader.exec_module(module)
    return module


frames = module_at(_FRAMES, "fitq_scorer_child")


class Refused(Exception):
    """The request is not one that the script takes."""

    def __init__(self, message: str, status: int = 400, at: str = "$", expected: str = "") -> None:
        Exception.__init__(self, message)
        self.told = {"status": status, "at": at, "expected": expected}


class Unfit(Exception):
    """The script is none that can be served."""


class Request:
    """What a script is asked: a body, and what the caller said of it."""

    def __init__(self, rows: Dict[str, Any], body: bytes) -> None:
        self.body = body
        self.content_type = rows["content_type"]  # type: str
        self.accept = rows["accept"]  # type: str
        self.verb = rows["verb"]  # type: str
        self.path = rows.get("path", "/score")  # type: str
        self.query = rows.get("query", "")  # type: str

    @property
    def kind(self) -> str:
        """The media type without its parameters; JSON if the caller said nothing."""
        return self.content_type.partition(";")[0].strip().lower() or JSON

    @property
    def text(self) -> str:
        try:
            return self.body.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise Refused("The body is not UTF-8: %s." % exc, expected="UTF-8") from exc


class Reply:
    """What goes back."""

    def __init__(self, body: Any, content_type: str = JSON, status: int = 200, headers: Any = ()) -> None:
        self.body = body.encode("utf-8") if isinstance(body, str) else bytes(body)
        self.content_type, self.status, self.headers = content_type, status, headers


# ---------------------------------------------------------------- Azure: init and run


class Azure:
    """`init()` once, then `run(data)` per request."""

    kind = "azure"
    model = None  # type: Any  #: it is the script's own business

    def __init__(self, script: Any, _folder: str) -> None:
        if hasattr(script, "init"):
            doing("init()", script.init)
        self.run = script.run  # type: Callable[..., Any]
        self.parameters = inspect.signature(self.run).parameters
        self.is_raw = bool(getattr(self.run, RAW, False))
        self.input, self.output = declared(self.run)

    def answer(self, request: Request) -> Reply:
        if self.is_raw:
            found = doing("run()", self.run, raw_request(request))
        elif self.input is None:
            found = doing("run()", self.run, *([request.text] if self.parameters else []))
        else:
            found = self.with_fields(request)
        return complete(found) or Reply(as_json(found))

    def with_fields(self, request: Request) -> Any:
        """`run` with the fields of a JSON body, which its decorators check and convert."""
        given = self.fields(request)
        try:
            return doing("run()", self.run, **given)
        except Exception as exc:
            # a decorator refuses before the script's own function is entered
            if is_in(inspect.unwrap(self.run), exc):
                raise
            raise Refused(" ".join(str(exc).split()) or type(exc).__name__) from exc

    def fields(self, request: Request) -> Dict[str, Any]:
        if request.kind != JSON and not request.kind.endswith("+json"):
            raise Refused("Expects Content-Type to be application/json", 415, "header content-type", JSON)
        expected = "a JSON object with " + ", ".join(map(repr, self.parameters))
        if not request.body.strip():
            raise Refused("POST body is empty. Expecting a JSON dictionary.", expected=expected)
        try:
            given = json.loads(request.text)
        except ValueError as exc:
            raise Refused("The body is not JSON: %s." % exc, expected=expected) from exc
        if not isinstance(given, dict):
            raise Refused("POST body should be a JSON dictionary.", expected=expected)
        for name, parameter in self.parameters.items():
            is_needed = parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_KEYWORD,
                parameter.VAR_POSITIONAL,
            )
            if is_needed and name not in given:
                message = "A value is not provided for the '%s' parameter." % name
                raise Refused(message, at="$." + name, expected=expected)
        takes_all = any(p.kind == p.VAR_KEYWORD for p in self.parameters.values())
        return {k: v for k, v in given.items() if takes_all or k in self.parameters}


def declared(run: Any) -> Tuple[Optional[Dict[str, Any]], Optional[Dict[str, Any]]]:
    """What the decorators of inference-schema say that `run` takes and answers; None without any."""
    if "inference_schema" not in sys.modules:
        return None, None
    from inference_schema import schema_util

    if not schema_util.is_schema_decorated(run):
        return None, None
    # what a sample is made of may be numpy's
    told = (schema_util.get_input_schema(run), schema_util.get_output_schema(run))
    taken, given = map(frames.plain, told)
    return (taken if taken.get("properties") else None), given


def is_in(function: Any, exc: BaseException) -> bool:
    """Whether an exception was raised inside a function, or in what that called."""
    code, trace = getattr(function, "__code__", None), exc.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return True
        trace = trace.tb_next
    return False


def raw_request(request: Request) -> Any:
    """The request as `@rawhttp` hands it over."""
    home = importlib.import_module("azureml.contrib.services.aml_request")  # a shim, or Azure's own

    told = (request.verb, request.content_type, request.accept, request.body, request.path, request.query)
    return home.AMLRequest(*told)


def complete(found: Any) -> Optional[Reply]:
    """An answer that says its own status and type: an AMLResponse, or a Response of Flask."""
    if hasattr(found, ANSWER):
        return Reply(*getattr(found, ANSWER)())
    if all(hasattr(found, name) for name in ("get_data", "status_code", "headers")):
        kind = str(found.headers.get("content-type") or JSON)
        return Reply(found.get_data(), kind, int(found.status_code), list(found.headers.items()))
    return None


# ---------------------------------------------------------------- SageMaker: model_fn and the others


class SageMaker:
    """`model_fn(folder)` once, then `input_fn`, `predict_fn` and `output_fn` per request."""

    kind = "sagemaker"
    is_raw = False
    input = output = None  # type: Optional[Dict[str, Any]]

    def __init__(self, script: Any, folder: str) -> None:
        own = {name: getattr(script, name, None) for name in SAGEMAKER}  # type: Dict[str, Any]
        if own["transform_fn"] and (own["input_fn"] or own["predict_fn"] or own["output_fn"]):
            raise Unfit("it has transform_fn and also input_fn, predict_fn or output_fn: one or the others")
        self.model = doing("model_fn()", own["model_fn"] or the_file, folder)
        self.transform = own["transform_fn"]
        self.read = own["input_fn"] or read_array
        self.predict = own["predict_fn"] or (lambda rows, model: model.predict(rows))
        self.write = own["output_fn"] or write_array

    def answer(self, request: Request) -> Reply:
        accept = request.accept.partition(",")[0].partition(";")[0].strip()
        accept = JSON if accept in ("", "*/*") else accept
        data = request.text if request.kind in TEXTS else request.body  # type: Any
        kind = request.content_type or JSON
        if self.transform is not None:
            found = doing("transform_fn()", self.transform, self.model, data, kind, accept)
        else:
            rows = doing("input_fn()", self.read, data, kind)
            predictions = doing("predict_fn()", self.predict, rows, self.model)
            found = doing("output_fn()", self.write, predictions, accept)
        if isinstance(found, tuple):  # (body, its type)
            found, accept = found[0], str(found[1])
        return complete(found) or Reply(found if isinstance(found, (str, bytes)) else as_json(found), accept)


def the_file(folder: str) -> Any:
    """In place of a `model_fn`: the one file that was registered."""
    import joblib

    path = os.path.join(folder, *os.listdir(folder)[:1])
    if not os.path.isfile(path):
        raise Unfit("it reads several models, and without a model_fn nobody knows how")
    return joblib.load(path)


def read_array(data: Any, content_type: str) -> Any:
    """In place of an `input_fn`: rows as SageMaker's scikit-learn container reads them."""
    import numpy as np

    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == JSON:
            return np.array(json.loads(data)).astype(np.float32)
        if kind == CSV:
            return np.genfromtxt(io.StringIO(data), dtype=np.float32, delimiter=",")
        if kind == NPY:
            return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, TypeError) as exc:
        raise Refused(
            "The body is not rows of numbers as %s: %s." % (kind, exc), expected="rows of numbers"
        ) from exc
    message = "The script has no input_fn, and %s is none of %s." % (kind, ARRAYS)
    raise Refused(message, 415, "header content-type", ARRAYS)


def write_array(predictions: Any, accept: str) -> Any:
    """In place of an `output_fn`."""
    import numpy as np

    if accept == JSON:
        return as_json(predictions)
    out = io.BytesIO()
    if accept == CSV:
        np.savetxt(out, np.asarray(predictions), delimiter=",", fmt="%s")
    elif accept == NPY:
        np.save(out, np.asarray(predictions), allow_pickle=False)
    else:
        message = "The script has no output_fn, and %s is none of %s." % (accept, ARRAYS)
        raise Refused(message, 415, "header accept", ARRAYS)
    return out.getvalue(), accept


# ---------------------------------------------------------------- both


def doing(stage: str, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call something of the script. What it raises says what was running."""
    try:
        return function(*given, **named)
    except (Exception, SystemExit) as exc:
        told = {"stage": stage}
        told.update(getattr(exc, "told", {}))
        if hasattr(exc, "__dict__"):
            exc.told = told  # type: ignore[union-attr]  # any exception may carry it
        raise


def as_json(value: Any) -> str:
    """JSON text of an answer; arrays as lists, NaN and infinity as null.

    Raises:
        TypeError: JSON cannot hold it.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(frames.plain(value))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError("JSON cannot hold a %s; return lists, numbers and texts" % type(value).__name__)


def served_by(script: Any) -> Any:
    """Which of the two kinds a script is."""
    azure = [hasattr(script, name) for name in ("init", "run")]
    if not all(azure) and any(hasattr(script, name) for name in SAGEMAKER):
        return SageMaker
    if azure[1]:
        return Azure
    raise Unfit("it has neither run(data) nor any of %s" % ", ".join(SAGEMAKER))


def load(header: Dict[str, Any]) -> Any:
    """Import a script and have it load its model."""
    folder, code, path = header["path"], header["code"], os.path.join(header["code"], header["script"])
    os.environ.update(AZUREML_MODEL_DIR=folder, AZUREML_ENTRY_SCRIPT=header["script"], SM_MODEL_DIR=folder)
    os.chdir(code)
    for place in (code, os.path.dirname(path)):
        sys.path.insert(0, place)
    sys.path.extend(header["paths"])
    sys.dont_write_bytecode = True
    stem = os.path.splitext(os.path.basename(path))[0]
    name = "fitq_entry_script" if stem in sys.modules else stem
    # as __main__ too: what a training script defined and pickled is found when it is the entry script
    script = doing("import", module_at, path, name, "__main__")
    return served_by(script)(script, folder)


class EntryChild:
    """Answers requests about the one script."""

    def __init__(self) -> None:
        self.served = None  # type: Any

    def answer(self, header: Dict[str, Any], payload: bytearray) -> Tuple[Dict[str, Any], bytes]:
        op = header["op"]
        if op == "load":
            return self.load(header), b""
        if op == "predict":
            began = time.perf_counter()
            request = Request(header["rows"], bytes(payload))
            if request.verb != "POST" and not self.served.is_raw:
                raise Refused("Method not allowed", 405, "HTTP method", "POST")
            reply = self.served.answer(request)
            return {
                "status": reply.status,
                "content_type": reply.content_type,
                "headers": [[str(k), str(v)] for k, v in reply.headers],
                "seconds": time.perf_counter() - began,
            }, reply.body
        if op == "ping":
            return {"memory_bytes": frames.memory_bytes(), "models": []}, b""
        return {}, b""  # warm, unload

    def load(self, header: Dict[str, Any]) -> Dict[str, Any]:
        before = frames.memory_bytes()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self.served = load(header)
        model = self.served.model
        lines = [frames.one_line(w) for w in said if issubclass(w.category, UserWarning)]
        return {
            "kind": self.served.kind,
            "estimator": "" if model is None else type(model).__name__,
            "input": self.served.input,
            "output": self.served.output,
            "warnings": list(OrderedDict.fromkeys(lines))[:5],
            "versions": {"python": platform.python_version(), "packages": frames.versions()},
            "memory_bytes": max(0, frames.memory_bytes() - before),
        }


if __name__ == "__main__":
    frames.main(EntryChild())
