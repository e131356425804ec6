"""The processes that share one scoring port, and what they tell of each other.

Which of them answers a connection is the kernel's choice, so each can be asked for the metrics of all. It
asks its peers over sockets in a folder that only they know. Counts are told per process and not summed up: a
process that was replaced begins at zero, which Prometheus can tell from a sum that went down only so.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

import httpx2

from fitq.logs import get_logger

log = get_logger(__name__)
_ASK_SECONDS = 2.0
#: Where a process tells what it has counted itself.
OWN_METRICS = "/metrics/own"


class Peers:
    """Processes number 0 to `count` - 1; this one is `number`."""

    def __init__(self, folder: Path, number: int = 0, count: int = 1) -> None:
        self.folder, self.number, self.count = folder, number, count

    def listen(self) -> list[socket.socket]:
        """Where this process hears its peers; nowhere if it has none."""
        if self.count == 1:
            return []
        path = self._path(self.number)
        path.unlink(missing_ok=True)  # of one that this replaces
        own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        own.bind(str(path))
        return [own]

    async def metrics(self, own: bytes) -> bytes:
        """Metrics of every process that answers, in the scrape format."""
        if self.count == 1:
            return own
        others = [n for n in range(self.count) if n != self.number]
        told = await asyncio.gather(*(self._asked(n) for n in others))
        return merged({self.number: own, **dict(zip(others, told, strict=True))})

    async def _asked(self, number: int) -> bytes:
        transport = httpx2.AsyncHTTPTransport(uds=str(self._path(number)))
        try:
            async with httpx2.AsyncClient(transport=transport, timeout=_ASK_SECONDS) as client:
                answer = await client.get(f"http://peer{OWN_METRICS}")
                return answer.raise_for_status().content
        except httpx2.HTTPError as exc:  # it ended and is not back yet; its lines are back with it
            log.warning("peer_does_not_answer", number=number, error=str(exc))
            return b""

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.sock"


def merged(told: Mapping[int, bytes]) -> bytes:
    """Several processes' metrics as one text: each metric once, each line with its process."""
    metrics: dict[bytes, list[bytes]] = {}  #: # HELP and # TYPE → lines
    for number, text in sorted(told.items()):
        head: list[bytes] = []
        for line in text.splitlines():
            if line.startswith(b"# HELP"):
                head = [line]
            elif line.startswith(b"#"):
                lines = metrics.setdefault(b"\n".join([*head, line]), [])
            else:
                lines.append(_labelled(line, number))
    return b"".join(b"%s\n%s\n" % (head, b"\n".join(lines)) for head, lines in metrics.items() if lines)


def _labelled(line: bytes, number: int) -> bytes:
    """A line with the label `process`, before its others."""
    name, brace, rest = line.partition(b"{")
    if brace:
        return b'%s{process="%d",%s' % (name, number, rest)
    name, _, value = line.partition(b" ")
    return b'%s{process="%d"} %s' % (name, number, value)
