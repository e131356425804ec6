"""The families of failures, in the order they are asked. A new one: a file there, its name here."""

from __future__ import annotations

from fitq.worker.doctor.families import (
    arguments,
    credentials,
    disk,
    exceptions,
    exits,
    files,
    limits,
    memory,
    mismatch,
    modules,
    network,
    permission,
    pickled,
    pickling,
    removed,
    shutdown,
    signals,
    start,
    syntax,
    values,
)

#: Asked once, with how the process ended: `recognise(case)`.
OF_THE_END = (limits, signals, arguments)
#: Asked for each exception that may be the reason, the likeliest first: `recognise(case, trace)`.
OF_EXCEPTIONS = (
    syntax,
    disk,
    memory,
    pickled,
    removed,
    pickling,
    mismatch,
    shutdown,
    modules,
    credentials,
    network,
    files,
    permission,
    values,
)
ALL = (*OF_THE_END, *OF_EXCEPTIONS, exceptions, exits, start)
#: Every kind of failure there is, with its one sentence.
KINDS: dict[str, str] = {kind: sentence for family in ALL for kind, sentence in family.KINDS.items()}
