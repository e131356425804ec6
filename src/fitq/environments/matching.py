"""Which environment a model is loaded in: the one it was made in, as far as that decides its answers.

A pickle is only right in the versions that wrote it. What has the same scikit-learn, numpy and Python minor
version as this program is loaded in this program's own environment; anything else in the environment of its
run; and where there is none, in a small one made of the versions that were recorded.
"""

from __future__ import annotations

import functools
import platform
from importlib import metadata

from fitq.environments.builder import EnvironmentFolder, Environments
from fitq.environments.spec import EnvironmentSpec
from fitq.records import Versions

#: Where these are the same, answers are the same.
DECIDING = ("scikit-learn", "numpy")
#: Packages whose classes stand in model files, or that feed them.
_IN_MODELS = (
    "numpy", "scipy", "scikit-learn", "joblib", "pandas", "threadpoolctl", "cloudpickle", "lightgbm",
    "xgboost", "catboost", "imbalanced-learn", "category-encoders", "skops",
)  # fmt: skip
#: scikit-learn up to this minor version → numpy and Python with which it works: what its wheels say, and what
#: numpy has taken away since.
_ERAS = (
    ((0, 24), "numpy<1.20", ">=3.6,<3.10"),
    ((1, 0), "numpy<1.23", ">=3.7,<3.11"),
    ((1, 1), "numpy<1.24", ">=3.8,<3.12"),
    ((1, 3), "numpy<2", ">=3.8,<3.13"),
    ((1, 4), "numpy<2", ">=3.9,<3.13"),
)


@functools.cache
def own_versions() -> Versions:
    """Those of this program."""
    found = {}
    for name in _IN_MODELS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return Versions(python=platform.python_version(), packages=found)


def answers_alike(one: Versions, other: Versions) -> bool:
    """Whether models of one answer the same in the other. What is not known does not tell them apart."""
    known = [n for n in DECIDING if n in one.packages and n in other.packages]
    if any(one.packages[n] != other.packages[n] for n in known):
        return False
    return not (one.python and other.python) or _minor(one.python) == _minor(other.python)


def folder_for(
    environments: Environments, versions: Versions, hash: str, *, whole: bool = False
) -> EnvironmentFolder | None:
    """The environment for a model; None for this program's own.

    Args:
        versions: in which the model was made.
        hash: of the environment it was made in; empty if it is not one of ours.
        whole: everything in that environment counts, not only what decides answers: a script imports it.

    Raises:
        NotFound, EnvironmentFailed: it cannot be had.
        EnvironmentPostponed, Unavailable: not now.
    """
    if not (whole and hash) and answers_alike(versions, own_versions()):
        return None
    if hash:
        return environments.open(hash)
    spec = spec_of(versions)
    return environments.prepare(spec, environments.choose(spec))


def spec_of(versions: Versions) -> EnvironmentSpec:
    """The smallest environment that has these versions of what models are made of."""
    pinned = [f"{name}=={versions.packages[name]}" for name in _IN_MODELS if name in versions.packages]
    python = f"=={_minor(versions.python)}.*" if versions.python else ""
    if "numpy" not in versions.packages and "scikit-learn" in versions.packages:
        bound, pythons = _era(versions.packages["scikit-learn"])
        pinned += [bound, "joblib", "pandas"]
        python = python or pythons
    return EnvironmentSpec(requirements=sorted(pinned), python=python, strict=True)


def _era(scikit_learn: str) -> tuple[str, str]:
    """numpy and Python for a version of scikit-learn, of which nothing else is known."""
    first, second, *_ = (int(n) if n.isdigit() else 0 for n in [*scikit_learn.split("."), "0"])
    for newest, numpy, python in _ERAS:
        if (first, second) <= newest:
            return numpy, python
    return "numpy", ">=3.9"


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
