"""The API, or scoring, as a process; what is sent to it by hand, and what came back."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from fitq.local.ports import free_ports
from fitq.settings import Settings
from tests.conftest import eventually

AUTHORIZATION = {"Authorization": "Bearer test-token"}
EXPLAINED = {"message", "code", "hint", "request_id", "expected", "got", "at", "curl"}


class Web:
    """A program of ours that answers HTTP."""

    def __init__(
        self, settings: Settings, log: Path, program: str = "api", *, most_files: int | None = None
    ) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.program, self.log = program, log
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FITQ_")},
            **settings.to_environment(),
            f"FITQ_{program.upper()}_PORT": str(self.port),
            f"FITQ_{'SCORING_' if program == 'scoring' else ''}URL": self.url,
        }
        command = [sys.executable, "-m", "fitq", program]
        if most_files is not None:
            command = ["sh", "-c", f"ulimit -n {most_files} && exec {shlex.join(command)}"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)

    @property
    def answers(self) -> bool:
        try:
            return self.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def get(self, path: str, *, seconds: float = 60) -> httpx2.Response:
        """Over a connection of its own."""
        return httpx2.get(f"{self.url}{path}", headers=AUTHORIZATION, trust_env=False, timeout=seconds)

    def post(self, path: str, content: Any, **headers: str) -> httpx2.Response:
        """JSON, unless the headers say otherwise."""
        sent = {**AUTHORIZATION, "content-type": "application/json", **headers}
        return httpx2.post(f"{self.url}{path}", content=content, headers=sent, trust_env=False, timeout=60)

    def connect(self) -> socket.socket:
        """A connection over which nothing was sent."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def send(self, *pieces: bytes) -> tuple[int, dict[str, Any]]:
        """The status and the body of what these bytes are answered, over a connection of their own."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            return answered(connection)


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """The status and the body of the answer that comes next."""
    answer = HTTPResponse(connection)
    answer.begin()
    body: dict[str, Any] = msgspec.json.decode(answer.read())
    assert body.get("request_id") == answer.getheader("x-request-id")
    return answer.status, body


def head(line: str, **headers: str) -> bytes:
    """The head of a request, authorized."""
    told = {"Host": "127.0.0.1", **AUTHORIZATION, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return "\r\n".join([f"{line} HTTP/1.1", *(f"{k}: {v}" for k, v in told.items()), "", ""]).encode()


@contextlib.contextmanager
def running(*webs: Web) -> Iterator[Web]:
    """Inside, they answer; the first of them is at hand."""
    try:
        for web in webs:
            eventually(lambda: web.answers, seconds=90, what="it answers")  # noqa: B023
        yield webs[0]
    finally:
        for web in webs:
            web.process.kill()
            web.process.wait()
