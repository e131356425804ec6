"""Which rungs of isolation hold on this machine, found once by trying, and the plan they make for a run.

A rung that does not work here is left out and said so: an honest short ladder is better than one that is
only believed in. What each rung does, and what none does, is in docs/architecture/09-isolation.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fitq.isolation import landlock
from fitq.isolation.groups import Group, Groups, find_groups

#: name → what it means for a run. In the order in which they are tried, and mostly of their strength.
RUNGS = {
    "keeper": "everything it starts ends with it",
    "groups": "the kernel limits its memory and its processes",
    "privileges": "it has no privilege of root's, and gets none by starting a program",
    "landlock": "it writes only to its own folder and scratch places, and sees into no other process",
    "signals": "it signals nothing outside",
    "mounts": "what is the platform's is covered, /tmp and /dev/shm are its own",
    "user": "it runs as a user who owns nothing else",
}
_TRIED = ("privileges", "landlock", "mounts", "user")
#: As systemd's dynamic users: nobody has an account there.
_FIRST_USER, _USERS = 61184, 4335
_LAUNCH = Path(__file__).with_name("launch.py")
_PROBE_SECONDS = 30
#: Where machines keep what opens other doors: never a run's business.
_SECRET_PLACES = (
    "/etc/shadow /etc/gshadow /etc/ssh /run/secrets /run/docker.sock /run/containerd "
    "~/.fitq ~/.azureml ~/.ssh ~/.aws ~/.azure ~/.config/gcloud ~/.kube ~/.docker ~/.netrc ~/.pypirc "
    "~/.git-credentials ~/.gnupg"
).split()
_SCRATCH_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
#: What must work under a ladder before it is believed in.
_PROBE = """
import multiprocessing, os, sys, tempfile
for name in ("here", os.path.expanduser("~/.probe")):
    with open(name, "w") as file: file.write("x")
tempfile.TemporaryFile().close()
multiprocessing.Lock()
for name in sys.argv[1:3]: open(name).close()
for name in sys.argv[3:]: __import__(name)
"""


#: The plan without a step.
UNCONFINED: dict[str, Any] = {
    "groups": [],
    "cpus": [],
    "limits": {},
    "mounts": None,
    "user": None,
    "gives_output": True,
    "privileges": False,
    "landlock": None,
}


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """What separates a run from this machine and from other runs."""

    rungs: tuple[str, ...] = ("keeper",)
    missing: dict[str, str] = field(default_factory=dict)  #: rung → why not here
    hidden: tuple[Path, ...] = ()  #: the platform's: no run sees them
    groups: Groups | None = None  #: where the kernel's limits for runs are made
    open: tuple[Path, ...] = ()  #: folders of this machine that runs may use

    def with_places(self, *, hidden: Iterable[Path], opened: Iterable[Path]) -> Ladder:
        """The same rungs for other places."""
        return dataclasses.replace(self, hidden=tuple(hidden), open=tuple(opened))

    def group_for(self, attempt: str, *, memory_bytes: int | None, processes: int) -> Group:
        """The kernel's limits for one attempt; an empty group where it has none.

        Raises:
            OSError: it cannot be made.
        """
        if self.groups is None:
            return Group()
        return self.groups.make(f"fitq-{attempt}", memory_bytes=memory_bytes, processes=processes)

    def end_group(self, attempt: str) -> None:
        """End what a dead worker left of an attempt, as far as the kernel kept it together."""
        if self.groups is not None:
            self.groups.of(f"fitq-{attempt}").end()

    def user_for(self, run: str) -> int | None:
        """The user a run executes as; None: the worker's.

        Where Landlock keeps runs apart they share one, so that they can share files where that is wanted.
        """
        if "user" not in self.rungs:
            return None
        return _FIRST_USER + (0 if "landlock" in self.rungs else 1 + zlib.crc32(run.encode()) % _USERS)

    def plan(
        self,
        run: str,
        *,
        folder: Path,
        scratch: Path,
        readable: Iterable[Path] = (),
        shares_scratch: bool = True,
        **more: Any,
    ) -> dict[str, Any]:
        """What `confine.py` does for one run.

        Args:
            run: names it.
            folder: its own, which it may read and write.
            scratch: inside of it, what it finds as /tmp.
            readable: what it needs of what is hidden: its interpreter, its functions.
            shares_scratch: it may also write to /tmp and /var/tmp where those are everybody's.
            more: other steps of the plan, as `confine.py` names them.
        """
        user = self.user_for(run)
        hidden = [str(p) for p in _outermost(_real([*self.hidden, *_secret_places()]))]
        readable = _outermost([*_interpreter(), *_real(readable)])
        writable = _real([folder, scratch, *self.open])
        shown = sorted({*readable, *writable})
        plan = {**UNCONFINED, "user": user, "privileges": "privileges" in self.rungs, **more}
        if "mounts" in self.rungs:
            closed = _closed_to_others(shown, folder) if user is not None else []
            plan["mounts"] = {
                "privileged": os.geteuid() == 0,
                "hidden": sorted({*hidden, *map(str, _outermost(closed))}),
                "shown": [str(p) for p in shown if p not in closed],
                "writable": [str(p) for p in writable],
                "scratch": str(scratch.resolve()),
            }
        if "landlock" in self.rungs:
            has_own_view = plan["mounts"] is not None
            places = _SCRATCH_PLACES if has_own_view or shares_scratch else ()
            plan["landlock"] = {
                "readable": [str(p) for p in readable],
                "writable": [*map(str, writable), *places],
                "hidden": [] if has_own_view else hidden,
            }
        return plan


def find_ladder(folder: Path, without: Collection[str] = ()) -> Ladder:
    """The longest ladder that holds here; tried in a folder like those of runs.

    Args:
        without: rungs that are not wanted, and so neither tried nor missing.
    """
    possible = tuple(rung for rung in _possible() if rung not in without)
    whole, problem = _hold(folder, possible)
    if whole:
        return _ladder(possible, {}, without)
    rungs: tuple[str, ...] = ()
    missing = {}
    for rung in possible:
        holds, problem = _hold(folder, (*rungs, rung))
        if holds:
            rungs = (*rungs, rung)
        else:
            missing[rung] = problem
    return _ladder(rungs, missing, without)


def _ladder(tried: Sequence[str], missing: dict[str, str], without: Collection[str]) -> Ladder:
    groups = None if "groups" in without else find_groups()
    rungs = ["keeper", *(["groups"] if groups else []), *tried]
    version = landlock.version()
    if "landlock" in tried and version >= landlock.WITH_SCOPES:
        rungs.append("signals")
    why = {
        "landlock": f"the kernel has no Landlock of version {landlock.OLDEST} ({version})",
        "signals": "the kernel's Landlock has no scopes (Linux 6.12)",
        "user": "the worker is not root",
        "groups": "no control groups can be made here; the worker watches memory instead",
    }
    for rung in RUNGS:
        if rung not in rungs and rung not in without:
            missing.setdefault(rung, why.get(rung, "it does not work here"))
    return Ladder(rungs=tuple(r for r in RUNGS if r in rungs), missing=missing, groups=groups)


def _possible() -> tuple[str, ...]:
    impossible = set()
    if landlock.version() < landlock.OLDEST:
        impossible.add("landlock")
    if os.geteuid() != 0:
        impossible.add("user")
    return tuple(r for r in _TRIED if r not in impossible)


def _hold(folder: Path, rungs: Sequence[str]) -> tuple[bool, str]:
    """Whether a Python program works under these rungs, and if not, what it said."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="probe-", dir=folder) as name:
        place = Path(name)
        place.chmod(0o711)
        own = place / "own"
        for made in (own, own / "tmp"):
            made.mkdir(mode=0o700)
        given = place / "given"
        given.write_text("x")
        given.chmod(0o644)
        ladder = Ladder(rungs=("keeper", *rungs), hidden=(folder,))
        give_to(ladder.user_for("probe"), own)
        plan = ladder.plan("probe", folder=own, scratch=own / "tmp", readable=[given])
        reads, says = os.pipe()
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(says), json.dumps(plan)]
                + [str(own), sys.executable, "-c", _PROBE, str(_LAUNCH), str(given), *_needed()],
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "HOME": str(own),
                    "TMPDIR": str(own / "tmp"),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[says],
                timeout=_PROBE_SECONDS,
                check=False,
            )
            os.close(says)
            ended = os.read(reads, 200).splitlines()[-1:]
        except (subprocess.TimeoutExpired, OSError) as exc:
            return False, str(exc)
        finally:
            os.close(reads)
    is_fine = bool(ended) and ended[0].split()[0] == b"0"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return is_fine, "" if is_fine else (last or ["it ended without a word"])[0]


