"""Errors as classes, patience with what passes by itself, and nothing sent twice that may not be."""

from __future__ import annotations

from pathlib import Path

import httpx2
import numpy as np
import pytest

from fitq.errors import Conflict, FitqError, InputRejected, NotFound, Unauthorized, Unavailable
from fitq.records import PoolSettings, RegisterRequest, RunRequest
from fitq.sdk.http import FIRST_CONTACT_SECONDS, RESTART_SECONDS, _is_plain_loopback
from tests.sdk.conftest import Routes, Script, refusal

POOLS = httpx2.Response(200, json={"pools": []})
RUN = {
    "id": "r-1",
    "experiment": "e",
    "status": "Queued",
    "created_at": "2026-01-01T00:00:00Z",
    "pool": "default",
}


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "input_rejected", InputRejected),
        (401, "unauthorized", Unauthorized),
        (404, "not_found", NotFound),
        (409, "conflict", Conflict),
        (409, "something newer", Conflict),
    ],
)
def test_an_error_body_becomes_the_class_it_names(status: int, code: str, kind: type[FitqError]) -> None:
    with pytest.raises(kind) as caught:
        Script(refusal(status, code)).client().pools()
    assert (caught.value.message, caught.value.hint) == ("no", "so")


def test_an_error_that_is_not_json_still_names_the_address_and_status() -> None:
    with pytest.raises(FitqError, match="platform:8700 answered 502"):
        Script(httpx2.Response(502, text="<html>bad gateway")).client().post("/v1/models", {})


def test_an_answer_of_some_other_server_is_recognised() -> None:
    with pytest.raises(FitqError, match="not JSON"):
        Script(httpx2.Response(200, text="<html>hello")).client().pools()
    with pytest.raises(FitqError, match="not a RunRecord"):
        Script(httpx2.Response(200, json={"hello": 1})).client().get_run("r")


def test_a_refused_connection_says_how_to_start_the_platform_and_soon() -> None:
    script = Script(httpx2.ConnectError("refused"))
    with pytest.raises(Unavailable, match="fitq up"):
        script.client().pools()
    assert 0 < sum(script.pauses) <= FIRST_CONTACT_SECONDS


def test_a_platform_that_answered_before_gets_the_time_of_a_restart() -> None:
    script = Script(POOLS, *[httpx2.ConnectError("refused")] * 8, POOLS)
    client = script.client()
    client.pools()
    assert client.pools() == []
    assert FIRST_CONTACT_SECONDS < sum(script.pauses) < RESTART_SECONDS


def test_a_503_is_waited_out_as_long_as_it_asks() -> None:
    script = Script(refusal(503, "unavailable", **{"retry-after": "2"}), POOLS)
    assert script.client().pools() == []
    assert script.pauses == [2.0]


def test_patience_ends() -> None:
    script = Script(refusal(503, "unavailable"))
    with pytest.raises(Unavailable):
        script.client().pools()
    assert sum(script.pauses) <= RESTART_SECONDS
    with pytest.raises(Unavailable):
        Script(refusal(503, "unavailable", **{"retry-after": "3600"})).client().pools()


