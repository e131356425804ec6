"""The services of docker-compose.yml on embedded servers, started once for the files here."""

from __future__ import annotations

import random
import secrets
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from fitq.local.ports import free_ports
from fitq.local.redis import EmbeddedRedis
from fitq.store.objects import S3Objects
from tests.services.compose_file import OURS, REQUIRED, read
from tests.services.containers import Container
from tests.services.images import install
from tests.services.object_users import ObjectsWithUsers, run_script


def _secret() -> str:
    # Letters only: the ports that are replaced below never occur in one.
    return "".join(secrets.choice(string.ascii_letters) for _ in range(32))


@pytest.fixture(scope="session")
def variables() -> dict[str, str]:
    """What somebody writes into .env: the required variables and nothing else."""
    return {n: _secret() for n in REQUIRED}


class Compose:
    """The services that are up, and how to start one more."""

    def __init__(self, variables: dict[str, str], hosts: dict[str, str], folder: Path) -> None:
        self._file = read(variables)
        self._hosts, self._folder = hosts, folder
        self._programs: dict[str, Path] = {}
        self.token = variables["FITQ_TOKEN"]
        self.up: dict[str, Container] = {}

    def start(
        self, service: str, command: list[str] | None = None, home: Path | None = None, **changed: str
    ) -> Container:
        """Start a service as the file says; `command` and `changed` variables are for what differs.

        Containers of one service share a volume in their `home`; a new one if None.
        """
        written = self._file["services"][service]
        environment = self.environment(service) | changed
        folder = self._folder / f"{service}-{len(self.up)}-{random.randrange(1 << 30)}"
        folder.mkdir()
        health = written["healthcheck"]["test"]
        command = command or written["command"]
        home = home or folder / "home"
        home.mkdir(exist_ok=True)
        environment["HOME"] = str(home)
        container = Container(service, command, environment, health, self.programs(service), folder)
        container.process.start()
        self.up[folder.name] = container
        return container

    def environment(self, service: str) -> dict[str, str]:
        """What the file gives a service, with the addresses of here."""
        written = self._file["services"][service]["environment"]
        return {k: self.mapped(str(v)) for k, v in written.items()}

    def programs(self, image: str) -> Path:
        """The `bin` of what the image of a service has installed."""
        if image not in self._programs:
            self._programs[image] = install(image, self._folder / f"{image}-environment")
        return self._programs[image]

    def run(
        self, service: str, *words: str, folder: Path, **changed: str
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose run --rm SERVICE WORDS…` of a service that works in a folder of the host."""
        written = self._file["services"][service]
        programs = self.programs(written["image"].removeprefix("fitq-"))
        program, *rest = written["entrypoint"]
        environment = {**self.environment(service), "HOME": str(folder), "PATH": str(programs), **changed}
        command = [str(programs / program), *rest, *words]
        return subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )

    def mapped(self, text: str) -> str:
        """Names and ports inside the compose network as they are here."""
        for name, here in self._hosts.items():
            text = text.replace(name, here)
        return text

    def client(self, port: str) -> httpx2.Client:
        """An HTTP client of the service that is published as `port`."""
        return httpx2.Client(
            base_url=self.mapped(f"http://0.0.0.0:{port}"),
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            trust_env=False,
        )


@pytest.fixture(scope="session")
def compose(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """Embedded servers with the passwords and users of the compose file; no service of ours yet."""
    folder = tmp_path_factory.mktemp("compose")
    api, scoring = free_ports(2)
    redis = EmbeddedRedis(folder / "redis", password=variables["FITQ_REDIS_PASSWORD"])
    users = run_script(read(variables)["services"]["minio-users"]["environment"], folder / "mc")
    root = ("fitq", variables["FITQ_S3_SECRET_KEY"])
    objects = ObjectsWithUsers(folder / "objects", root, users)
    with redis, objects:
        S3Objects(objects.url, *root, "fitq").ensure_bucket()
        hosts = {
            "redis:6379": f"127.0.0.1:{redis.port}",
            "minio:9000": urlsplit(objects.url).netloc,
            "scoring:8701": f"127.0.0.1:{scoring}",
            "0.0.0.0": "127.0.0.1",
            "8700": str(api),
            "8701": str(scoring),
        }
        started = Compose(variables, hosts, folder)
        try:
            yield started
        finally:
            for container in started.up.values():
                container.process.stop(seconds=20)


@pytest.fixture(scope="session")
def services(compose: Compose) -> dict[str, Container]:
    """api, worker and scoring, healthy by their own health checks."""
    containers = {name: compose.start(name) for name in OURS}
    for name, container in containers.items():
        try:
            container.wait_until_healthy()
        except Exception as exc:
            raise AssertionError(f"{name} is not healthy:\n{container.tail()}") from exc
    return containers


@pytest.fixture(scope="session")
def api(compose: Compose, services: dict[str, Container]) -> Iterator[httpx2.Client]:
    with compose.client("8700") as client:
        yield client


@pytest.fixture(scope="session")
def scoring(compose: Compose, services: dict[str, Container]) -> Iterator[httpx2.Client]:
    with compose.client("8701") as client:
        yield client
