"""The users that infra/minio/users.sh makes, on a SeaweedFS of ours: it understands the same policies.

The script itself runs, with a stand-in for `mc` that notes what it is told; MinIO is not here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitq.local.objects import EmbeddedObjects
from tests.services.compose_file import ROOT

SCRIPT = ROOT / "infra" / "minio" / "users.sh"
#: `mc admin user add minio NAME < KEY`, `mc admin policy create minio NAME FILE`; other words are noted only.
_MC = """#!/bin/sh
set -eu
echo "$*" >> "$NOTED/calls"
case "$*" in
    "admin user add minio "*) cat > "$NOTED/$5.key" ;;
    "admin policy create minio "*) cp "$6" "$NOTED/$5.json" ;;
esac
"""


class Noted:
    """What `mc` was told."""

    def __init__(self, folder: Path) -> None:
        self.calls = (folder / "calls").read_text().splitlines()
        self.keys = {file.stem: file.read_text().strip() for file in folder.glob("*.key")}
        self.policies = {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


def run_script(environment: Mapping[str, str], folder: Path) -> Noted:
    """Execute the one-shot with the environment that the compose file gives it."""
    folder.mkdir(exist_ok=True)
    (folder / "mc").write_text(_MC)
    (folder / "mc").chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    subprocess.run(["sh", str(SCRIPT)], env={**environment, "PATH": path, "NOTED": str(folder)}, check=True)
    return Noted(folder)


class ObjectsWithUsers(EmbeddedObjects):
    """An S3 server with a root, and users under policies."""

    def __init__(self, data_dir: Path, root: tuple[str, str], noted: Noted) -> None:
        identities: list[dict[str, Any]] = [_identity(*root, actions=["Admin", "Read", "Write", "List"])]
        identities += [_identity(name, key, policyNames=[name]) for name, key in noted.keys.items()]
        policies = [{"name": name, "content": json.dumps(p)} for name, p in noted.policies.items()]
        self._config = data_dir.with_suffix(".json")
        self._config.write_text(json.dumps({"identities": identities, "policies": policies}))
        super().__init__(data_dir, *root)

    def _options(self) -> list[str]:
        return [*super()._options(), f"-s3.config={self._config}"]

    def _environment(self) -> dict[str, str]:
        return {k: v for k, v in super()._environment().items() if not k.startswith("AWS_")}


def _identity(name: str, key: str, **rights: list[str]) -> dict[str, Any]:
    credentials = [{"accessKey": name, "secretKey": key}]
    return {"name": name, "credentials": credentials, "actions": [], **rights}
