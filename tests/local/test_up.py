"""`fitq up` as people run it: it says what is wrong, mends itself, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import FUNCTIONS, eventually

FREE = ["--api-port", "0", "--scoring-port", "0"]
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}


def fitq(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fitq", *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def status(folder: Path) -> dict[str, Any]:
    told = fitq(folder, "status", "--json")
    assert told.returncode == 0, told.stderr
    return dict(json.loads(told.stdout))


def alive(pids: list[int]) -> list[int]:
    def lives(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return [pid for pid in pids if lives(pid)]


def zombies(pid: int) -> list[psutil.Process]:
    """Of the children of a process, those that nobody has taken leave of."""
    children = psutil.Process(pid).children()
    return [child for child in children if alive([child.pid]) == [] and child.is_running()]


def everything(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    fitq(tmp_path, "down")


def test_a_platform_lives_restarts_what_crashes_and_goes_without_a_trace(folder: Path) -> None:
    began = fitq(folder, "up", "--detach", "--functions", str(FUNCTIONS), *FREE)
    assert began.returncode == 0, began.stderr
    first = status(folder)
    assert first["url"] in began.stdout
    assert {p["name"] for p in first["programs"]} == {
        "valkey", "seaweedfs", "api", "scoring", "scheduler", "worker-default-1",
    }  # fmt: skip
    config = json.loads((folder / ".fitq/config.json").read_text())

    second = fitq(folder, "up", *FREE)
    assert second.returncode == 2
    assert f"already running at {first['url']}" in second.stderr
    assert "Traceback" not in second.stderr

    crashed = {p["name"]: p["pid"] for p in first["programs"]}
    for name in ("valkey", "worker-default-1"):
        os.kill(crashed[name], signal.SIGKILL)
    eventually(lambda: sum(p["restarts"] for p in status(folder)["programs"]) == 2, what="both restarts")
    assert "program_ended" in (folder / ".fitq/logs/up.log").read_text()
    eventually(lambda: not zombies(first["pid"]), what="nothing of the dead worker is left, not even dead")

    run = fitq(folder, "call", "iris", "--wait")
    assert run.returncode == 0, run.stderr
    (folder / "pool.yaml").write_text("kind: Pool\nname: default\nmin_workers: 2\nmax_workers: 2\n")
    assert fitq(folder, "apply", "-f", "pool.yaml").returncode == 0
    pids = everything(status(folder)["pid"])
    ended = fitq(folder, "down")
    assert ended.returncode == 0, ended.stderr
    assert alive(pids) == []
    assert fitq(folder, "status").returncode == 2

    again = fitq(folder, "up", "--detach", *FREE)
    assert again.returncode == 0, again.stderr
    workers = [p["name"] for p in status(folder)["programs"] if p["pool"]]
    assert workers == ["worker-default-1", "worker-default-2"], "what was declared outlives a restart"
    assert fitq(folder, "diff", "-f", "pool.yaml").returncode == 0
    assert json.loads((folder / ".fitq/config.json").read_text())["fitq_token"] == config["fitq_token"]
    assert run.stdout.strip() in fitq(folder, "runs", "list").stdout


_STUBBORN = """
import subprocess, sys, time
subprocess.Popen(["sleep", "600"], start_new_session=True)
print("on", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_it_not_even_a_run_that_has_left_its_group(folder: Path, number: int) -> None:
    (folder / "stubborn.py").write_text(_STUBBORN)
    words = [sys.executable, "-m", "fitq", "up", "--workers", "2", *FREE]
    with subprocess.Popen(words, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert "http://" in up.stdout.readline()
        run = fitq(folder, "submit", "stubborn.py").stdout.strip()
        eventually(lambda: "on" in fitq(folder, "runs", "logs", run).stdout, what="the run's first line")
        pids = everything(up.pid)
        assert len(pids) >= 10
        os.kill(up.pid, number)
        assert up.wait(60) == (0 if number == signal.SIGINT else -signal.SIGKILL)
    # The worker that executed it tries to hand the run back for some seconds, to a Redis that is gone.
    patient = 1 if number == signal.SIGKILL else 0
    eventually(lambda: len(alive(pids)) <= patient, what="the end of everything")
    for pid in alive(pids):
        assert "worker" in psutil.Process(pid).cmdline()
        psutil.Process(pid).kill()


@pytest.mark.parametrize("option", ["--api-port", "--scoring-port"])
def test_a_port_in_use_is_one_sentence_that_names_the_option(folder: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = fitq(folder, "up", *FREE, option, port)
    assert told.returncode == 2
    assert f"Port {port}" in told.stderr
    assert option in told.stderr
    assert "Traceback" not in told.stderr


def test_a_detached_start_that_fails_says_why(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = fitq(folder, "up", "--detach", "--scoring-port", "0", "--api-port", port)
    assert told.returncode == 2
    assert f"Port {port}" in told.stderr
    assert fitq(folder, "down").returncode == 2


def test_a_missing_functions_folder_is_said_before_anything_starts(folder: Path) -> None:
    told = fitq(folder, "up", "--functions", "nowhere", *FREE)
    assert told.returncode == 2
    assert "nowhere" in told.stderr
    assert not (folder / ".fitq").exists()
