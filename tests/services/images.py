"""A service's installed environment, without docker and without a network.

A bare venv whose site-packages links exactly the distributions that `requirements/<service>.txt` pins, and
the project. What the pins forget is missing here as it would be in the image.
"""

from __future__ import annotations

import re
import sys
import venv
from importlib import metadata
from pathlib import Path

from tests.services.compose_file import ROOT


def install(service: str, folder: Path) -> Path:
    """Make the environment; returns its `bin`."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    programs = folder / "bin"
    for name in pinned(service):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform or Python
        _link(distribution, packages)
        _copy_programs(distribution, programs)
    (packages / "fitq").symlink_to(ROOT / "src" / "fitq")
    return programs


def pinned(name: str) -> dict[str, str]:
    """Distribution → version, as a file of `requirements/` says."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    found = (re.match(r"([\w.-]+)==(\S+)", ln) for ln in lines)
    return {m[1]: m[2] for m in found if m}


def _link(distribution: metadata.Distribution, packages: Path) -> None:
    here = Path(str(distribution.locate_file("")))
    tops = {file.parts[0] for file in distribution.files or []}
    for top in tops - {"..", "__pycache__"}:
        if not (packages / top).exists():
            (packages / top).symlink_to(here / top)


def _copy_programs(distribution: metadata.Distribution, programs: Path) -> None:
    for file in distribution.files or []:
        source = Path(str(file.locate())).resolve()
        if source.parent == Path(sys.executable).parent.resolve() and source.read_bytes()[:2] == b"#!":
            _, _, body = source.read_text().partition("\n")
            (programs / source.name).write_text(f"#!{programs / 'python'}\n{body}")
            (programs / source.name).chmod(0o755)