def test_submitting_again_after_a_lost_answer_carries_the_same_key() -> None:
    script = Script(httpx2.ReadError("reset"), httpx2.Response(202, json=RUN))
    assert script.client().submit_run(RunRequest(function="f")).id == "r-1"
    keys = [request.headers["idempotency-key"] for request in script.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_registering_is_never_sent_twice() -> None:
    script = Script(httpx2.ReadError("reset"))
    with pytest.raises(Unavailable):
        script.client().register_model(RegisterRequest(name="m", run="r", path="p"))
    assert len(script.requests) == 1


def test_the_token_goes_along_and_names_cannot_leave_their_segment() -> None:
    routes = Routes({})
    with pytest.raises(NotFound):
        routes.workspace().client.get_run("../pools")
    request = routes.requests[0]
    assert request.headers["authorization"] == "Bearer secret"
    assert request.url.raw_path == b"/v1/runs/..%2Fpools"


def test_only_what_was_said_is_sent() -> None:
    script = Script(httpx2.Response(200, json={"name": "p"}))
    client = script.client()
    client.configure_pool("p", PoolSettings(min_workers=1))
    client.post("/v1/x", {"rows": np.array([[1.0, np.nan]])})
    assert script.requests[1].content == b'{"rows":[[1.0,null]]}'
    script.answers = [httpx2.Response(202, json=RUN)]
    client.submit_run(RunRequest(script="a.py", snapshot="s"))
    assert script.requests[2].content == b'{"snapshot":"s","script":"a.py"}'


def test_an_uploaded_model_is_one_multipart_body(tmp_path: Path) -> None:
    file = tmp_path / "model.joblib"
    file.write_bytes(b"\x80\x04model")
    answer = {
        "name": "m",
        "version": 1,
        "created_at": "2026-01-01T00:00:00Z",
        "path": "model.joblib",
        "sha256": "0" * 64,
        "size_bytes": 7,
        "object_key": "k",
        "scoring_uri": "http://s/models/m/score",
    }
    script = Script(httpx2.Response(201, json=answer))
    model = script.client().register_model(RegisterRequest(name="m"), file)
    assert model.scoring_uri == "http://s/models/m/score"
    body = script.requests[0].content
    assert b'name="metadata"' in body
    assert b'{"name":"m"}' in body
    assert b'filename="model.joblib"' in body
    assert b"\x80\x04model" in body
    with pytest.raises(NotFound, match="no file"):
        script.client().register_model(RegisterRequest(name="m"), tmp_path / "none")


class Broken(httpx2.SyncByteStream):
    """A body that ends too early."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield b"half"
        raise httpx2.ReadError("reset")


def test_a_download_is_whole_or_not_there(tmp_path: Path) -> None:
    script = Script(httpx2.Response(200, stream=Broken()), httpx2.Response(200, content=b"whole"))
    target = script.client().download_artifact("r", "outputs/model.joblib", tmp_path / "sub/model.joblib")
    assert target.read_bytes() == b"whole"
    with pytest.raises(Unavailable):
        Script(lambda _: httpx2.Response(200, stream=Broken())).client().download_artifact(
            "r", "outputs/x", tmp_path / "x"
        )
    assert [p.name for p in tmp_path.iterdir()] == ["sub"]


def test_a_page_leads_to_the_next() -> None:
    def page(request: httpx2.Request) -> dict[str, object]:
        last = request.url.params.get("cursor") == "c2"
        return {"runs": [{**RUN, "id": "r-2" if last else "r-1"}], "next_cursor": None if last else "c2"}

    client = Routes({"GET /v1/runs": page}).workspace().client
    assert [run.id for run in client.iter_runs(tags={"a": "b"})] == ["r-1", "r-2"]


def test_scoring_goes_to_the_scoring_address_with_a_key_if_given() -> None:
    script = Script(httpx2.Response(200, json=[[1.0]]))
    client = script.client()
    assert client.score("iris", '{"data": [[1]]}', version=2) == [[1.0]]
    client.endpoint_score("flowers", {"data": [[1]]}, key="k")
    first, second = script.requests
    assert str(first.url) == "http://platform:8701/models/iris/versions/2/score"
    assert str(second.url) == "http://platform:8701/api/v1/service/flowers/score"
    assert second.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://127.0.0.1:8700/v1", True),
        ("http://localhost:8700", True),
        ("http://[::1]:8700", True),
        ("https://127.0.0.1:8700", False),
        ("http://127.example.org", False),
        ("http://platform:8700", False),
    ],
)
def test_only_plain_loopback_goes_without_proxy_and_certificates(url: str, plain: bool) -> None:
    assert _is_plain_loopback(url) is plain
