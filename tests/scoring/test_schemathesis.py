"""Schemathesis reads what a model says of itself over HTTP, and tries to find it lying."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from bodies_lab.keeping import keep
from bodies_lab.kinds import kinds

from fitq.scoring.app import create_app
from fitq.scoring.peers import Peers
from fitq.settings import Settings
from fitq.store.memory import MemoryObjects
from tests.conftest import eventually
from tests.scoring.conftest import TOKEN

SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Scoring at a port, with the models of the bodies' lab."""
    folder, objects = tmp_path_factory.mktemp("models"), MemoryObjects()
    for kind in kinds():
        keep(objects, kind.save(folder), kind.facts())
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        app = create_app(Settings(token=TOKEN, scoring_url=address), objects, Peers(folder))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            eventually(lambda: server.started, what="scoring")
            yield address
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.mark.parametrize(
    ("model", "version"), [("array", "3.1"), ("multi", "3"), ("members", "2")], ids=["3.1", "3", "2"]
)
def test_schemathesis_finds_no_lie(address: str, model: str, version: str, tmp_path: Path) -> None:
    left_out = ["ignored_auth"]  # it would have to be told which addresses are open to everybody
    if version == "2":
        left_out.append("negative_data_rejection")  # more is taken than this version has words for
    done = subprocess.run(
        [
            SCHEMATHESIS, "run", f"{address}/models/{model}/swagger.json?version={version}",
            "--header", f"Authorization: Bearer {TOKEN}", "--exclude-checks", ",".join(left_out),
            "--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--generation-deterministic",
            "--no-shrink", "--suppress-health-check", "all",  # they are about time
            "--no-color",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
