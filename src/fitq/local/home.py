"""The data folder of a platform on this machine, and who holds it.

config.json    what clients need: addresses and token                     0600
secrets.json   token, Redis password, S3 keys; made at the first start    0600
stack.json     the running platform: pid, addresses, programs             0600
secrets/       a file for each secret that runs may name; yours to make
lock           held by the running platform for as long as it lives
redis/ objects/ work/ environments/ logs/
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitq.credentials import new_token
from fitq.errors import Conflict
from fitq.local.files import read_json, secret_folder, write_private_json

FOLDER = ".fitq"


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What only this machine's own programs know. Kept between starts."""

    token: str
    redis_password: str
    s3_access_key: str
    s3_secret_key: str


class Home:
    """One data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.config = self.folder / "config.json"
        self.logs = self.folder / "logs"
        self._state = self.folder / "stack.json"
        self._held: int | None = None

    # --- who holds it -----------------------------------------------------------------------------

    def claim(self) -> None:
        """Hold the folder until this process ends or `release` is called.

        Raises:
            Conflict: a platform runs on it; says where.
        """
        secret_folder(self.folder)
        # The kernel lets go of it however we end, so a lock left by a crash cannot exist.
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(lock)
            url = self.state().get("url")
            where = f"at {url}" if url else "and is just starting"
            raise Conflict(
                f"The platform on {self.folder} is already running {where}.",
                hint="Look at it with: fitq status. Stop it with: fitq down.",
            ) from exc
        self._held = lock

    def release(self) -> None:
        """Let go of the folder, if it is ours."""
        if self._held is None:
            return
        self._state.unlink(missing_ok=True)
        os.close(self._held)
        self._held = None

    @property
    def is_held(self) -> bool:
        """Whether some process holds the folder now."""
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    # --- what is in it ------------------------------------------------------------------------------

    def secrets(self, environment: Mapping[str, str]) -> Secrets:
        """The kept secrets; those that are missing are made. `FITQ_TOKEN` of the environment wins."""
        path = self.folder / "secrets.json"
        kept = read_json(path)
        fresh = Secrets(
            token=environment.get("FITQ_TOKEN") or kept.get("token") or new_token(),
            redis_password=kept.get("redis_password") or secrets.token_urlsafe(24),
            s3_access_key=kept.get("s3_access_key") or f"fitq{secrets.token_hex(6)}",
            s3_secret_key=kept.get("s3_secret_key") or secrets.token_urlsafe(32),
        )
        write_private_json(path, vars(fresh))
        return fresh

    def write_config(self, values: Mapping[str, Any]) -> None:
        """Tell clients where the platform is and what opens it."""
        write_private_json(self.config, {**values, "fitq_data": str(self.folder)})

    def tell_here(self) -> None:
        """Let clients in the working folder find this platform too, when its data is elsewhere."""
        beside = Path.cwd() / FOLDER / "config.json"
        if beside.parent.resolve() != self.folder and _may_replace(beside):
            secret_folder(beside.parent)
            write_private_json(beside, read_json(self.config))

    def keep_words(self, words: Mapping[str, str]) -> None:
        """Remember what the options said of pools, until the next start."""
        write_private_json(self.folder / "pools.json", words)

    def words_of_last_start(self) -> dict[str, str] | None:
        """What they said at the last start; None if there was none here."""
        path = self.folder / "pools.json"
        return read_json(path) if path.exists() else None

    def write_state(self, values: Mapping[str, Any]) -> None:
        """Tell `fitq status` and `fitq down` what runs."""
        write_private_json(self._state, values)

    def state(self) -> dict[str, Any]:
        """What `write_state` wrote last; empty if nothing runs."""
        return read_json(self._state)


def _may_replace(config: Path) -> bool:
    """Not what a person wrote, and not what another running platform needs."""
    if not config.exists():
        return True
    data = read_json(config).get("fitq_data", "")
    return bool(data) and not Home(config.parent).is_held and not Home(Path(data)).is_held


def find_home(data: Path | None) -> Home:
    """The folder that was named, else the one that a configuration on the way up names, else `./.fitq`."""
    if data is not None:
        return Home(data)
    for folder in (Path.cwd(), *Path.cwd().parents):
        named = read_json(folder / FOLDER / "config.json").get("fitq_data")
        if named:
            return Home(Path(named))
    return Home(Path.cwd() / FOLDER)
