"""`fitq apply`, `diff`, `export` on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fitq.cli.written import read_written
from fitq.errors import InvalidRequest
from fitq.local.ports import free_ports
from fitq.local.stack import Stack
from fitq.records import PoolSettings
from fitq.sdk.client import Client
from tests.cli.conftest import Fitq
from tests.conftest import ROOT

POOLS = """\
kind: Pool
name: night
max_workers: 2
---
kind: Pool
name: day   # never more than one
max_workers: 1
secrets: [DB_PASSWORD]
"""


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    folder = tmp_path / "deploy"
    folder.mkdir()
    (folder / "pools.yaml").write_text(POOLS)
    (folder / "notes.txt").write_text("not a document")
    return folder


def test_from_files_to_the_platform_and_back(fitq: Fitq, deploy: Path) -> None:
    would = fitq("apply", "-f", "deploy", "--label", "cli", "--dry-run")
    assert (would.code, "+ Pool night" in would.out) == (1, True), would.err
    applied = fitq("apply", "-f", "deploy", "--label", "cli")
    assert (applied.code, "2 created." in applied.err) == (0, True), applied.err
    assert fitq("diff", "-f", "deploy", "--label", "cli").code == 0

    exported = fitq("export", "--label", "cli").out
    (deploy / "pools.yaml").write_text(exported)
    assert fitq("diff", "-f", "deploy").code == 0, "an export says what is there"

    assert fitq("pools", "scale", "day", "0", "--max", "5").code == 0
    drifted = fitq("diff", "-f", "deploy")
    assert drifted.code == 1
    assert "max_workers: 5 → 1   (changed by somebody since the last apply)" in drifted.out
    assert "secrets" not in drifted.out, "how many workers it has says nothing of what they may give"

    (deploy / "pools.yaml").write_text("kind: Pool\nname: night\n")
    pruned = fitq("apply", "-f", "deploy", "--label", "cli", "--prune", "--json")
    actions = {c["name"]: c["action"] for c in json.loads(pruned.out)["changes"]}
    assert actions == {"night": "replace", "day": "remove"}
    assert fitq("apply", "-f", "deploy", "--label", "cli", "--prune").code == 0


def test_what_was_changed_since_the_plan_is_not_written_over(
    fitq: Fitq, deploy: Path, platform: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody scales a pool in the moment between what is shown and what is applied."""
    (deploy / "pools.yaml").write_text(POOLS.replace("night", "evening").replace("day", "noon"))
    assert fitq("apply", "-f", "deploy").code == 0
    (deploy / "pools.yaml").write_text("kind: Pool\nname: evening\nmax_workers: 7\n")
    planned = Client.plan

    def plan_and_wait(client: Client, *given: Any, **more: Any) -> Any:
        plan = planned(client, *given, **more)
        client.configure_pool("evening", PoolSettings(max_workers=5))
        return plan

    monkeypatch.setattr(Client, "plan", plan_and_wait)
    refused = fitq("apply", "-f", "deploy")
    monkeypatch.undo()
    assert refused.code == 2
    assert "Pool 'evening' was changed since the plan was made." in refused.err
    with Client(platform.settings.url, platform.settings.token) as client:
        assert {p.name: p.max_workers for p in client.pools()}["evening"] == 5


def test_a_comparison_that_reaches_nobody_says_to_try_again(
    fitq: Fitq, deploy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("FITQ_URL", f"http://127.0.0.1:{port}")
    told = fitq("diff", "-f", "deploy")
    assert (told.code, told.out) == (3, ""), told.err


def test_everything_wrong_is_named_with_file_and_line(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "kind: Pool\nname: night\nmin_worker: 1\n---\n\nkind: Endpoint\nname: x1y\n"
    )
    (tmp_path / "b.yaml").write_text("kind: Endpoint\nname: flowers\nmodel: nothing\ntraffic:\n  1: lots\n")
    told = fitq("diff", "-f", "a.yaml", "-f", "b.yaml")
    assert told.code == 2
    assert "a.yaml:3: A Pool has no field `min_worker`. Did you mean 'min_workers'" in told.err
    assert "a.yaml:6: Object missing required field `model`" in told.err
    assert "b.yaml:4: Expected `int`, got `str`" in told.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pool\nname: [a\n", "a.yaml:3: "),
        ("kind: Pool\nname: a\nname: b\n", "a.yaml:3: 'name' stands here twice"),
        ("- kind\n", "a.yaml:1: A document is a mapping"),
        ("kind: Pool\nname: &a [*a]\n", "a.yaml:2: The document is too deep"),
        ("kind: Pool\n? [a, b]\n: c\n", "a.yaml:2: A key must be text"),
        ("# nothing\n", "There is no document in"),
        ("kind: Data\ndescription: 2024-02-31\n", "a.yaml:2: 2024-02-31 cannot be: day is out of range"),
        ("kind: " + "[" * 5000, "a.yaml: "),
        ("kind: !!python/object:os.system x\n", "a.yaml:1: could not determine a constructor"),
    ],
)
def test_what_is_no_document_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InvalidRequest) as refused:
        read_written([tmp_path / "a.yaml"])
    assert words in refused.value.message


