"""TCP ports on this machine: which are free, and a sentence when one is not."""

from __future__ import annotations

import random
import socket

from fitq.errors import Conflict

LOOPBACK = "127.0.0.1"
#: Below Linux's range for outgoing connections (32768–60999), which could take a port between our
#: look at it and the server's bind.
_CHOICES = range(20000, 32000)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: past TIME_WAIT
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Distinct ports on which nothing listens."""
    found: list[int] = []
    for port in random.sample(_CHOICES, len(_CHOICES)):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise Conflict(f"There are no {count} free ports between {_CHOICES.start} and {_CHOICES.stop}.")


def claim_port(wanted: int, *, what: str, option: str) -> int:
    """`wanted` if it is free, a free one if it is 0.

    Raises:
        Conflict: somebody listens there; names the port and the option that chooses another.
    """
    if wanted == 0:
        return free_ports(1)[0]
    if not 0 < wanted < 65536 or not is_free(wanted):
        raise Conflict(
            f"Port {wanted} for {what} is already in use.",
            hint=f"Stop what listens there, or choose another with {option} PORT ({option} 0 picks a free one).",
        )
    return wanted
