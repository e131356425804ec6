"""Being told to stop: SIGTERM and SIGINT as an event that any thread may wait for."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType

_NOTHING: Mapping[int, Callable[[], None]] = MappingProxyType({})


def set_on_signals(stop: threading.Event, others: Mapping[int, Callable[[], None]] = _NOTHING) -> None:
    """Set `stop` when this process is told to end. Call it in the main thread.

    Args:
        others: what to call, in a thread, for further signals.

    A handler must not set the event itself: it may interrupt the main thread while that holds the
    event's own lock. So the signal only writes a byte, and a thread that reads it sets the event.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (signal.SIGTERM, signal.SIGINT, *others):
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_set_when_told, args=(stop, others, reader, writer), daemon=True).start()


def _set_when_told(
    stop: threading.Event,
    others: Mapping[int, Callable[[], None]],
    reader: socket.socket,
    writer: socket.socket,
) -> None:
    # Both sockets stay open until the process ends: later signals still write to one of them.
    while {signal.SIGTERM, signal.SIGINT}.isdisjoint(told := reader.recv(64)):
        for number in set(told) & others.keys():
            others[number]()
    stop.set()
    _KEPT.extend((reader, writer))


_KEPT: list[socket.socket] = []