def test_keys_are_text_and_anchors_are_followed(tmp_path: Path) -> None:
    text = "base: &base\n  auth: key\nkind: Endpoint\nmore:\n  <<: *base\n  auth: none\n"
    text += "traffic: {3: 90, 4: 10}\n"
    (tmp_path / "a.yaml").write_text(text)
    (written,) = read_written([tmp_path])
    assert written.document["traffic"] == {"3": 90, "4": 10}
    assert written.document["more"] == {"auth": "none"}
    assert written.where("traffic.3").endswith("a.yaml:7")
    assert written.where("nowhere.at.all").endswith("a.yaml:1")


def test_data_is_uploaded_once_and_every_wrong_word_has_its_line(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "kind: Data\nname: declared\npath: rows.csv\ndescription: Rows.\ntags: {team: garden}\n"
    )
    (tmp_path / "rows.csv").write_text("a\n1\n")
    args = ("-f", "a.yaml", "--label", "rows")
    assert "+ Data declared" in fitq("diff", *args).out
    assert fitq("data", "show", "declared").code == 2, "a plan uploads nothing"
    assert fitq("apply", *args).code == 0
    (tmp_path / "rows.csv").write_text("a\n2\n")
    (change,) = json.loads(fitq("diff", *args, "--json").out)["changes"]
    assert ([f["path"] for f in change["fields"]], change["action"]) == (["digest"], "replace")
    assert fitq("apply", *args).code == 0
    assert fitq("data", "download", "declared").code == 0
    assert (tmp_path / "rows.csv").read_text() == "a\n2\n"
    assert fitq("data", "show", "declared").out.count("declared:2") == 1

    (tmp_path / "b.yaml").write_text(fitq("export", "--label", "rows").out)
    assert "digest: " in (tmp_path / "b.yaml").read_text()
    assert fitq("diff", "-f", "b.yaml").code == 0
    (tmp_path / "rows.csv").write_text("a\n3\n")
    assert fitq("data", "upload", "declared", "rows.csv").code == 0
    assert "changed by somebody" in fitq("diff", "-f", "b.yaml").out

    gone = "kind: Pool\nname: beside\n---\nkind: Data\nname: other\ndigest: " + "f" * 64 + "\n"
    (tmp_path / "b.yaml").write_text(gone)
    refused = fitq("apply", "-f", "b.yaml")
    assert (refused.code, f"b.yaml:6: There is no content {'f' * 64}" in refused.err) == (2, True), (
        refused.err
    )
    assert "+ Pool beside" in fitq("diff", "-f", "b.yaml").out, "nothing of it was applied"
    for text, words in {
        "path: row.csv": "a.yaml:3: There is no file or folder",
        "path: [rows.csv]": "a.yaml:3: A Data has one path, or one digest",
        "path: rows.csv\ndigest: x": "a.yaml:3: A Data has one path",
        "paht: rows.csv": "a.yaml:3: A Data has no field `paht`",
        "digest: x": "a.yaml:3: 'x' is no digest",
        "description: x": "a.yaml:1: Object missing required field `digest`",
    }.items():
        (tmp_path / "a.yaml").write_text(f"kind: Data\nname: declared\n{text}\n")
        assert words in fitq("diff", "-f", "a.yaml").err


def test_the_example_can_be_applied(fitq: Fitq) -> None:
    shown = fitq("diff", "-f", str(ROOT / "examples" / "declared_state" / "fitq.yaml"))
    assert shown.code == 1, shown.err
    for thing in ("Environment flowers-2024", "Data flowers", "Function flowers"):
        assert f"+ {thing}" in shown.out
    assert 'environment.name: "flowers-2024:1"' in shown.out


def test_a_functions_folder_is_named_by_its_hash_in_a_plan_and_must_be_there(
    fitq: Fitq, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("x = 1")
    (tmp_path / "a.yaml").write_text("kind: Function\nname: train\nfolder: code\n")
    (change,) = json.loads(fitq("diff", "-f", "a.yaml", "--json").out)["changes"]
    (snapshot,) = [f["after"] for f in change["fields"] if f["path"] == "snapshot"]
    (tmp_path / "b.yaml").write_text(f"kind: Function\nname: train\nsnapshot: {snapshot}\n")
    refused = fitq("apply", "-f", "b.yaml")
    assert (refused.code, f"There is no snapshot {snapshot}" in refused.err) == (2, True), (
        "a plan uploads nothing"
    )
    (tmp_path / "a.yaml").write_text("kind: Function\nname: train\nfolder: cod\n")
    assert "a.yaml:3: There is no folder" in fitq("diff", "-f", "a.yaml").err
    (tmp_path / "a.yaml").write_text("kind: Function\nname: train\nfolder: [code]\n")
    assert "a.yaml:3: A Function has one folder" in fitq("diff", "-f", "a.yaml").err
