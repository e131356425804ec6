"""Rules of secrets: which names a run may give. No value of one is ever here: workers have them.

A worker tells the names of those that it has (`worker/vault.py`); a pool's settings may allow its runs
fewer. What can be told at submission is refused there; the rest, a pool that was at zero or a file that
was taken away, is found by the worker that starts the run.
"""

from __future__ import annotations

from collections.abc import Collection

from fitq import pools
from fitq.backend import Backend
from fitq.errors import InvalidRequest
from fitq.names import check_name, did_you_mean

#: All that a run prints is searched for each of them.
_MOST = 32
#: Before a secret's name, the variable that hands it to a worker.
VARIABLE = "FITQ_SECRET_"


def check_names(names: Collection[str], variables: Collection[str]) -> None:
    """Refuse names that cannot be secrets of one run, which also has these variables."""
    for name in names:
        check_name("secret", name)
        if name in variables:
            raise InvalidRequest(
                f"{name} is named as a secret and given as a variable.", at="secrets", hint="Do one of them."
            )
    if len(names) > _MOST:
        raise InvalidRequest(f"A run may name {_MOST} secrets, not {len(names)}.", at="secrets")


def named(backend: Backend, pool: str, names: Collection[str]) -> list[str]:
    """The secrets that a run names, each once, if its pool gives them as far as anybody can tell now.

    Raises:
        InvalidRequest: the pool's settings, or all of its workers, do without one.
    """
    wanted = list(dict.fromkeys(names))
    if wanted:
        check_allowed(backend, pool, wanted)
        _check_had(backend, pool, wanted)
    return wanted


def check_allowed(backend: Backend, pool: str, names: Collection[str]) -> None:
    """Refuse what a pool's settings keep from its runs.

    Raises:
        InvalidRequest: naming the first.
    """
    settings = backend.state.list_pools().get(pool)
    if settings is None or settings.secrets is None:
        return
    allowed = settings.secrets
    for name in names:
        if name not in allowed:
            raise InvalidRequest(
                f"Pool {pool!r} gives its runs no secret {name!r}. {did_you_mean(name, allowed)}".strip(),
                at="secrets",
                hint=f"It gives {', '.join(allowed) or 'none'}. Use another pool, or add the name to "
                f"`secrets` of its document (kind: Pool, name: {pool}) and apply that.",
                expected=allowed,
                got=list(names),
            )


def _check_had(backend: Backend, pool: str, names: Collection[str]) -> None:
    """A pool without workers is believed: the next one may have it."""
    workers = [worker for worker in pools.live_workers(backend) if worker.pool == pool]
    had = {name for worker in workers for name in worker.secrets}
    for name in names if workers else ():
        if name not in had:
            raise InvalidRequest(
                f"No worker of pool {pool!r} has a secret {name!r}. {did_you_mean(name, had)}".strip(),
                at="secrets",
                hint=where_to_put(name),
                got=list(names),
            )


def where_to_put(name: str) -> str:
    """How a worker comes to have a secret."""
    return (
        f"Put it into a file {name} in the folder that FITQ_SECRETS_FOLDER names to the pool's workers "
        f"(.fitq/secrets under fitq up), or start them with {VARIABLE}{name} set."
    )
