"""TCP ports on this machine: which are free, and a sentence when one is not."""

from __future__ import annotations

import itertools
import random
import socket

from fitq.errors import Conflict, InvalidRequest

LOOPBACK = "127.0.0.1"
#: Below Linux's range for outgoing connections (32768–60999), which could take a port between our
#: look at it and the server's bind.
_CHOICES = range(10000, 32000)


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
    return _pick(count, _CHOICES, offset=0)


def free_ports_with_grpc(count: int, offset: int) -> list[int]:
    """Distinct free ports. The gRPC partner of each, `offset` above, is free too and no other of them."""
    below_partners = min(_CHOICES.stop - offset, _CHOICES.start + offset)
    return _pick(count, range(_CHOICES.start, below_partners), offset=offset)


def _pick(count: int, choices: range, *, offset: int) -> list[int]:
    shuffled = random.sample(choices, len(choices))
    found = list(itertools.islice((p for p in shuffled if is_free(p) and is_free(p + offset)), count))
    if len(found) < count:
        raise Conflict(f"There are no {count} free ports between {choices.start} and {choices.stop}.")
    return found


def claim_port(wanted: int, *, what: str, option: str, host: str = LOOPBACK, taken: int = 0) -> int:
    """`wanted` if it is free on `host`, a free one if it is 0; never `taken`.

    Raises:
        InvalidRequest: there is no such port.
        Conflict: somebody listens there; names the port and the option that chooses another.
    """
    if wanted == 0:
        return next(port for port in free_ports(2) if port != taken)
    if not 0 < wanted < 65536:
        raise InvalidRequest(f"{option} is {wanted}, which is not a port.", hint="Give 0 to 65535.")
    if wanted == taken or not is_free(wanted, host):
        raise Conflict(
            f"Port {wanted} for {what} is already in use.",
            hint=f"Stop what listens there, or choose another: {option} PORT, or {option} 0 for a free one.",
        )
    return wanted
