"""The queue on a real server: idle consumers are woken, busy ones refetch at once, nobody polls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.errors import ConnectionClosed

from fitq import doorbell
from fitq.doorbell import DoorbellBroker, DoorbellConsumer
from fitq.local.ports import free_ports
from fitq.queue import Queue, open_queue, start_worker
from fitq.settings import Settings
from tests.conftest import eventually

FOR_EVER = 300.0  #: looking this rarely, a consumer fetches in time only when something wakes it


class Line:
    """One pool, its actor and what reached it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.queue = open_queue(settings.redis_url, settings.workspace)
        self.seen: list[str] = []
        self.gates: dict[str, threading.Event] = {}
        self._workers: list[dramatiq.Worker] = []

    def start(self, *, slots: int = 1) -> DoorbellConsumer:
        actor = dramatiq.actor(actor_name="note", queue_name="pool", broker=self.queue.broker)
        actor(self._note)
        worker = start_worker(self.queue.broker, pool="pool", slots=slots)
        self._workers.append(worker)
        consumer = eventually(lambda: worker.consumers["pool"].consumer)
        assert isinstance(consumer, DoorbellConsumer)
        return consumer

    def send(self, *run_ids: str, through: Queue | None = None) -> None:
        for run_id in run_ids:
            (through or self.queue).send(pool="pool", actor="note", run_id=run_id)

    def _note(self, run_id: str) -> None:
        self.seen.append(run_id)
        if run_id in self.gates:
            assert self.gates[run_id].wait(30)

    def saw(self, *run_ids: str) -> None:
        eventually(lambda: len(self.seen) >= len(run_ids), what=f"{run_ids} are executed")
        assert self.seen == list(run_ids)

    def end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doorbell, "_LOOK_SECONDS", 0.1)
        broker = self.queue.broker
        assert isinstance(broker, DoorbellBroker)
        for gate in self.gates.values():
            gate.set()
        for worker in self._workers:
            for name in worker.consumers:
                broker.ring(name)  # those that wait for ever look up, and see that they may stop
            worker.stop(timeout=20_000)


@pytest.fixture
def line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(settings)
    yield line
    line.end(monkeypatch)


@pytest.fixture
def rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers block for as long as a client may, and again if nothing came."""
    monkeypatch.setattr(doorbell, "_LOOK_SECONDS", 4.0)


def idle(consumer: DoorbellConsumer, client: redis.Redis) -> Callable[[], bool]:
    """Whether some client is blocked on a doorbell."""
    return lambda: any("blpop" in str(c["cmd"]) for c in client.client_list())  # type: ignore[no-untyped-call]


def test_an_idle_consumer_is_woken_by_a_message(line: Line, rarely: None) -> None:
    consumer = line.start()
    client = line.queue.broker.client
    for n in range(5):
        eventually(idle(consumer, client), what="the consumer waits at the door")
        line.send(f"run-{n}")
        eventually(lambda n=n: len(line.seen) == n + 1, seconds=3)  # type: ignore[misc]
    line.saw(*(f"run-{n}" for n in range(5)))


def test_a_message_from_another_process_wakes_it_too(line: Line, rarely: None) -> None:
    consumer = line.start()
    eventually(idle(consumer, line.queue.broker.client))
    line.send("a", through=open_queue(line.settings.redis_url, line.settings.workspace))
    line.saw("a")


def test_a_lost_ring_loses_no_message(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DoorbellBroker, "ring", lambda *_: None)
    line.start()
    line.send("unheard")
    line.saw("unheard")
    monkeypatch.undo()


def test_spare_rings_change_nothing(line: Line) -> None:
    broker = line.queue.broker
    assert isinstance(broker, DoorbellBroker)
    for _ in range(300):
        broker.ring("pool")
    assert broker.client.llen(broker.bell("pool")) == 100
    assert 0 < broker.client.ttl(broker.bell("pool")) <= 60
    line.start()
    line.send("a", "b")
    line.saw("a", "b")


def test_the_next_message_is_fetched_as_soon_as_a_slot_is_free(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "_LOOK_SECONDS", FOR_EVER)  # no look by the clock in this test
    monkeypatch.setattr(DoorbellBroker, "ring", lambda *_: None)  # and nobody rings
    names = [f"run-{n}" for n in range(20)]
    line.send(*names)
    line.start()
    line.saw(*names)
    monkeypatch.undo()


def test_one_busy_worker_leaves_messages_to_others(line: Line) -> None:
    line.gates["long"] = threading.Event()
    consumer = line.start(slots=1)
    line.send("long")
    line.saw("long")
    line.send("short")
    assert consumer.outstanding_message_count == 1
    eventually(lambda: line.queue.depth("pool") == 1)
    line.gates["long"].set()
    line.saw("long", "short")


def test_a_busy_consumer_keeps_sending_heartbeats(line: Line) -> None:
    line.gates["long"] = threading.Event()
    line.start(slots=1)
    line.send("long")
    line.saw("long")
    broker = line.queue.broker
    key, began = f"{broker.namespace}:__heartbeats__", time.time() * 1000

    def heard() -> Any:
        return float(broker.client.zscore(key, broker.broker_id) or 0) > began + 1500

    eventually(heard, what="a heartbeat while the only slot is busy")


def test_messages_of_a_dead_worker_come_back(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "_MAINTENANCE_SECONDS", 0.5)
    dead = open_queue(line.settings.redis_url, line.settings.workspace)
    dead.broker.declare_queue("pool")
    line.send("orphan")
    assert len(dead.broker.do_fetch("pool", 1)) == 1  # it has it, and is never heard of again
    line.queue.broker.heartbeat_timeout = 500
    line.start()
    line.saw("orphan")


@pytest.mark.parametrize(("lease_seconds", "silence"), [(60.0, 60_000), (15.0, 15_000), (0.5, 5_000)])
def test_a_worker_is_dead_after_a_lease_but_not_at_once(lease_seconds: float, silence: int) -> None:
    queue = open_queue("redis://127.0.0.1:9/0", "w", lease_seconds=lease_seconds)
    assert queue.broker.heartbeat_timeout == silence


def test_only_a_worker_that_ends_leaves_an_answer_unsaid() -> None:
    broker = open_queue(f"redis://127.0.0.1:{free_ports(1)[0]}/0", "w").broker
    assert isinstance(broker, DoorbellBroker)
    consumer = DoorbellConsumer(broker, "pool", 1, 0)
    message = dramatiq.Message("pool", "a", (), {}, {"redis_message_id": "1"})
    for answer in (consumer.ack, consumer.nack):
        with pytest.raises(ConnectionClosed):
            answer(message)
    broker.is_leaving = True
    consumer.ack(message)
    consumer.nack(message)


def test_what_was_fetched_and_never_heard_of_is_put_back_and_else_nothing(line: Line) -> None:
    """Redis made it a worker's, and the answer that said so was lost: the worker lives, and does not know."""
    line.send("lost", "waiting")
    other = open_queue(line.settings.redis_url, line.settings.workspace)
    assert len(other.broker.do_fetch("pool", 1)) == 1
    messages = line.queue.messages("pool")
    assert (messages.waiting, set(messages.fetched)) == ({"waiting"}, {"lost"})
    assert line.queue.put_back("pool", ["unknown"]) == 0
    assert line.queue.put_back("pool", [messages.fetched["lost"]]) == 1
    assert line.queue.put_back("pool", [messages.fetched["lost"]]) == 0
    assert line.queue.messages("pool").fetched == {}
    line.start()
    line.saw("waiting", "lost")
    eventually(lambda: line.queue.count("pool") == 0, what="both are done with")
