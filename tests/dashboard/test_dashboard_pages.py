"""Each page tells what there is, in the workspace's words, and what to do when there is nothing."""

from __future__ import annotations

from html import unescape

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fitq.backend import Backend
from fitq.dashboard.pages import routes
from fitq.errors import Unavailable
from fitq.records import EntryScript, EnvironmentRecord, Failure, FunctionRecord, PoolSettings, RunRequest
from fitq.settings import Settings
from fitq.store.memory import MemoryState
from fitq.submission import submit
from tests.dashboard.samples import (
    IRIS,
    deployed,
    ended,
    point,
    registered,
    running,
    submitted,
    working,
)


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/", "fitq submit train.py"),
        ("/runs", "fitq submit train.py"),
        ("/data", "fitq data upload"),
        ("/environments", "fitq submit train.py --environment"),
        ("/models", "fitq models register"),
        ("/endpoints", "fitq endpoints deploy"),
        ("/pools", "fitq up --functions"),
    ],
)
def test_an_empty_page_says_what_to_do_first(client: TestClient, path: str, command: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert command in page.text


def test_an_empty_platform_that_knows_functions_offers_one(
    client: TestClient, memory_backend: Backend
) -> None:
    memory_backend.state.publish_functions("default", [IRIS])
    assert "fitq call iris --follow" in client.get("/").text


def test_the_overview_shows_what_runs_now_and_what_is_there(
    client: TestClient, memory_backend: Backend
) -> None:
    run = running(memory_backend, submitted(memory_backend))
    registered(memory_backend)
    page = client.get("/").text
    assert "Running now" in page
    assert page.count(f'href="/runs/{run.id}"') == 2
    assert 'href="/models/sklearn-iris"' in page


def test_runs_are_filtered_and_paged(client: TestClient, memory_backend: Backend) -> None:
    made = [submitted(memory_backend).id for _ in range(30)]
    first = client.get("/runs").text
    older = (
        first[first.index("/runs?experiment=&amp;status=&amp;cursor=") :].split('"')[0].replace("&amp;", "&")
    )
    second = client.get(older).text
    shown = [[i for i in made if f'"/runs/{i}"' in page] for page in (first, second)]
    assert [len(s) for s in shown] == [25, 5]
    assert sorted(shown[0] + shown[1]) == sorted(made)
    assert "No run fits" in client.get("/runs?status=Failed").text
    assert made[-1] in client.get("/runs?experiment=flowers&status=Queued").text
    assert client.get("/runs?status=Done").status_code == 400
    assert client.get("/runs?cursor=x").status_code == 400


def test_a_row_shows_the_metrics_logged_last(client: TestClient, memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend))
    points = [point("loss", 0.5), point("kind", "linear"), point("loss", 0.25), point("accuracy", 0.97333)]
    ended(memory_backend, held, metrics=points)
    for _ in range(2):  # the second time from memory
        page = client.get("/runs").text
        assert "loss <b>0.25</b>" in page
        assert "accuracy <b>0.97333</b>" in page


def test_a_completed_run_shows_everything_it_left(client: TestClient, memory_backend: Backend) -> None:
    held = running(memory_backend, submitted(memory_backend, kernel="linear"))
    run = ended(
        memory_backend,
        held,
        log=b"fitting\ndone\n",
        files={"outputs/model.joblib": b"x" * 2048},
        metrics=[point("accuracy", 0.97333), *(point("loss", 1 / n) for n in range(1, 9))],
    )
    registered(memory_backend, run=run.id)
    page = client.get(f"/runs/{run.id}").text
    for expected in (
        "Completed", "fitting\ndone", "0.97333", "<polyline", "outputs/model.joblib", "2.0 KiB", "linear",
        f"fitq models register iris --run {run.id} --path outputs/model.joblib",
        "/models/sklearn-iris/versions/1", "Queued", "Preparing", "Finalizing",
    ):  # fmt: skip
        assert expected in page, expected
    assert "Cancel run" not in page
    assert "data-events" not in page


