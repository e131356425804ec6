"""Data from a file on this machine to a run that reads it, and back."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from chaos_lab.proxy import Fault, Kind, Proxy

from fitq.local.stack import Stack
from fitq.sdk import local_data
from fitq.sdk.data_routes import DataRoutes
from tests.cli.conftest import Fitq

READER = "import sys; print(open(sys.argv[1]).read())"


def test_a_file_goes_up_into_a_run_and_comes_back(fitq: Fitq, tmp_path: Path) -> None:
    Path("rows.csv").write_text("a,b\n1,2\n")
    uploaded = fitq("data", "upload", "rows", "rows.csv", "--tag", "by=ana")
    assert (uploaded.out, uploaded.code) == ("rows:1\n", 0)
    assert "--input rows=rows:1" in uploaded.err
    assert fitq("data", "upload", "rows", "rows.csv").out == "rows:1\n", (
        "the same content is the same version"
    )
    Path("read.py").write_text(READER)
    submitted = fitq("submit", "read.py", "--wait", "--input", "x=rows", "--", "${{inputs.x}}")
    assert submitted.code == 0, submitted.err
    assert fitq("runs", "logs", submitted.out.strip()).out == "a,b\n1,2\n\n"
    assert json.loads(fitq("runs", "show", submitted.out.strip(), "--json").out)["inputs"] == {"x": "rows:1"}
    where = fitq("data", "download", "rows:1", "--to", "back").out.strip()
    assert Path(where).read_text() == "a,b\n1,2\n"
    assert "rows  1" in " ".join(fitq("data", "list").out.split("   ")).replace("   ", " ")
    assert "by=ana" in fitq("data", "show", "rows").out


def test_a_folder_stays_a_folder_and_only_what_is_new_is_sent(
    fitq: Fitq, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_data, "_PART_BYTES", 1000)
    Path("photos/2026").mkdir(parents=True)
    Path("photos/one.bin").write_bytes(bytes(range(250)) * 10)
    Path("photos/2026/two.bin").write_bytes(b"two")
    sent = list[str]()
    send = DataRoutes._send

    def counted(self: DataRoutes, sha256: str, wanted: Any) -> int:
        sent.append(sha256)
        if len(sent) == 2:
            raise KeyboardInterrupt  # as somebody's Ctrl-C in the middle
        return send(self, sha256, wanted)

    monkeypatch.setattr(DataRoutes, "_send", counted)
    assert fitq("data", "upload", "photos", "photos").code != 0
    sent[1:] = ["", ""]
    assert fitq("data", "upload", "photos", "photos").out == "photos:1\n"
    assert sent[0] not in sent[1:], "what went through the first time is not sent again"
    Path("photos/2026/two.bin").write_bytes(b"2")
    before = len(sent)
    assert fitq("data", "upload", "photos", "photos").out == "photos:2\n"
    assert len(sent) == before + 1
    fitq("data", "download", "photos:2", "--to", "copy")
    assert Path("copy/one.bin").read_bytes() == Path("photos/one.bin").read_bytes()
    assert Path("copy/2026/two.bin").read_bytes() == b"2"


def test_a_connection_that_breaks_costs_no_more_than_the_part_on_its_way(
    fitq: Fitq, platform: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_data, "_PART_BYTES", 100_000)
    content = random.Random(5).randbytes(1_200_000)
    Path("big.bin").write_bytes(content)
    last = hashlib.sha256(content[-100_000:]).hexdigest()
    breaks = Fault(kind=Kind.REFUSE, containing=f"PUT /v1/data-parts/{last}".encode())
    with Proxy(urlsplit(platform.settings.url).port or 0) as proxy:
        monkeypatch.setenv("FITQ_URL", f"http://127.0.0.1:{proxy.port}")
        with monkeypatch.context() as impatient, proxy.during(breaks):
            impatient.setattr("fitq.sdk.http.RESTART_SECONDS", 0.2)
            broken = fitq("data", "upload", "big", "big.bin")
        assert (broken.code != 0, broken.out) == (True, "")
        assert "Traceback" not in broken.err

        Path("big.bin").write_bytes(content + b"more")
        before = proxy.hits
        with proxy.during(Fault(kind=Kind.DELAY, containing=b"PUT /v1/data-parts/")):
            assert fitq("data", "upload", "big", "big.bin").out == "big:1\n"
        assert proxy.hits - before == 2, "the part that was lost, and the new one"
        fitq("data", "download", "big:1", "--to", "back")
    assert Path("back/big.bin").read_bytes() == content + b"more"


def test_what_cannot_be_uploaded_is_told_with_the_way_out(fitq: Fitq) -> None:
    Path("rows.csv").write_text("x")
    wrong = fitq("data", "upload", "rows", "row.csv")
    assert wrong.code == 2
    assert "Did you mean 'rows.csv'?" in wrong.err
    Path("empty").mkdir()
    assert "holds no files" in fitq("data", "upload", "rows", "empty").err
    assert "no data 'photoz'" in fitq("data", "show", "photoz").err


def test_withdrawn_data_is_in_no_list_and_still_found_by_its_number(fitq: Fitq, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("withdrawn")
    assert fitq("data", "upload", "leaving", "x.csv").out == "leaving:1\n"
    assert fitq("data", "withdraw", "leavin").code == 2
    assert fitq("data", "withdraw", "leaving").code == 0
    again = fitq("data", "withdraw", "leaving")
    assert (again.code, "Data 'leaving' was withdrawn" in again.err) == (2, True)
    assert "leaving" not in fitq("data", "list").out
    assert fitq("data", "download", "leaving:1").code == 0
    assert fitq("data", "upload", "leaving", "x.csv").out == "leaving:2\n", "no number is given twice"
