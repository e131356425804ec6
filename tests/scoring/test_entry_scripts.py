"""Entry scripts as their authors wrote them: Azure's `init` and `run`, SageMaker's `model_fn` …"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import openapi_spec_validator
import psutil
import pytest
from sklearn.datasets import load_iris

from fitq.environments.interpreters import find_interpreters
from fitq.errors import FitqError, ModelUnusable
from fitq.records import ModelRecord
from fitq.scorer.entry import EntryCode, lay_out
from fitq.scorer.entry_inspection import inspect_entry
from fitq.scoring.turns import Turns
from fitq.snapshots import pack
from tests.conftest import eventually
from tests.scoring.conftest import KEYS, TOKEN, Scoring, assert_explained, assert_one_error_shape, running

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
#: As in Azure's documentation: the sample of the decorator tells what is taken.
DECORATED = """
import os, joblib, numpy as np
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType

def init():
    global model
    model = joblib.load(os.path.join(os.getenv("AZUREML_MODEL_DIR"), "model.joblib"))

@input_schema("data", NumpyParameterType(np.array([[5.1, 3.5, 1.4, 0.2]])))
@output_schema(NumpyParameterType(np.array([0])))
def run(data):
    assert isinstance(data, np.ndarray) and data.dtype == float
    if data[0][0] > 99:
        raise ValueError("no flower is that long")
    return model.predict(data).tolist()
"""
#: As in Azure's tutorials of 2019: text comes, and text in JSON goes.
PLAIN = """
import json, joblib, numpy as np
from azureml.core.model import Model
from helpers import names, nearest

def init():
    global model
    model = joblib.load(Model.get_model_path("sklearn-iris"))
    print("the model is there")

def run(raw_data):
    data = json.loads(raw_data)["data"]
    if data == "die":
        import os
        os._exit(3)
    if data == "exit":
        raise SystemExit("enough")
    if data == "wait":
        import time
        time.sleep(60)
    return {"species": [names[i] for i in nearest(model, np.array(data))], "nan": float("nan")}
"""
RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request):
    if request.method == "GET":
        return AMLResponse({"path": request.full_path, "args": request.args}, 200, json_str=True)
    return AMLResponse(request.get_data()[::-1], 201, {"X-Turned": "yes", "Content-Length": "7"}, "image/png")
"""
SAGEMAKER = """
import argparse, os, json, joblib, numpy as np

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

def input_fn(request_body, content_type):
    if content_type == "text/csv":
        return np.array([[float(v) for v in line.split(",")] for line in request_body.splitlines()])
    raise ValueError("cannot read " + content_type)

def predict_fn(input_data, model):
    return [int(np.abs(model - row).sum(axis=1).argmin()) for row in input_data]

def output_fn(prediction, accept):
    return json.dumps({"top": prediction}), "application/json"

if __name__ == "__main__":
    argparse.ArgumentParser().parse_args()
"""
#: All that is left out is done as SageMaker's container does it.
MODEL_ALONE = """
import joblib, os

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, os.listdir(model_dir)[0]))
"""
HELPERS = """
import numpy as np

names = ["setosa", "versicolor", "virginica"]

def nearest(centers, rows):
    return [int(np.abs(centers - row).sum(axis=1).argmin()) for row in rows]
"""


OLD = sorted((i for i in find_interpreters() if i.version < (3, 9, 0)), key=lambda i: i.version)


class Scripts:
    """Registers scripts with a model, as the registry does."""

    def __init__(self, scoring: Scoring, folder: Path, iris: Any) -> None:
        self.scoring, self._folder = scoring, folder
        self.iris, self.centers = folder / "iris.joblib", folder / "centers.joblib"
        joblib.dump(iris, self.iris)
        rows, labels = load_iris(return_X_y=True)
        # importing scikit-learn takes longer than all the rest, and most of these scripts need none of it
        joblib.dump(np.array([rows[labels == k].mean(axis=0) for k in range(3)]), self.centers)

    def laid_out(self, text: str, model: Path, **more: str) -> tuple[EntryCode, bytes]:
        source = self._folder / f"source-{len(list(self._folder.iterdir()))}"
        source.mkdir()
        for name, content in {"score.py": text, **{f"{n}.py": t for n, t in more.items()}}.items():
            (source / name).write_text(content)
        packed = pack(source).data
        return lay_out("score.py", packed, {"model.joblib": model}, source), packed

    def keep(
        self,
        name: str,
        text: str,
        sample_input: list[Any] | None = None,
        model: Path | None = None,
        **more: str,
    ) -> ModelRecord:
        model = model or self.centers
        entry, packed = self.laid_out(text, model, **more)
        snapshot = hashlib.sha256(packed).hexdigest()
        self.scoring.objects.put(KEYS.snapshot(snapshot), packed)
        facts = inspect_entry(entry, snapshot, sample_input=sample_input)
        return self.scoring.keep(
            name, model.read_bytes(), facts, entry=facts.entry, path="outputs/model.joblib"
        )


