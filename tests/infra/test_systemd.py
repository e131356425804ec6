"""The units: what they start is started here as it is written, on folders of the test."""

from __future__ import annotations

import configparser
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import psutil
import pytest

from fitq.local.home import Home
from tests.conftest import eventually
from tests.infra.rendered import ROOT

SYSTEMD = ROOT / "infra" / "systemd"
UNITS = sorted(SYSTEMD.glob("fitq*.*"))


def unit(name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's words have capitals
    parser.read(SYSTEMD / name)
    return parser["Service"]


def words(line: str, state: Path) -> list[str]:
    """A command of a unit, on this machine's Python and on folders of the test; %% is systemd's %."""
    line = line.replace("%%", "%").replace("/var/lib/fitq/data", str(state / "data"))
    line = line.replace("/opt/fitq/bin/fitq", f"{sys.executable} -m fitq")
    return shlex.split(line)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd, which is not everywhere")
def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    """With the programs that the units name in place of those that are not installed here."""
    copies = []
    for file in UNITS:
        copy = tmp_path / file.name
        copy.write_text(file.read_text().replace("/opt/fitq/bin/fitq", "/bin/true"))
        copies.append(str(copy))
    done = subprocess.run(["systemd-analyze", "verify", *copies], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "fitq" not in done.stderr:
        pytest.skip(f"systemd-analyze does not work in this container: {done.stderr.strip()[:200]}")
    ours = [line for line in done.stderr.splitlines() if "fitq" in line]
    assert ours == []


def test_services_have_no_more_rights_than_they_need() -> None:
    for name in ("fitq.service", "fitq-backup.service"):
        service = unit(name)
        assert service["User"] not in ("", "root")
        assert service["NoNewPrivileges"] == service["ProtectHome"] == service["PrivateTmp"] == "yes"
        assert service["ProtectSystem"] == "strict"
        assert service["CapabilityBoundingSet"] == ""
        assert service["UMask"] == "0077"


def test_what_a_start_cannot_mend_is_not_started_again(tmp_path: Path) -> None:
    service = unit("fitq.service")
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")
    environment = {**os.environ, "FITQ_SLOTS": "two"}
    refused = subprocess.run(
        words(service["ExecStart"], tmp_path), env=environment, capture_output=True, text=True, check=False
    )
    assert (refused.returncode, "FITQ_SLOTS is 'two'" in refused.stderr) == (2, True), refused.stderr


def test_the_service_starts_is_backed_up_and_stops_as_the_units_say(tmp_path: Path) -> None:
    service, backup = unit("fitq.service"), unit("fitq-backup.service")
    assert service["KillMode"] == "mixed", "only the main process is told; it stops the others in order"
    ports = ["--api-port", "0", "--scoring-port", "0"]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
    home = Home(tmp_path / "data")
    with (tmp_path / "up.log").open("wb") as log:
        main = subprocess.Popen(
            [*words(service["ExecStart"], tmp_path), *ports],
            cwd=tmp_path,
            env=inherited,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: home.state().get("ready"), seconds=90, what="the platform being ready")
        family = psutil.Process(main.pid).children(recursive=True)
        subprocess.run(words(backup["ExecStart"], tmp_path), cwd=tmp_path, env=inherited, check=True)
        (file,) = tmp_path.glob("fitq-*.tar")
        assert tarfile.is_tarfile(file)
        main.send_signal(signal.SIGTERM)
        assert main.wait(timeout=float(service["TimeoutStopSec"])) == 0
        assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            main.kill()
        main.wait()
