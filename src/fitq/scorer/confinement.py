"""What keeps a scorer child from the rest of its machine: the rungs that runs have, as far as they hold here.

Each child has a fresh folder, the only place that it may write to: <within>/fitq-scorer-<random>/
    own/        HOME, and where it starts
    own/tmp/    TMPDIR, and /tmp where the machine allows it
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fitq.isolation.ladder import UNCONFINED, Ladder, find_ladder, give_to, installation_of, own_places
from fitq.logs import get_logger
from fitq.settings import Settings

log = get_logger(__name__)
#: Scorers have limits of their own. The files of models and scripts are those of the program's user.
_NOT_OF_SCORERS = ("groups", "user")
#: What programs of the platform keep among the machine's temporary files begins so.
_TEMPORARY = "fitq-*"


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """How the scorer children of a program are confined. The default: their processes end with them."""

    ladder: Ladder = field(default_factory=Ladder)
    within: Path | None = None  #: where they have their folders; None: among the machine's temporary files
    name: str = "scorer"  #: whose user they execute as, where that is another one

    def hiding(self, *folders: Path) -> Confinement:
        """The same with more that no child sees but what it needs of it."""
        hidden = [*self.ladder.hidden, *folders]
        return replace(self, ladder=self.ladder.with_places(hidden=hidden, opened=self.ladder.open))

    def cell(self, interpreter: str, reads: Iterable[Path]) -> Cell:
        """For one child.

        Args:
            interpreter: what executes in it.
            reads: files and folders that it needs, wherever they lie.

        Raises:
            OSError: there is no room for its folder.
        """
        if not {"privileges", "landlock", "mounts", "user"} & set(self.ladder.rungs):
            return Cell()
        folder = Path(tempfile.mkdtemp(prefix="fitq-scorer-", dir=self.within)).resolve()
        own, user = folder / "own", self.ladder.user_for(self.name)
        folder.chmod(0o711)
        for made in (own, own / "tmp"):
            made.mkdir(mode=0o700)
        give_to(user, own)
        beside = Path(tempfile.gettempdir()).glob(_TEMPORARY)
        ladder = self.ladder.with_places(hidden=[*self.ladder.hidden, *beside], opened=[])
        plan = ladder.plan(
            self.name,
            folder=own,
            scratch=own / "tmp",
            readable=[*installation_of(Path(interpreter)), *reads],
            shares_scratch=False,
            gives_output=False,  # it is the program's
        )
        has_own_tmp = "mounts" in self.ladder.rungs
        places = own_places(own, own / "tmp", is_own_user=user is not None, has_own_tmp=has_own_tmp)
        return Cell(plan=plan, folder=folder, starts_in=str(own), variables=places)


NOT_CONFINED = Confinement()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one child is started with. The default: as its program is."""

    plan: dict[str, Any] = field(default_factory=lambda: UNCONFINED)
    folder: Path | None = None  #: its own; to be removed when it is gone
    starts_in: str = "."
    variables: dict[str, str] = field(default_factory=dict)

    def remove(self) -> threading.Thread:
        """Soon: nobody has to wait, because the child may have left very much."""
        removing = threading.Thread(target=self._remove, name="remove-cell")
        removing.start()
        return removing

    def _remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def confinement(settings: Settings) -> Confinement:
    """What this machine can do, unless nothing is wanted. Tried once in each program: that takes a moment."""
    if settings.isolation == "off":
        return NOT_CONFINED
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    work = Path(settings.work_dir or cache / "fitq" / "work").absolute()
    private = [*settings.private_paths.split(os.pathsep), settings.secrets_folder]
    return Confinement(ladder=_found()).hiding(work, *(Path(p).absolute() for p in private if p))


@functools.cache
def _found() -> Ladder:
    with tempfile.TemporaryDirectory(prefix="fitq-ladder-") as folder:
        found = find_ladder(Path(folder), without=_NOT_OF_SCORERS)
    for rung, reason in found.missing.items():
        log.warning("isolation_rung_missing", rung=rung, reason=reason, of="scorer children")
    return found
