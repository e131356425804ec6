"""What the policy scan reads: `python -m tests.infra.scanned FOLDER` writes each overlay there as one file.

A ScaledJob is written as the Job that KEDA makes of it: scanners do not look into others' types. Secrets
are left out: these were made up for the occasion, and found they would be.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import yaml

from tests.infra.rendered import OVERLAYS, Object, render


def as_scanned(thing: Object) -> Object:
    """An object as a scanner knows it."""
    if thing["kind"] != "ScaledJob":
        return thing
    job = {"apiVersion": "batch/v1", "kind": "Job", "spec": thing["spec"]["jobTargetRef"]}
    return {**job, "metadata": thing["metadata"]}


def main(folder: Path) -> None:
    """Write every overlay."""
    for overlay in OVERLAYS:
        with tempfile.TemporaryDirectory() as scratch:
            things = [as_scanned(t) for t in render(overlay, Path(scratch)) if t["kind"] != "Secret"]
        (folder / f"{overlay}.yaml").write_text(yaml.safe_dump_all(things))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
