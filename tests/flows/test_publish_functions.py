"""Functions as code: workers take over what is published; runs keep what they were submitted with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fitq import Workspace
from fitq.cli.main import run as fitq
from fitq.errors import InvalidRequest
from fitq.local.stack import Stack
from fitq.records import RunRecord, RunRequest
from tests.conftest import eventually

CODE = '''
from pathlib import Path
from fitq import RunContext, function
from words import WORD

@function
def shout(run: RunContext, gate: str = "", times: int = {times}) -> None:
    """Say a word."""
    run.log("started", 1)
    while gate and not Path(gate).exists():
        pass
    import words_of_later
    run.log("word", WORD + words_of_later.MARK * times)
'''
DOCUMENT = "kind: Function\nname: shout\npool: small\nfolder: code\n"


@pytest.fixture(autouse=True)
def commands_find_the_platform(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITQ_URL", stack.settings.url)
    monkeypatch.setenv("FITQ_TOKEN", stack.settings.token)


def write(folder: Path, word: str, times: int) -> None:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "shout.py").write_text(CODE.format(times=times))
    (folder / "code" / "words.py").write_text(f"WORD = {word!r}\n")
    (folder / "code" / "words_of_later.py").write_text("MARK = '!'\n")
    (folder / "fitq.yaml").write_text(DOCUMENT)


def word_of(ws: Workspace, run: RunRecord) -> object:
    ended = eventually(lambda: (r := ws.client.get_run(run.id)).status.is_final and r)
    assert ended.status == "Completed", ended.failure
    return ws.client.metrics(run.id)["word"][0].value


def knows(ws: Workspace, times: int) -> bool:
    """Whether workers have listed the version with this default."""
    found = [f for f in ws.client.functions() if f.name == "shout"]
    return bool(found) and found[0].parameters[1].default == times


def submit(ws: Workspace, **asked: object) -> RunRecord:
    return ws.client.submit_run(RunRequest(function="shout", **asked))  # type: ignore[arg-type]


def test_a_folder_is_published_taken_over_and_rolled_back_while_runs_keep_theirs(
    ws: Workspace,
    stack: Stack,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    apply = ["apply", "-f", str(tmp_path / "fitq.yaml")]
    workers = {p.pid for p in stack_workers(stack)}

    write(tmp_path, "one", times=1)
    assert fitq(apply) == 0
    eventually(lambda: knows(ws, 1), what="the first version being listed")
    gate = Path(stack.settings.run_paths) / "gate"
    held = submit(ws, parameters={"gate": str(gate)})
    eventually(lambda: ws.client.metrics(held.id), what="the run being under way")

    write(tmp_path, "two", times=2)
    assert fitq(apply) == 0
    assert fitq(apply) == 0, "again, nothing changes"
    eventually(lambda: knows(ws, 2), what="the second version being listed")
    assert word_of(ws, submit(ws)) == "two!!"
    assert word_of(ws, submit(ws, snapshot=held.snapshot)) == "one!", "a rerun of the first"
    gate.touch()
    assert word_of(ws, held) == "one!", "also what it imports late is its own"

    capfd.readouterr()
    assert fitq(["functions", "rollback", "shout"]) == 0
    assert capfd.readouterr().out.strip() == held.snapshot
    eventually(lambda: knows(ws, 1), what="the first version being listed again")
    assert word_of(ws, submit(ws)) == "one!"
    assert fitq(["diff", "--json", *apply[1:]]) == 1
    (change,) = json.loads(capfd.readouterr().out)["changes"]
    assert [(f["path"], f["is_drift"]) for f in change["fields"]] == [("snapshot", True)]
    assert {p.pid for p in stack_workers(stack)} == workers, "no worker was started again"


PACKAGES = """
import sys
from importlib import metadata
from fitq import RunContext, function

def without_fitq() -> bool:
    return all((d.metadata["Name"] or "").lower() != "fitq" for d in metadata.distributions())

@function
def packages(run: RunContext) -> None:
    import iniconfig
    run.log("word", metadata.version("iniconfig") + (" alone" if without_fitq() else " beside fitq"))
"""


def write_packages(folder: Path, version: str) -> list[str]:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "packages.py").write_text(PACKAGES)
    (folder / "code" / "broken.py").write_text("import package_that_is_not_there\n")
    (folder / "fitq.yaml").write_text(
        "kind: Function\nname: packages\npool: small\nfolder: code\nenvironment: tiny\n---\n"
        "kind: Function\nname: broken\npool: small\nfolder: code\nenvironment: tiny\n---\n"
        f"kind: Environment\nname: tiny\npip: [iniconfig=={version}]\n"
    )
    return ["-f", str(folder / "fitq.yaml"), "--label", "packages"]


def runs_in(ws: Workspace, environment: str) -> bool:
    """Whether workers have taken over the version of this environment."""
    found = [f for f in ws.client.functions() if f.name == "packages"]
    return bool(found) and found[0].environment.name == environment and not found[0].error


def test_a_function_runs_in_its_environment_and_both_are_rolled_back(
    ws: Workspace,
    stack: Stack,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    workers = {p.pid for p in stack_workers(stack)}
    call = RunRequest(function="packages")

    assert fitq(["apply", *write_packages(tmp_path, "1.1.1")]) == 0
    eventually(lambda: runs_in(ws, "tiny:1"), seconds=60, what="the first environment being taken over")
    (small,) = [pool for pool in ws.client.pools() if pool.name == "small"]
    assert "No module named 'package_that_is_not_there'" in small.broken["broken"]
    first = ws.client.submit_run(call)
    assert word_of(ws, first) == "1.1.1 alone"

    files = write_packages(tmp_path, "2.0.0")
    assert fitq(["apply", *files]) == 0
    assert fitq(["diff", *files]) == 0
    eventually(lambda: runs_in(ws, "tiny:2"), seconds=60, what="the second environment being taken over")
    second = ws.client.submit_run(call)
    assert (word_of(ws, second), second.snapshot) == ("2.0.0 alone", first.snapshot)
    capfd.readouterr()
    assert fitq(["runs", "rerun", first.id]) == 0
    again = capfd.readouterr().out.strip()
    assert word_of(ws, ws.client.get_run(again)) == "1.1.1 alone", "a rerun has its run's environment"

    assert fitq(["functions", "versions", "packages", "--json"]) == 0
    listed = json.loads(capfd.readouterr().out)
    assert [v["environment"]["name"] for v in listed] == ["tiny:2", "tiny:1"]
    assert fitq(["functions", "rollback", "packages", "--to", listed[1]["id"][:4]]) == 0
    eventually(lambda: runs_in(ws, "tiny:1"), what="the first version being taken over again")
    assert word_of(ws, ws.client.submit_run(call)) == "1.1.1 alone"
    capfd.readouterr()
    assert fitq(["diff", *files, "--json"]) == 1
    (drift,) = [c for c in json.loads(capfd.readouterr().out)["changes"] if c["action"] != "keep"]
    assert {f["path"]: f["is_drift"] for f in drift["fields"]} == {
        "environment.name": True,
        "environment.pip": True,
    }
    with pytest.raises(InvalidRequest, match="runs in environment 'tiny:1', not in another environment"):
        ws.client.submit_run(RunRequest(function="packages", environment="worker"))
    assert {p.pid for p in stack_workers(stack)} == workers, "no worker was started again"


def stack_workers(stack: Stack) -> list[object]:
    return [p.process for p in stack.programs if p.pool]