def test_a_failed_run_shows_why_and_the_fix(client: TestClient, memory_backend: Backend) -> None:
    failure = Failure(
        kind="import_error",
        message="It could not import 'torch'.",
        hint="Ask for an environment with it.",
        lines=["Traceback (most recent call last):", '  File "a.py", line 1', "ImportError: torch"],
        exit_code=1,
        where="a.py:1",
        versions={"numpy": "2.4.6"},
    )
    run = ended(memory_backend, running(memory_backend, submitted(memory_backend)), failure=failure)
    page = unescape(client.get(f"/runs/{run.id}").text)
    for expected in (
        failure.message,
        failure.hint,
        '  File "a.py", line 1',
        "exit code 1",
        "import_error",
        "a.py:1",
        "numpy 2.4.6",
    ):
        assert expected in page
    assert "fitq models register" not in page


def test_a_run_that_goes_on_can_be_read_without_javascript(
    client: TestClient, memory_backend: Backend
) -> None:
    run = running(memory_backend, submitted(memory_backend))
    memory_backend.state.append_log(run.id, b"epoch 1\nepoch 2\n")
    memory_backend.state.append_metrics(run.id, [point("loss", 1.0, step=0), point("loss", 0.5, step=1)])
    page = client.get(f"/runs/{run.id}").text
    assert "epoch 1\nepoch 2" in page
    assert "<polyline" in page
    assert "Cancel run" in page
    assert f'href="/runs/{run.id}/log"' in page
    assert f"/runs/{run.id}/events?attempt=1&offset=16" in page


def test_a_substituted_environment_is_shown_as_such(client: TestClient, memory_backend: Backend) -> None:
    memory_backend.state.publish_functions("default", [IRIS])
    run = submit(memory_backend, RunRequest(function="iris"))
    warning = "Python 3.6.2 was asked for; this is 3.6.15, the nearest on this worker."
    environment = EnvironmentRecord(
        name="mine", python="3.6.15", hash="0" * 64, resolved_to="0" * 12, warnings=[warning]
    )
    changes = {"environment": environment, "warnings": [warning], "sequence": run.sequence + 1}
    memory_backend.state.replace_run(msgspec.structs.replace(run, **changes))
    page = client.get(f"/runs/{run.id}").text
    assert "mine" in page
    assert "000000000000</a> (Python 3.6.15)" in page
    assert warning in page


def test_long_lists_of_a_run_have_pages_of_their_own(client: TestClient, memory_backend: Backend) -> None:
    files = {f"outputs/part-{n:03}.csv": b"" for n in range(120)}
    points = [point(f"m{n:02}", n) for n in range(30)]
    run = ended(
        memory_backend, running(memory_backend, submitted(memory_backend)), files=files, metrics=points
    )
    page = client.get(f"/runs/{run.id}").text
    assert f'href="/runs/{run.id}/artifacts">All 121' in page
    assert f'href="/runs/{run.id}/metrics">All 30' in page
    assert "part-119.csv" in client.get(f"/runs/{run.id}/artifacts?page=4").text
    assert "m29" in client.get(f"/runs/{run.id}/metrics?page=99").text


def test_a_model_shows_schema_origin_versions_and_a_curl(client: TestClient, memory_backend: Backend) -> None:
    registered(memory_backend, version=1, run="iris-abc")
    registered(memory_backend, version=2)
    memory_backend.objects.put(memory_backend.keys.model_about("sklearn-iris"), b'{"aliases":{"champion":1}}')
    assert "champion → 1" in client.get("/models").text
    page = client.get("/models/sklearn-iris").text
    assert "version 2" in page
    assert "curl -sS http://127.0.0.1:8701/models/sklearn-iris/score" in page
    assert "Authorization: Bearer $FITQ_TOKEN" in page
    assert "-d &#39;{&#34;data&#34;: [[5.1, 3.5]]}&#39;" in page
    assert "sepal length" in page
    assert "differs; served by the real one" in page
    pinned = client.get("/models/sklearn-iris/versions/champion").text
    assert "/models/sklearn-iris/versions/1/score" in pinned
    assert 'href="/runs/iris-abc"' in pinned


