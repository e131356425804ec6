"""Several processes at one port: replaced when they end, all told of in the metrics, all ended in order."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sklearn.dummy import DummyRegressor

from fitq.backend import open_objects
from fitq.local.child import child
from fitq.local.ports import free_ports
from fitq.local.process import Process
from fitq.model_settings import set_alias
from fitq.scorer.facts import ModelFacts
from fitq.scoring.peers import merged
from fitq.settings import Settings
from tests.conftest import Servers, eventually, settings_for
from tests.scoring.conftest import looked_into, saved
from tests.scoring.keeping import backend_of, keep
from tests.scoring.test_faults import expression

ROW = [[5.1, 3.5, 1.4, 0.2]]
PROCESSES = 2
CHAMPION = "/models/live/versions/champion/score"


class Program:
    """`fitq scoring --processes 2` on a real object store, with one model in it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        environment = {**os.environ, "TMPDIR": str(folder)}
        self.process: Process = child("scoring", "scoring", settings, environment, folder)
        self.process.start()
        self.url = f"http://127.0.0.1:{settings.scoring_port}"

    def client(self) -> httpx2.Client:
        return httpx2.Client(
            base_url=self.url, headers={"authorization": f"Bearer {self.settings.token}"}, timeout=60
        )

    def get(self, path: str) -> httpx2.Response:
        """Over a connection of its own: any process may answer."""
        with self.client() as client:
            return client.get(path)

    @property
    def forks(self) -> set[int]:
        return {p.pid for p in psutil.Process(self.process.pid).children()}

    def told(self, metric: str) -> dict[str, float]:
        """The sum of a metric, by process."""
        found: Counter[str] = Counter()
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                if sample.name == f"fitq_scoring_{metric}":
                    found[sample.labels["process"]] += sample.value
        return dict(found)

    @property
    def is_complete(self) -> bool:
        """Whether each process is heard of."""
        return self.told("scorers") == {str(n): 1 for n in range(PROCESSES)}

    @property
    def in_hand(self) -> int:
        """Requests that have arrived and are not answered."""
        return int(sum(self.told("waiting").values()) + sum(self.told("calls").values()))

    @property
    def is_closed(self) -> bool:
        try:
            self.get("/healthz")
        except httpx2.TransportError:
            return True
        return False


def keep_models(settings: Settings, iris: Any, folder: Path) -> None:
    """`iris`, and `slow`, whose calls say which process they are in and end each for one byte in a pipe."""
    open_objects(settings).ensure_bucket()
    (folder / "iris.joblib").write_bytes(saved(iris))
    facts = looked_into(folder / "iris.joblib", None)
    keep(settings, "iris", iris, facts)
    os.mkfifo(folder / "gate")
    begun, gate = str(folder / "begun"), str(folder / "gate")
    says = f"open({begun!r}, 'a').write('%d\\n' % __import__('os').getpid())"
    slow = expression(f"({says}, open({gate!r}, 'rb', buffering=0).read(1), rows)[2]")
    waits = ModelFacts(methods=["transform"], default_method="transform", input_schema=facts.input_schema)
    keep(settings, "slow", slow, waits)


@pytest.fixture(scope="module")
def program(servers: Servers, iris: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder, (port,) = tmp_path_factory.mktemp("processes"), free_ports(1)
    settings = settings_for(
        servers,
        scoring_port=port,
        scoring_processes=PROCESSES,
        scoring_url=f"http://127.0.0.1:{port}",
        isolation="off",  # the calls of a model say in a file of ours that they have begun
    )
    keep_models(settings, iris, folder)
    started = Program(settings, folder)
    try:
        eventually(lambda: answers(started), seconds=60)
        yield started
    finally:
        started.process.stop(seconds=40)


def answers(program: Program) -> bool:
    try:
        return program.get("/readyz").status_code == 200 and program.is_complete
    except httpx2.TransportError:
        return False


def test_each_process_answers_and_any_of_them_tells_of_all(program: Program) -> None:
    asked = 0
    seen: set[int] = set()

    def ask() -> bool:
        nonlocal asked
        with program.client() as client:
            assert client.post("/models/iris/score", json={"data": ROW}).status_code == 200
            seen.add(client.get("/models/iris").json()["process"]["number"])
        asked += 1
        return seen == set(range(PROCESSES))

    eventually(ask)
    families = list(text_string_to_metric_families(program.get("/metrics").text))
    assert len({f.name for f in families}) == len(families)
    counted = program.told("rows_total")
    assert counted.keys() == {"0", "1"}
    assert sum(counted.values()) == asked


def test_one_that_was_killed_is_replaced_and_the_other_answers_meanwhile(program: Program) -> None:
    before = program.forks
    assert len(before) == PROCESSES
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: killed not in program.forks)
    eventually(lambda: len(program.forks) == PROCESSES and program.is_complete)
    assert len(program.forks & before) == PROCESSES - 1
    with program.client() as client:
        assert client.post("/models/iris/score", json={"data": ROW}).status_code == 200


