"""One of our own programs as a child process."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from fitq.local.process import Process
from fitq.offered_secrets import VARIABLE
from fitq.settings import Settings

#: What a program has no use for is not told to it: secrets above all.
_NOT_TOLD: dict[str, tuple[str, ...]] = {
    "api": ("secrets_folder",),
    "scheduler": ("token", "scaler_token", "secrets_folder"),
    "scoring": ("redis_url", "scaler_token", "secrets_folder"),
    "worker": ("token", "scaler_token"),
}


def child(program: str, name: str, settings: Settings, environment: Mapping[str, str], logs: Path) -> Process:
    """A program, not started yet.

    Args:
        program: api, scheduler, scoring or worker.
        name: for its log and for people.
        environment: inherited, without its `FITQ_…` variables: those come from `settings`. Only a worker gets
            the secrets for runs among them.
    """
    default = Settings()
    hidden = {field: getattr(default, field) for field in _NOT_TOLD[program]}
    told = dataclasses.replace(settings, **hidden)
    inherited = {k: v for k, v in environment.items() if not k.startswith("FITQ_")}
    if program == "worker":
        inherited |= {k: v for k, v in environment.items() if k.startswith(VARIABLE)}
    return Process(
        name,
        [sys.executable, "-P", "-m", "fitq", program],  # -P: the working folder shadows no module
        environment={**inherited, **told.to_environment()},
        log=logs / f"{name}.log",
        # When we are killed, a worker still has runs to end; the others just end.
        orphan_signal=signal.SIGTERM if program == "worker" else signal.SIGKILL,
    )