@pytest.fixture(scope="module")
def own_scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scoring]:
    yield from running(tmp_path_factory.mktemp("models"), score_seconds=2.0)


@pytest.fixture(scope="module")
def scripts(own_scoring: Scoring, tmp_path_factory: pytest.TempPathFactory, iris: Any) -> Scripts:
    return Scripts(own_scoring, tmp_path_factory.mktemp("scripts"), iris)


@pytest.fixture(scope="module")
def decorated(scripts: Scripts) -> ModelRecord:
    return scripts.keep("decorated", DECORATED, model=scripts.iris)


@pytest.fixture(scope="module")
def plain(scripts: Scripts) -> ModelRecord:
    return scripts.keep("plain", PLAIN, ROWS, helpers=HELPERS)


@pytest.fixture
def post(own_scoring: Scoring) -> Callable[..., Any]:
    return lambda name, body=None, **given: own_scoring.post(f"/models/{name}/score", body, **given)


def test_a_decorated_run_gets_arrays_and_its_schema_is_served(
    own_scoring: Scoring, decorated: ModelRecord, post: Callable[..., Any]
) -> None:
    answer = post("decorated", {"data": ROWS})
    assert (answer.status_code, answer.json()) == (200, [0, 2])
    assert answer.headers["x-fitq-model"] == "decorated:1"
    assert float(answer.headers["x-ms-run-fn-exec-ms"]) > 0

    swagger = own_scoring.get("/models/decorated/swagger.json").json()
    assert swagger["definitions"]["ServiceInput"]["properties"]["data"]["format"] == "numpy.ndarray"
    assert swagger["definitions"]["ServiceInput"]["example"] == {"data": [[5.1, 3.5, 1.4, 0.2]]}
    assert swagger["definitions"]["ServiceOutput"]["example"] == [0]
    about = own_scoring.get("/models/decorated").json()
    assert (about["state"], about["replay"]["state"]) == ("Healthy", "same")
    assert about["entry"]["kind"] == "azure"


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        ({"json": {"rows": ROWS}}, 400, "A value is not provided for the 'data' parameter."),
        ({"json": [1]}, 400, "POST body should be a JSON dictionary."),
        ({"content": b""}, 400, "POST body is empty. Expecting a JSON dictionary."),
        ({"content": b"{"}, 400, "The body is not JSON"),
        ({"json": {"data": [1.0]}}, 400, "Invalid input array"),
        ({"json": {"data": "text"}}, 400, ""),
        ({"content": b"1,2", "headers": {"content-type": "text/csv"}}, 415, "Expects Content-Type"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_the_decorators_refuse_is_the_callers_to_mend(
    own_scoring: Scoring,
    decorated: ModelRecord,
    post: Callable[..., Any],
    given: dict[str, Any],
    status: int,
    message: str,
) -> None:
    answer = post("decorated", **given)
    assert message in assert_one_error_shape(answer, status)["message"]
    assert_explained(own_scoring, answer)


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
@pytest.mark.parametrize("name", ["decorated", "plain"])
def test_the_swagger_of_a_script_is_valid_and_its_example_scores(
    own_scoring: Scoring,
    decorated: ModelRecord,
    plain: ModelRecord,
    post: Callable[..., Any],
    name: str,
    version: str,
) -> None:
    found = own_scoring.get(f"/models/{name}/swagger.json?version={version}").json()
    openapi_spec_validator.validate(found)
    schemas = found["definitions"] if version == "2" else found["components"]["schemas"]
    answer = post(name, schemas["ServiceInput"]["example"])
    assert (answer.status_code, answer.json()) == (200, schemas["ServiceOutput"]["example"])


def test_what_the_script_raises_fails_that_request_alone(
    decorated: ModelRecord, post: Callable[..., Any]
) -> None:
    answer = post("decorated", {"data": [[100.0, 1, 1, 1]]})
    body = assert_one_error_shape(answer, 500)
    assert body["message"].startswith("An unexpected error occurred in scoring script.")
    assert "no flower is that long" in body["error"]
    assert "run() of score.py" in body["hint"]
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert post("decorated", {"data": ROWS}).json() == [0, 2]


def test_a_plain_run_gets_the_text_and_finds_the_model_and_its_own_modules(
    plain: ModelRecord, post: Callable[..., Any]
) -> None:
    assert post("plain", {"data": ROWS}).json() == {"species": ["setosa", "virginica"], "nan": None}
    assert assert_one_error_shape(post("plain", {"data": "exit"}), 500)["error"] == "SystemExit: enough"
    assert assert_one_error_shape(post("plain", content=b"\xff"), 400)["message"].startswith(
        "The body is not"
    )


def test_a_script_that_ends_its_process_is_started_again(
    own_scoring: Scoring, plain: ModelRecord, decorated: ModelRecord, post: Callable[..., Any]
) -> None:
    body = assert_one_error_shape(post("plain", {"data": "die"}), 503)
    assert "exit code 3" in body["message"]
    assert post("plain", {"data": ROWS}).status_code == 200
    assert "took longer" in assert_one_error_shape(post("plain", {"data": "wait"}), 503)["message"]
    assert post("plain", {"data": ROWS}).status_code == 200
    assert post("decorated", {"data": ROWS}).json() == [0, 2]


def test_each_script_has_a_process_of_its_own_which_holds_no_credential(
    own_scoring: Scoring, plain: ModelRecord, decorated: ModelRecord, post: Callable[..., Any]
) -> None:
    for name in ("plain", "decorated"):
        post(name, {"data": ROWS})
    scorers = own_scoring.service.scorers.all
    pids = {scorers[""].pid, scorers["plain:1"].pid, scorers["decorated:1"].pid}
    assert len(pids) == 3
    assert os.getpid() not in pids
    known = psutil.Process(scorers["decorated:1"].pid).environ()
    assert not {name for name in known if name.startswith("FITQ_")}
    os.kill(scorers["decorated:1"].pid, signal.SIGKILL)
    eventually(lambda: post("decorated", {"data": ROWS}).status_code == 200, what="another process")


def test_no_more_than_may_wait_for_a_script_and_none_for_longer_than_it_may() -> None:
    async def queue() -> list[str]:
        turns, told = Turns(), list[str]()

        async def ask(seconds: float) -> None:
            try:
                async with turns.turn("slow:1", 2, seconds):
                    await held.wait()
                    told.append("answered")
            except FitqError as exc:
                told.append(exc.code)

        held = asyncio.Event()
        asked = [asyncio.create_task(ask(s)) for s in (60, 60, 60, 0.01, 60)]
        await asyncio.wait(asked[3:])
        held.set()
        await asyncio.gather(*asked)
        return told

    assert asyncio.run(queue()) == ["too_many_requests", "unavailable", *["answered"] * 3]


def test_raw_requests_and_answers_pass_whole(scripts: Scripts, post: Callable[..., Any]) -> None:
    scripts.keep("raw", RAW)
    answer = post("raw", content=b"\x00\xffpng", headers={"content-type": "image/png"})
    assert (answer.status_code, answer.content) == (201, b"gnp\xff\x00")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-turned"] == "yes"
    assert answer.headers["content-length"] == "5"


def test_a_get_reaches_a_script_that_takes_requests_and_no_other(
    own_scoring: Scoring, scripts: Scripts, decorated: ModelRecord, iris: Any
) -> None:
    scripts.keep("raw-too", RAW)
    told = own_scoring.get("/models/raw-too/score?q=a%20b&q=c&e=")
    assert told.json() == {"path": "/models/raw-too/score?q=a%20b&q=c&e=", "args": {"q": "a b", "e": ""}}
    own_scoring.deploy("raw-service", "raw-too", {"1": 100})
    assert own_scoring.get("/api/v1/service/raw-service/score").json()["args"] == {}
    own_scoring.register("scriptless", iris)
    for name in ("decorated", "scriptless"):
        refused = own_scoring.get(f"/models/{name}/score")
        assert assert_one_error_shape(refused, 405)["message"] == "Method not allowed"
        assert refused.headers["allow"] == "POST"
        assert_explained(own_scoring, refused)
    deleted = own_scoring.client.delete("/models/raw-too/score", headers={"authorization": f"Bearer {TOKEN}"})
    assert_one_error_shape(deleted, 405)


def test_a_sagemaker_script_reads_predicts_and_writes(
    own_scoring: Scoring, scripts: Scripts, post: Callable[..., Any]
) -> None:
    record = scripts.keep("maker", SAGEMAKER)
    assert record.entry is not None
    assert record.entry.kind == "sagemaker"
    assert record.estimator == "ndarray"
    text = "\n".join(",".join(map(str, row)) for row in ROWS)
    sent = {"content": text, "headers": {"content-type": "text/csv"}}
    for path in ("/models/maker/invocations", "/models/maker/score"):
        answer = own_scoring.post(path, **sent)
        assert (answer.status_code, answer.json()) == (200, {"top": [0, 2]})
    assert "cannot read application/json" in assert_one_error_shape(post("maker", ROWS), 500)["error"]


def test_what_a_sagemaker_script_leaves_out_is_done_as_there(
    scripts: Scripts, post: Callable[..., Any]
) -> None:
    scripts.keep("alone", MODEL_ALONE, ROWS, scripts.iris)
    assert post("alone", ROWS).json() == [0, 2]
    text = {"content": "5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3"}
    answer = post("alone", **text, headers={"content-type": "text/csv", "accept": "text/csv"})
    assert answer.text.split() == ["0", "2"]
    assert_one_error_shape(post("alone", {"a": 1}), 400)
    assert_one_error_shape(post("alone", **text, headers={"content-type": "image/png"}), 415)
    assert_one_error_shape(post("alone", ROWS, headers={"accept": "image/png"}), 415)


def test_protocols_of_columns_and_tensors_say_where_to_post_instead(
    own_scoring: Scoring, decorated: ModelRecord
) -> None:
    asked = {"inputs": []}
    for answer in (
        own_scoring.post("/v2/models/decorated/infer", asked),
        own_scoring.post("/v1/models/decorated:predict", {"instances": ROWS}),
        own_scoring.get("/v2/models/decorated"),
    ):
        assert "/models/decorated" in assert_one_error_shape(answer, 400)["hint"]
    assert own_scoring.get("/v2/models/decorated/ready").json()["ready"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "neither run(data) nor any of model_fn"),
        ("import nothing_like_it", "needs 'nothing_like_it'"),
        (
            "def init(): raise OSError('no file')\ndef run(d): pass",
            "score.py raised in init(): OSError: no file",
        ),
        ("def run(d:", "score.py does not import: SyntaxError"),
        ("def init(): pass\ndef run(d): raise ValueError(d)", "does not answer its sample input"),
        ("import os\nos._exit(4)", "exit code 4"),
        ("def init():\n  while True: pass\ndef run(d): pass", "took longer than 2 seconds"),
        ("def init(): bytearray(10**10)\ndef run(d): pass", "MemoryError"),
    ],
    ids=lambda value: value[:20],
)
def test_a_script_that_cannot_be_served_is_refused_with_the_reason(
    scripts: Scripts, text: str, message: str
) -> None:
    entry, _ = scripts.laid_out(text, scripts.centers)
    with pytest.raises(ModelUnusable) as refused:
        inspect_entry(entry, "0" * 64, sample_input=ROWS, seconds=2, memory_bytes=500_000_000)
    assert message in refused.value.message


