"""Rules of built environments: which exact packages there are, and which runs used them last.

A hash is used by runs whose records name it; only the newest runs are looked at, so a use of long ago is not
known any more.
"""

from __future__ import annotations

from typing import NamedTuple

from fitq import runs
from fitq.backend import Backend
from fitq.environments.kept import Kept, KeptEnvironment
from fitq.records import RunRecord

_RUNS_LOOKED_AT = 500


class UsedEnvironment(NamedTuple):
    """Exact packages under a hash, and who used them."""

    kept: KeptEnvironment
    runs: list[RunRecord]  #: newest first, as far as known

    @property
    def names(self) -> list[str]:
        """What runs called it, the newest first."""
        return list(dict.fromkeys(run.environment.name for run in self.runs))


def list_used(backend: Backend, most: int) -> tuple[list[UsedEnvironment], int]:
    """Built environments, at most so many, the one that was used last first; and how many there are."""
    users = _users(backend)
    hashes = backend.objects.list_folders(backend.keys.environments())
    order = [*(h for h in users if h in set(hashes)), *(h for h in hashes if h not in users)]
    kept = Kept(backend.objects, backend.keys)
    found = ((kept.find(h), users.get(h, [])) for h in order[:most])
    return [UsedEnvironment(k, used) for k, used in found if k is not None], len(hashes)


def find_used(backend: Backend, hash: str) -> UsedEnvironment:
    """One of them.

    Raises:
        NotFound: nothing was ever built to its end under that hash.
    """
    kept = Kept(backend.objects, backend.keys).get(hash)
    return UsedEnvironment(kept, _users(backend).get(hash, []))


def build_log(backend: Backend, hash: str) -> str:
    """What its first build said."""
    return (backend.objects.get(backend.keys.environment_log(hash)) or b"").decode("utf-8", "replace")


def _users(backend: Backend) -> dict[str, list[RunRecord]]:
    """Hash → the newest runs in it, in the order of their last use."""
    users: dict[str, list[RunRecord]] = {}
    for run in runs.page(backend, limit=_RUNS_LOOKED_AT).runs:
        if run.environment.hash:
            users.setdefault(run.environment.hash, []).append(run)
    return users
