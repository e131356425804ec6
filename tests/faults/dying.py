"""A program that dies, or stops dead, at a named step: python -m tests.faults.dying STEP PROGRAM [ARGUMENTS]

The step is a function of fitq that is wrapped here, so that fitq itself has no such hook. PROGRAM is
`worker`, `scheduler`, or `submit` with a request as JSON and an Idempotency-Key.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from typing import Any, NamedTuple


class Step(NamedTuple):
    """When: around the n-th call of a function, given as module and path in it."""

    module: str
    path: str
    is_before: bool = True
    call: int = 1
    number: signal.Signals = signal.SIGKILL


STEPS = {
    "before-claim": Step("fitq.claims", "claim"),
    "after-claim": Step("fitq.claims", "claim", is_before=False),
    "environment-half-built": Step("fitq.environments.building", "Building.facts"),
    "prepared": Step("fitq.worker.folder", "RunFolder.take_snapshot", is_before=False),
    "between-uploads": Step("fitq.worker.collect", "keep_file", call=2),
    "uploaded": Step("fitq.final_records", "finish"),
    "ended-in-the-object-store": Step("fitq.final_records", "adopt"),
    "ended-before-the-message-is-answered": Step("fitq.final_records", "finish", is_before=False),
    "pause-when-uploaded": Step("fitq.final_records", "finish", number=signal.SIGSTOP),
    "pause-before-the-last-put": Step("fitq.final_records", "publish", number=signal.SIGSTOP),
    "key-remembered": Step("fitq.submission", "_accepted_before"),
    "accepted-in-the-object-store": Step("fitq.store.state", "RedisState.add_run"),
    "accepted-in-redis": Step("fitq.queue", "Queue.send"),
}


def plant(step: Step) -> None:
    """From now on this process does not get past the step."""
    *path, name = step.path.split(".")
    holder: Any = importlib.import_module(step.module)
    for part in path:
        holder = getattr(holder, part)
    original, calls = getattr(holder, name), 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if step.is_before and calls == step.call:
            _stop_here(step.number)
        result = original(*args, **kwargs)
        if not step.is_before and calls == step.call:
            _stop_here(step.number)
        return result

    setattr(holder, name, wrapped)


def _stop_here(number: signal.Signals) -> None:
    # Sent to the process, it may be another thread that takes it, a moment later.
    signal.pthread_kill(threading.get_ident(), number)


def main() -> None:
    from fitq.backend import open_backend
    from fitq.programs import run_scheduler, run_worker
    from fitq.records import RunRequest, from_json
    from fitq.settings import Settings
    from fitq.submission import submit

    step, program, *words = sys.argv[1:]
    if step != "none":
        plant(STEPS[step])
    settings = Settings.from_environment(os.environ)
    if program == "worker":
        run_worker(settings)
    elif program == "scheduler":
        run_scheduler(settings)
    else:
        submit(open_backend(settings), from_json(words[0], RunRequest), idempotency_key=words[1])


if __name__ == "__main__":
    main()
