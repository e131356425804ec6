"""The story of the README, typed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import urllib3

from fitq.local.stack import Stack
from tests.cli.conftest import Fitq
from tests.conftest import eventually

TRAIN = """
import sys, joblib
from azureml.core import Run
from sklearn.linear_model import LogisticRegression
run = Run.get_context()
for step in range(3):
    run.log("loss", 1 / (step + 1))
joblib.dump(LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"]), "outputs/model.joblib")
print("arguments", *sys.argv[1:])
"""


def test_a_function_from_call_to_scored_row(fitq: Fitq) -> None:
    assert "kernel: str = 'rbf'" in fitq("functions", "list").out
    called = fitq(
        "call", "iris", "-p", "kernel=linear", "-p", "penalty=2", "--follow", "--register", "flowers"
    )
    assert called.code == 0, called.err
    run = called.out.strip()
    assert called.out == f"{run}\n", "the id alone, so that scripts can use it"
    assert "Confusion matrix" in called.err
    shown = json.loads(fitq("runs", "show", run, "--json").out)
    assert shown["parameters"] == {"kernel": "linear", "penalty": 2.0}
    assert fitq("runs", "logs", run).out.startswith("Confusion matrix")
    assert json.loads(fitq("runs", "metrics", run, "--json").out)["Kernel type"][0]["value"] == "linear"
    assert run in fitq("runs", "list", "--status", "completed").out

    assert "flowers" in fitq("models", "list").out
    scored = fitq("score", "flowers", "--data", "[[5.1, 3.5, 1.4, 0.2]]")
    assert json.loads(scored.out) == [0]
    assert "curl " in scored.err
    assert fitq("models", "alias", "flowers", "champion", "1").code == 0
    wide = fitq(
        "score", "flowers:champion", "--method", "decision_function", "--data", '{"data": [[1, 1, 1, 1]]}'
    )
    assert len(json.loads(wide.out)[0]) == 3
    assert json.loads(fitq("score", "flowers:1", "--json").out), "the model's own example"
    assert fitq("score", "flowers", "--data", "[[1, 2]]").code == 2


def test_a_script_with_its_folder_arguments_and_files(fitq: Fitq, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text(TRAIN)
    (work / "notes.txt").write_text("kept at home")
    (work / ".fitqignore").write_text("*.txt\n")
    options = ["--experiment", "cli", "--tag", "by=ana", "--wait"]
    told = fitq("submit", "work/train.py", *options, "--", "--x", "1.0")
    assert told.code == 0, told.err
    assert "Submitting 2 files" in told.err
    run = told.out.strip()
    assert fitq("runs", "logs", run, "--follow").out == "arguments --x 1.0\n"
    assert run in fitq("runs", "list", "--experiment", "cli", "--tag", "by=ana").out
    assert "loss" in fitq("runs", "metrics", run, "--all").out
    assert "outputs/model.joblib" in fitq("runs", "artifacts", run).out
    where = fitq("runs", "download", run, "outputs", "--to", "got").out.strip()
    assert Path(where).stat().st_size > 0

    again = fitq("runs", "rerun", run, "--follow")
    assert again.code == 0
    compared = json.loads(fitq("runs", "compare", run, again.out.strip(), "--json").out)
    assert compared[run]["arguments"] == compared[again.out.strip()]["arguments"] == "--x 1.0"
    first, second = (
        json.loads(fitq("runs", "show", r, "--json").out)["environment"] for r in (run, again.out.strip())
    )
    assert first == second
    assert first["resolved_to"] == "worker"
    listed = json.loads(fitq("runs", "list", "--experiment", "cli", "--oldest-first", "--json").out)
    assert [r["id"] for r in listed] == [run, again.out.strip()]

    assert fitq("models", "register", "answer", "--run", run).out == "answer:1\n"
    assert (
        fitq("models", "register", "answer", "--file", where, "--sample-input", "[[0.5]]").out == "answer:2\n"
    )
    wrong = fitq("models", "register", "answer", "--run", run, "--path", "outputs/modle.joblib")
    assert wrong.code == 2
    assert "outputs/model.joblib" in wrong.err
    assert Path(fitq("models", "download", "answer:1", "--to", "copy.joblib").out.strip()).is_file()


def test_an_endpoint_lives_and_goes(fitq: Fitq) -> None:
    assert fitq("call", "iris", "--register", "roses").code == 0
    deployed = fitq("endpoints", "deploy", "garden", "--model", "roses")
    assert deployed.code == 0, deployed.err
    keys = json.loads(fitq("endpoints", "keys", "garden", "--json").out)

    def scores_with(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        body = {"data": [[5.1, 3.5, 1.4, 0.2]]}
        return urllib3.request("POST", deployed.out.strip(), json=body, headers=headers).status

    assert eventually(lambda: scores_with(keys["primary"]) == 200)
    fresh = fitq("endpoints", "rotate", "garden", "primary").out.strip()
    assert fresh != keys["primary"]
    assert eventually(lambda: scores_with(fresh) == 200)
    assert "garden" in fitq("endpoints", "list").out
    assert "100 %" in fitq("endpoints", "show", "garden").out
    assert fitq("endpoints", "delete", "garden").code == 0
    assert fitq("endpoints", "show", "garden").code == 2


def test_a_model_that_was_not_saved_below_outputs_is_registered_all_the_same(
    fitq: Fitq, tmp_path: Path
) -> None:
    script = (
        "from sklearn.linear_model import LinearRegression\nLinearRegression().fit([[0.0], [1.0]], [0, 2])"
    )
    (tmp_path / "fit.py").write_text(script)
    told = fitq("submit", "fit.py", "--wait")
    (step,) = re.findall(r"fitq (models register) MODEL (--run \S+)$", told.err, re.MULTILINE)
    kept = fitq(*step[0].split(), "never-saved", *step[1].split())
    assert kept.out == "never-saved:1\n", kept.err


def test_a_run_that_fails_is_exit_1_with_its_last_lines(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('no such flower')")
    told = fitq("submit", "broken.py", "--follow")
    assert told.code == 1
    assert "ValueError: no such flower" in told.err
    run = told.out.strip()
    assert fitq("runs", "logs", run, "--follow").code == 1
    assert "no such flower" in fitq("runs", "show", run).out


def test_a_terminal_obeys_nothing_that_a_run_printed_or_is_named(fitq: Fitq, tmp_path: Path) -> None:
    evil = "\\x1b[2J\\x1b]52;c;cm0gLXJm\\x07\\x00 \\x1b[32mgreen\\x1b[0m"
    (tmp_path / "evil.py").write_text(f"print('{evil}'); raise ValueError('{evil}')")
    run = fitq("submit", "evil.py", "--tag", "t=\x1b[2Jx", "--wait").out.strip()
    assert "\x1b[2J\x1b]52;c;cm0gLXJm\x07\x00 \x1b[32mgreen" in fitq("runs", "logs", run).out, "as printed"
    for words in (["logs", run, "--follow"], ["show", run]):
        shown = on_a_terminal([sys.executable, "-m", "fitq", "runs", *words])
        assert "green" in shown, words
        assert set(re.findall(r"\x1b(?!\[[0-9;]*m).?|[\x00-\x08\x9b]", shown)) == set(), words


def on_a_terminal(words: list[str]) -> str:
    """All that a command writes to the terminal it runs in."""
    ours, terminal = pty.openpty()
    with subprocess.Popen(words, stdin=terminal, stdout=terminal, stderr=terminal):
        os.close(terminal)
        written = b""
        with contextlib.suppress(OSError):  # the way in which a terminal ends
            while piece := os.read(ours, 4096):
                written += piece
    os.close(ours)
    return written.decode()


def test_ctrl_c_while_following_leaves_the_run_alone(fitq: Fitq, platform: Stack, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('on', flush=True)\ntime.sleep(600)")
    run = fitq("submit", "slow.py").out.strip()
    words = [sys.executable, "-m", "fitq", "runs", "logs", run, "--follow"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "on\n"
        os.kill(following.pid, signal.SIGINT)
        _, err = following.communicate(timeout=20)
    assert following.returncode == 130
    assert f"fitq runs logs {run} --follow" in err
    assert "Traceback" not in err
    assert json.loads(fitq("runs", "show", run, "--json").out)["status"] == "Running"
    assert fitq("runs", "cancel", run).code == 0
    assert fitq("runs", "logs", run, "--follow").code == 1


def test_doctor_finds_all_well_and_the_dashboard_link_opens(fitq: Fitq) -> None:
    told = fitq("doctor")
    assert told.code == 0, told.out
    assert "FAIL" not in told.out
    assert all(f["ok"] for f in json.loads(fitq("doctor", "--json").out))
    link = fitq("dashboard").out.strip()
    answer = urllib3.request("GET", link, redirect=False)
    assert answer.status in (302, 303)
    assert "set-cookie" in answer.headers


def test_pools_can_be_scaled(fitq: Fitq) -> None:
    told = fitq("pools", "scale", "elsewhere", "0", "--max", "2")
    assert told.code == 0, told.err
    pool = next(p for p in json.loads(fitq("pools", "list", "--json").out) if p["name"] == "elsewhere")
    assert (pool["min_workers"], pool["max_workers"], pool["workers"]) == (0, 2, 0)
