"""Real servers for every test: Valkey and SeaweedFS once per session, a fresh workspace per test."""

from __future__ import annotations

import functools
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from fitq.backend import Backend, open_backend
from fitq.environments.builder import EnvironmentFolder, Environments
from fitq.environments.reading import read_spec
from fitq.isolation.ladder import Ladder, find_ladder
from fitq.local.objects import EmbeddedObjects
from fitq.local.redis import EmbeddedRedis
from fitq.queue import NullQueue
from fitq.records import InputSchema, ModelRecord, now, to_json
from fitq.settings import Settings
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects, MemoryState
from fitq.worker.importing import Importer
from fitq.worker.process import adopt_orphans
from fitq.worker.starter import Starter

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
FUNCTIONS = ROOT / "functions"


def eventually(condition: Callable[[], T], *, seconds: float = 30.0, what: str = "condition") -> T:
    """The first true value of `condition`, asked again and again until the deadline."""
    deadline = monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert monotonic() < deadline, f"{what} did not come true within {seconds} s"
        sleep(0.02)


class Servers(NamedTuple):
    redis: EmbeddedRedis
    objects: EmbeddedObjects
    access_key: str
    secret_key: str


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    access_key, secret_key = "test-key", secrets.token_hex(16)
    with (
        EmbeddedRedis(folder / "redis") as redis,
        EmbeddedObjects(folder / "objects", access_key, secret_key) as objects,
    ):
        yield Servers(redis, objects, access_key, secret_key)


@pytest.fixture(scope="session")
def iris() -> Any:
    """A logistic regression on iris, fitted on a plain array."""
    rows, labels = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=1000).fit(rows, labels)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One package cache for every environment that tests build: nothing is fetched twice, also when tests
    run in several processes, which have folders beside each other."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return tmp_path_factory.mktemp("packages")
    shared = tmp_path_factory.getbasetemp().parent / "packages"
    shared.mkdir(exist_ok=True)
    return shared


def settings_for(servers: Servers, **changes: object) -> Settings:
    """Settings of a fresh workspace on the test servers."""
    given: dict[str, object] = {
        "redis_url": servers.redis.url,
        "s3_url": servers.objects.url,
        "s3_access_key": servers.access_key,
        "s3_secret_key": servers.secret_key,
        "bucket": "fitq-test",
        "workspace": f"w{secrets.token_hex(6)}",
        "token": "test-token",
        "grace_seconds": 1.0,
        **changes,
    }
    return Settings(**given)  # type: ignore[arg-type]


@pytest.fixture
def settings(servers: Servers, tmp_path: Path) -> Settings:
    tmp_path.chmod(0o777)  # where scripts of tests and tests meet; the scripts may be another user's
    return settings_for(
        servers,
        work_dir=str(tmp_path / "work"),
        environments=str(tmp_path / "environments"),
        run_paths=str(tmp_path),
    )


def keep_model(backend: Backend, name: str, *versions: int) -> None:
    """Versions that can be scored, without the file."""
    for version in versions:
        record = ModelRecord(
            name=name,
            version=version,
            created_at=now(),
            path="model.joblib",
            sha256="0" * 64,
            size_bytes=1,
            object_key="x",
            methods=["predict"],
            input_schema=InputSchema(columns=[]),
        )
        backend.objects.put(backend.keys.model_version(name, version), to_json(record))


def starters(*, warm: bool) -> Iterator[Starter]:
    """A starter of runs, with a warm parent that is ready or with none; afterwards nothing of it is left."""
    adopt_orphans()
    starter = Starter()
    if warm:
        starter.keep_warm()
        assert starter.wait_until_warm(60)
    yield starter
    starter.close()


@functools.cache
def ladder_of_this_machine() -> Ladder:
    """Tried once for all tests, in a folder like those of runs."""
    with tempfile.TemporaryDirectory() as folder:
        return find_ladder(Path(folder))


@pytest.fixture
def importer(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Importer:
    """Of functions in `tmp_path`, which has to be open to the user that they are imported as."""
    tmp_path.chmod(0o755)
    work = tmp_path_factory.mktemp("work")
    ladder = ladder_of_this_machine().with_places(hidden=[work], opened=[])
    return Importer(work_dir=work, ladder=ladder)


@pytest.fixture
def backend(settings: Settings) -> Backend:
    backend = open_backend(settings)
    backend.objects.ensure_bucket()
    return backend


@pytest.fixture
def memory_backend() -> Backend:
    return Backend(workspace="default", state=MemoryState(), objects=MemoryObjects(), queue=NullQueue())


#: An environment with an older scikit-learn than ours, for whatever Python these tests run on.
OLDER = ["joblib==1.4.2", "numpy==1.26.4", "scikit-learn==1.5.2", "scipy==1.14.1", "threadpoolctl==3.5.0"]


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvironmentFolder]:
    """Built once; it lies in `<environments>/built/<hash>`."""
    environments = Environments(tmp_path_factory.mktemp("older"), MemoryObjects(), ObjectKeys("default"))
    spec = read_spec({"pip": OLDER, "python": f"{sys.version_info[0]}.{sys.version_info[1]}"})
    folder = environments.prepare(spec, environments.choose(spec))
    yield folder
    folder.close()


def in_ci() -> bool:
    return os.environ.get("CI") == "true"
