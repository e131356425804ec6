"""Where a submitted folder stands in git, so that a run can be traced to its source."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

_SECONDS = 5


def git_facts(folder: Path) -> dict[str, str]:
    """`commit`, `branch`, `dirty` ("true" or "false"), `remote`, and `path` of the folder inside the work
    tree. Empty outside a git work tree; never fails a submission."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    status = _git(folder, "status", "--porcelain", "--", ".")
    facts = {
        "commit": commit,
        "branch": _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD") or "",
        "dirty": "" if status is None else str(bool(status)).lower(),
        "remote": without_credentials(_git(folder, "config", "--get", "remote.origin.url") or ""),
        "path": (_git(folder, "rev-parse", "--show-prefix") or "").rstrip("/"),
    }
    return {name: value for name, value in facts.items() if value}


def without_credentials(remote: str) -> str:
    """An address without user, password or query: they often hold tokens. SSH's `git@` stays."""
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return remote
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    user = f"{parts.username}@" if parts.scheme == "ssh" and parts.username else ""
    return urlunsplit((parts.scheme, user + host, parts.path, "", ""))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None. A repository's own hooks and monitors do not run."""
    command = ["git", "-c", "core.fsmonitor=false", *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
