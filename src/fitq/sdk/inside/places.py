"""Where in its folder a run keeps what it is given."""

import re
from pathlib import Path, PurePosixPath


def place(outputs: Path, name: str) -> Path:
    """Where a file that is uploaded under a name goes: into outputs, or logs if the name says so.

    Raises:
        ValueError: the name leads out of the run's folder.
    """
    parts = PurePosixPath(str(name).replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].startswith("/"):
        raise ValueError("%r is not a path inside the run's outputs" % (name,))
    if parts[0] == "logs" and len(parts) > 1:
        return outputs.parent.joinpath(*parts)
    return outputs.joinpath(*(parts[1:] if parts[0] == "outputs" else parts))


def fresh(outputs: Path, folder: str, name: str, suffix: str) -> Path:
    """A file name made of a metric's name that is not taken yet."""
    root = outputs / folder
    root.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name).strip("._") or "unnamed"
    if stem.lower().endswith(suffix.lower()):
        stem = stem[: -len(suffix)]
    taken, target = 1, root / (stem + suffix)
    while target.exists():
        taken += 1
        target = root / ("%s-%d%s" % (stem, taken, suffix))
    return target


def new_folder(root: Path) -> int:
    """Make the next numbered folder; several processes of a run may ask at once."""
    root.mkdir(exist_ok=True)
    number = 1 + max([int(f.name) for f in root.iterdir() if f.name.isdigit()] or [0])
    while True:
        try:
            (root / str(number)).mkdir()
            return number
        except FileExistsError:
            number += 1