def test_a_model_with_an_entry_script_shows_it_and_a_body_that_it_takes(
    client: TestClient, memory_backend: Backend
) -> None:
    entry = EntryScript(script="<b>score.py", snapshot="0" * 64, kind="azure", example={"rows": [1]})
    registered(memory_backend, version=1, input_schema=None, methods=["run"], estimator="", entry=entry)
    page = client.get("/models/sklearn-iris").text
    assert "&lt;b&gt;score.py (init and run)" in page
    assert "-d &#39;{&#34;rows&#34;: [1]}&#39;" in page
    assert "cannot be scored" not in page
    assert "The script takes the body as it comes." in page


def test_a_model_without_a_schema_says_that_it_cannot_be_scored(
    client: TestClient, memory_backend: Backend
) -> None:
    registered(memory_backend, input_schema=None)
    page = client.get("/models/sklearn-iris").text
    assert "cannot be scored" in page
    assert "curl" not in page


def test_endpoints_show_traffic_and_no_keys(client: TestClient, memory_backend: Backend) -> None:
    registered(memory_backend)
    deployed(memory_backend)
    memory_backend.objects.put(memory_backend.keys.endpoint_secret(), b"s" * 32)
    page = client.get("/endpoints").text
    assert "http://127.0.0.1:8701/api/v1/service/iris-service/score" in page
    assert "Bearer $FITQ_ENDPOINT_KEY" in page
    assert "90 %" in page
    deployed(memory_backend, name="orphan", model="gone")
    assert "No example row" in client.get("/endpoints").text


def test_a_pool_that_nobody_reads_says_so(client: TestClient, memory_backend: Backend) -> None:
    submitted(memory_backend)
    page = client.get("/pools").text
    assert "1 run waits in pool default, and no worker reads it." in page
    assert "FITQ_POOL=default fitq worker" in page
    assert "nobody works" in client.get("/").text
    working(memory_backend)
    memory_backend.state.put_pool("gpu", PoolSettings())
    page = client.get("/pools").text
    assert "no worker reads it" not in page
    assert "worker-default" in page
    assert "gpu" in page


def test_functions_are_shown_with_signature_or_the_reason_why_not(
    client: TestClient, memory_backend: Backend
) -> None:
    broken = FunctionRecord(name="broken", pool="default", file="broken.py", error="No module named 'torch'")
    script = FunctionRecord(name="run_script", pool="default", description="Runs a submitted folder.")
    memory_backend.state.publish_functions("default", [IRIS, broken, script])
    page = client.get("/pools").text
    assert "(kernel: str = &#39;rbf&#39;, penalty: float = 1.0)" in page
    assert "fitq call iris --parameter kernel=rbf --follow" in page
    assert "broken.py does not import" in page
    assert "run_script" not in page, "folders are submitted, not called"


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/runs/iris-nowhere", "/models/nowhere", "/runs/iris-nowhere/log", "/runs/x/artifacts/y"],
)
def test_what_is_not_there_is_a_page_that_says_so(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is no" in answer.text
    assert '<nav aria-label="Pages">' in answer.text


def test_a_wrong_name_and_a_wrong_verb_are_pages_too(client: TestClient) -> None:
    assert client.get("/runs/A%20B").status_code == 400
    assert client.delete("/runs").status_code == 405


class AwayState(MemoryState):
    """A Redis that does not answer."""

    def list_runs(self, **_: object) -> list:  # type: ignore[type-arg]  # never returns
        raise Unavailable("Redis does not answer.")


def test_a_store_that_is_away_is_503_in_style(memory_backend: Backend, settings: Settings) -> None:
    away = Backend("default", AwayState(), memory_backend.objects, memory_backend.queue)
    client = TestClient(Starlette(routes=routes(away, settings)), follow_redirects=False)
    client.post("/login", data={"token": settings.token})
    answer = client.get("/runs")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "Nothing was lost" in answer.text


def test_a_mistake_of_ours_is_a_page_without_details(
    memory_backend: Backend, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Starlette(routes=routes(memory_backend, settings))
    client = TestClient(app, follow_redirects=False, raise_server_exceptions=False)
    client.post("/login", data={"token": settings.token})
    monkeypatch.setattr(MemoryState, "list_runs", lambda *_, **__: 1 / 0)
    answer = client.get("/runs")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_addresses_of_the_http_interface_are_left_alone(client: TestClient) -> None:
    for path in ("/v1/nothing", "/v1", "/healthz", "/metrics", "/api/2.0/mlflow/x"):
        assert client.get(path).text == "Not Found"
