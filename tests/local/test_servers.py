"""The embedded servers are real, keep what they were given, and never outlive who started them."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import urllib3
from redis.backoff import NoBackoff
from redis.retry import Retry

from fitq.errors import Conflict
from fitq.local.objects import GRPC_OFFSET, EmbeddedObjects
from fitq.local.ports import claim_port, free_ports, free_ports_with_grpc
from fitq.local.redis import EmbeddedRedis
from fitq.store.objects import S3Objects
from tests.conftest import eventually

_KEYS = ("fitq-test", "a-secret-for-tests")


def test_redis_keeps_its_data_over_a_restart_and_refuses_to_forget(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "with space") as first, redis.Redis.from_url(first.url) as client:
        client.set("iris", "150")
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    again = EmbeddedRedis(first.data_dir, password=first.password)
    with again, redis.Redis.from_url(again.url) as client:
        assert client.get("iris") == b"150"


def test_the_redis_password_is_needed_and_stands_in_no_argument_and_no_readable_file(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        once = Retry(NoBackoff(), 0)
        with redis.Redis(port=server.port, retry=once) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert server.password not in " ".join(psutil.Process(server.process.pid).cmdline())
    assert stat.S_IMODE((tmp_path / "valkey.conf").stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedObjects]:
    with EmbeddedObjects(tmp_path_factory.mktemp("objects"), *_KEYS) as server:
        yield server


def status(url: str) -> int:
    """Of a GET; 0 if nobody answers."""
    try:
        return urllib3.request("GET", url, retries=False, timeout=5).status
    except urllib3.exceptions.HTTPError:
        return 0


def test_objects_open_only_to_signed_requests(objects: EmbeddedObjects) -> None:
    store = S3Objects(objects.url, *_KEYS, "fitq")
    store.ensure_bucket()
    store.put("models/iris", b"model")
    assert store.get("models/iris") == b"model"
    assert status(f"{objects.url}/fitq/models/iris") == 403
    assert status(f"{objects.url}/") == 403


def test_no_inner_server_of_the_object_store_is_a_back_door_over_http(objects: EmbeddedObjects) -> None:
    paths = (
        "buckets/",
        "buckets/fitq/models/iris",
        "dir/assign",
        "col/delete?collection=fitq",
        "1,01637037d6",
    )
    for name in ("filer", "master", "volume", "admin"):
        for path in paths:
            answer = status(f"http://127.0.0.1:{objects.ports[name]}/{path}")
            assert answer in (0, 400, 401, 404), (name, path, answer)


#: How a client of HTTP/2, and so of gRPC, says hello: a preface and an empty SETTINGS frame.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def answer_to_hello(family: socket.AddressFamily, address: object) -> bytes:
    """What a server answers a client without a certificate; empty if it hangs up."""
    with socket.socket(family) as client:
        client.settimeout(5)
        try:
            client.connect(address)  # type: ignore[arg-type]
            client.sendall(_HELLO)
            return client.recv(100)
        except ConnectionError:
            return b""


def test_no_inner_server_of_the_object_store_speaks_grpc_with_strangers(objects: EmbeddedObjects) -> None:
    for name, port in objects.ports.items():
        assert answer_to_hello(socket.AF_INET, ("127.0.0.1", port + GRPC_OFFSET)) == b"", name
        beside = f"/tmp/seaweedfs-{name}-grpc-{port + GRPC_OFFSET}.sock"
        if Path(beside).exists():
            assert answer_to_hello(socket.AF_UNIX, beside) == b"", name
    key = objects.data_dir / "grpc" / "member.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_server_that_speaks_grpc_with_everybody_would_be_noticed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

        def answer() -> None:
            with server.accept()[0] as client:
                client.recv(100)
                client.sendall(settings)

        answering = threading.Thread(target=answer)
        answering.start()
        assert answer_to_hello(socket.AF_UNIX, str(tmp_path / "s")) == settings
        answering.join()


def test_the_object_store_listens_only_where_we_said(objects: EmbeddedObjects) -> None:
    listening = psutil.Process(objects.process.pid).net_connections("tcp")
    found = {c.laddr for c in listening if c.status == psutil.CONN_LISTEN}
    assert {address.ip for address in found} == {"127.0.0.1"}
    chosen = {p + offset for p in objects.ports.values() for offset in (0, 10000)}
    assert {address.port for address in found} <= chosen


def test_objects_survive_sigkill_and_other_ports(tmp_path: Path) -> None:
    tmp_path = tmp_path / ("a long path " * 9)
    with EmbeddedObjects(tmp_path, *_KEYS) as first:
        store = S3Objects(first.url, *_KEYS, "fitq")
        store.ensure_bucket()
        store.put("small", b"s" * 100)
        store.put("large", os.urandom(1 << 20))
        os.kill(first.process.pid or 0, signal.SIGKILL)
        eventually(lambda: not first.process.is_running)
    (tmp_path / "ports.json").unlink()
    with EmbeddedObjects(tmp_path, *_KEYS) as second:
        again = S3Objects(second.url, *_KEYS, "fitq")
        assert second.ports != first.ports
        assert (again.size("small"), again.size("large")) == (100, 1 << 20)
        assert again.put_if_absent("small", b"other") is False


_PARENT = """
import sys, time
from pathlib import Path
from fitq.local.objects import EmbeddedObjects
from fitq.local.redis import EmbeddedRedis
folder = Path(sys.argv[1])
with EmbeddedRedis(folder / "redis") as r, EmbeddedObjects(folder / "objects", "key", "secret") as o:
    print(r.process.pid, o.process.pid, flush=True)
    time.sleep(60)
"""


def test_servers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    eventually(lambda: not any(_lives(pid) for pid in children))


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_taken_port_is_named_with_the_option_that_chooses_another() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Conflict, match=r"already in use.*--api-port"):
            claim_port(taken.getsockname()[1], what="the API", option="--api-port")
    assert claim_port(0, what="the API", option="--api-port") > 0


def test_no_port_is_the_grpc_partner_of_another() -> None:
    ports = free_ports_with_grpc(2000, 10_000)
    assert len({*ports, *(port + 10_000 for port in ports)}) == 4000


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20