def constant(value: float) -> Any:
    """A model that answers nothing but the number of its version."""
    return DummyRegressor(strategy="constant", constant=value).fit([[0.0] * 4], [value])


def test_new_versions_and_moved_aliases_under_load_fail_no_request_and_mix_no_answers(
    program: Program, tmp_path: Path
) -> None:
    """Every answer is that of the version it names, and in both processes each change is followed."""
    (tmp_path / "first.joblib").write_bytes(saved(constant(1.0)))
    facts = looked_into(tmp_path / "first.joblib", None)
    backend = backend_of(program.settings)
    keep(program.settings, "live", constant(1.0), facts)
    set_alias(backend, "live", "champion", 1)
    done, wrong = threading.Event(), list[str]()
    newest: dict[str, Counter[int]] = {"/models/live/score": Counter(), CHAMPION: Counter()}

    def ask(path: str) -> None:
        while not done.is_set():
            with program.client() as client:  # any process may answer
                for _ in range(5):
                    answer = client.post(path, json={"data": ROW * 2})
                    version = int(answer.headers.get("x-fitq-model", "live:0").removeprefix("live:"))
                    if answer.status_code != 200 or answer.json() != [version, version]:
                        wrong.append(f"{path} {answer.status_code} {version} {answer.text}")
                    newest[path][version] += 1

    def follows(path: str, version: int) -> bool:
        """Whether nothing else is answered any more."""
        newest[path].clear()
        eventually(lambda: sum(newest[path].values()) >= 20)
        return set(newest[path]) == {version}

    with ThreadPoolExecutor(4) as many:
        asking = [many.submit(ask, path) for path in [*newest] * 2]
        try:
            for version in (2, 3):
                keep(program.settings, "live", constant(float(version)), facts)
                eventually(lambda: follows("/models/live/score", version))  # noqa: B023
                set_alias(backend, "live", "champion", version)
                eventually(lambda: follows(CHAMPION, version))  # noqa: B023
            set_alias(backend, "live", "champion", 1)
            eventually(lambda: follows(CHAMPION, 1))
        finally:
            done.set()
        for answered in asking:
            answered.result(30)
    assert wrong == []


def test_a_port_that_is_taken_is_a_sentence(program: Program, tmp_path: Path) -> None:
    second = child("scoring", "second", program.settings, os.environ, tmp_path)
    second.start()
    eventually(lambda: not second.is_running)
    assert second.exit_code == 2
    assert f"Port {program.settings.scoring_port} of 127.0.0.1 is already in use" in second.log.read_text()


def test_sigterm_answers_what_has_begun_in_every_process_and_leaves_nothing(program: Program) -> None:
    """Last in this file: it ends what the tests above share."""
    family = psutil.Process(program.process.pid).children(recursive=True)
    begun, gate = program.folder / "begun", os.open(program.folder / "gate", os.O_RDWR)

    def ask() -> int:
        with program.client() as client:
            return client.post("/models/slow/score", json={"data": ROW}).status_code

    with ThreadPoolExecutor(40) as many, ThreadPoolExecutor(1) as one:
        asking: list[Future[int]] = []
        while not begun.exists() or len(set(begun.read_text().split())) < PROCESSES:
            asking.append(many.submit(ask))
            eventually(lambda: program.in_hand == len(asking))
        stopping = one.submit(program.process.stop, seconds=40)
        eventually(lambda: program.is_closed)
        os.write(gate, b"." * 1000)
        assert [a.result(60) for a in asking] == [200] * len(asking)
        stopping.result(60)
    os.close(gate)
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not list(program.folder.glob("fitq-scoring-*"))


def test_metrics_of_several_processes_are_one_text() -> None:
    head = b"# HELP a_total A\n# TYPE a_total counter\n"
    own = head + b'a_total{model="m"} 1.0\n# HELP b B\n# TYPE b gauge\nb 2.0\n'
    text = merged({1: own, 0: head + b'a_total{model="m"} 3.0\n', 2: b""}).decode()
    found = {
        f.name: [(json.dumps(s.labels), s.value) for s in f.samples]
        for f in text_string_to_metric_families(text)
    }
    assert found == {
        "a": [('{"process": "0", "model": "m"}', 3.0), ('{"process": "1", "model": "m"}', 1.0)],
        "b": [('{"process": "1"}', 2.0)],
    }
