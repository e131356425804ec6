"""The workspace against the real API on memory stores, and what a person sees of long transfers."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from fitq import Experiment, FunctionCall, Run, ScriptRunConfig, Workspace
from fitq.errors import NotFound, Unauthorized, Unavailable
from fitq.sdk import progress
from fitq.sdk.client import Client
from tests.sdk.conftest import POOL_SETTINGS, Script, refusal


@pytest.fixture
def ws(platform: Client) -> Workspace:
    return Workspace(client=platform)


def test_a_written_configuration_is_found_again_and_is_private(
    ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FITQ_URL", "FITQ_SCORING_URL", "FITQ_TOKEN", "FITQ_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    ws.write_config(tmp_path)
    ws.write_config(tmp_path)
    file = tmp_path / ".azureml/config.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = Workspace.from_config(tmp_path)
    assert (found.name, found.client.url) == (ws.name, ws.client.url)
    assert found.client.pools() is not None
    assert "test-token" not in repr(found) + repr(found.client.connection)


def test_a_run_is_submitted_listed_and_canceled(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print()")
    experiment = Experiment(ws, "flowers")
    config = ScriptRunConfig(tmp_path, "./train.py", ["--penalty", 1.0])
    first = experiment.submit(config, tags={"best": None, "n": 1})
    second = experiment.submit(config)
    assert first.id != second.id
    assert [r.id for r in experiment.get_runs()] == [second.id, first.id]
    assert [r.id for r in experiment.get_runs(tags="best")] == [first.id]
    assert [r.id for r in experiment.get_runs(tags={"n": 1})] == [first.id]
    assert list(ws.experiments) == ["flowers"]
    assert Run.get(ws, first.id).record.arguments == ["--penalty", "1.0"]
    assert first.get_metrics() == {}
    first.cancel()
    first.cancel()
    assert first.status == "Canceled"
    target = ws.client.download_snapshot(second.id, tmp_path / "again.tar.gz")
    assert target.stat().st_size > 0


def test_an_unknown_run_is_not_found_nor_a_function_before_a_worker_told_of_any(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitq.sdk.http.RESTART_SECONDS", 0.5)  # as long as it would wait for a worker
    with pytest.raises(Unavailable, match="No worker has said yet"):
        Experiment(ws, "e").submit(FunctionCall(function="nothing"))
    with pytest.raises(NotFound):
        ws.get_run("nothing-1")


def test_pools_are_configured_and_seen(ws: Workspace) -> None:
    assert ws.client.configure_pool("cpu", POOL_SETTINGS).max_workers == 4
    assert "cpu" in ws.compute_targets


def test_a_wrong_token_is_refused_with_the_way_out(platform: Client) -> None:
    with pytest.raises(Unauthorized, match="FITQ_TOKEN"):
        Client(platform.url, "wrong").pools()


def test_waiting_for_longer_than_a_second_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.sdk.test_http import POOLS

    script = Script(*[refusal(503, "unavailable", **{"retry-after": "1"})] * 3, POOLS)
    script.client().pools()
    assert capsys.readouterr().err.count("Trying again") == 1


def test_a_long_transfer_says_how_far_it_is_and_a_short_one_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.5, 1.5, 1.5, 2.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    out = io.StringIO()
    with progress.Progress("Uploading x", 4 << 20, out) as moving:
        moving.add(1 << 20)
        assert out.getvalue() == ""
        moving.add(1 << 20)
        moving.add(1 << 20)
    assert out.getvalue() == "Uploading x: 2.0 MiB of 4.0 MiB\n"