@pytest.mark.skipif(not OLD, reason="no Python older than 3.9 is here")
def test_a_script_runs_in_the_oldest_python_that_is_here(scripts: Scripts) -> None:
    """Nothing is installed there; Azure's modules are ours."""
    text = (
        "from azureml.core.model import Model\n"
        "from azureml.contrib.services.aml_response import AMLResponse\n"
        "def init():\n    global data\n    data = open(Model.get_model_path('any'), 'rb').read()\n"
        "def run(raw):\n    return AMLResponse([len(data), raw], 200, json_str=True)\n"
    )
    entry, _ = scripts.laid_out(text, scripts.centers)
    facts = inspect_entry(entry, "0" * 64, sample_input=[1], interpreter=OLD[0].path)
    assert facts.versions.python == OLD[0].release
    assert facts.golden is not None
    answered = json.loads(facts.golden.answers["run"].data)
    assert answered == [scripts.centers.stat().st_size, '{"data": [1]}']


def test_a_script_that_answers_otherwise_than_at_registration_does_not_answer(
    own_scoring: Scoring, scripts: Scripts, post: Callable[..., Any]
) -> None:
    text = "import os\ndef init(): pass\ndef run(d): return [1.0, len(os.environ.get('TZ', ''))]"
    record = scripts.keep("moody", text, ROWS)
    assert record.golden
    assert post("moody", {"data": ROWS}).json() == [1.0, len(os.environ.get("TZ", ""))]
    other = scripts.keep("moodier", text.replace("1.0", "2.0"), ROWS)
    own_scoring.change(other, golden=record.golden)
    own_scoring.objects.put(
        KEYS.model_golden("moodier", record.golden),
        own_scoring.objects.get(KEYS.model_golden("moody", record.golden)) or b"",
    )
    body = assert_one_error_shape(post("moodier", {"data": ROWS}), 503)
    assert "answered 1.0 when it was registered and 2.0 now" in body["message"]