def _needed() -> list[str]:
    return [name for name in ("numpy", "msgspec") if importlib.util.find_spec(name)]


def installation_of(python: Path) -> list[Path]:
    """Where an interpreter has its packages: its environment, and what that was made from."""
    return [path.parent.parent for path in (python, python.resolve())]


def own_places(home: Path, scratch: Path, *, is_own_user: bool, has_own_tmp: bool) -> dict[str, str]:
    """Variables of a process that has a home and a place for temporary files of its own.

    Args:
        is_own_user: it executes as a user that this machine has no name for.
        has_own_tmp: it sees `scratch` as its /tmp, a name short enough for sockets below it (107 bytes).
    """
    return {
        **(dict.fromkeys(("USER", "LOGNAME"), "fitq") if is_own_user else {}),
        "HOME": str(home),
        "TMPDIR": "/tmp" if has_own_tmp else str(scratch),  # noqa: S108
    }


def give_to(user: int | None, folder: Path) -> None:
    """Make a folder and all in it a user's; nothing if there is no other user."""
    if user is None:
        return
    os.chown(folder, user, user)
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(os.path.join(place, name), user, user, follow_symlinks=False)


def _secret_places() -> list[Path]:
    places = [Path(os.path.expanduser(p)) for p in _SECRET_PLACES]  # noqa: PTH111  without a HOME it stays
    above = [folder / name for folder in (Path.cwd(), *Path.cwd().parents) for name in (".fitq", ".azureml")]
    return [*places, *above]


@functools.cache
def _interpreter() -> list[Path]:
    """What this Python reads to run and to import, without links. It does not change while it runs."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.executable, *sys.path}
    found = [Path(p) for p in paths - {"", os.getcwd(), *_SCRATCH_PLACES}]
    return _real([*found, Path(__file__).parents[2]])


def _real(paths: Iterable[Path]) -> list[Path]:
    """Those that exist, without links, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path.resolve(strict=True)] = None
    return [p for p in found if p != Path("/")]


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that lie in another one."""
    every = set(paths)
    return sorted(p for p in every if not any(above in every for above in p.parents))


def _closed_to_others(paths: Iterable[Path], own: Path) -> list[Path]:
    """Folders above these that another user, to whom `own` belongs, cannot go through."""
    above = {p for path in paths for p in path.parents}
    return [p for p in above if not p.stat().st_mode & 0o001 and not p.is_relative_to(own.resolve())]
