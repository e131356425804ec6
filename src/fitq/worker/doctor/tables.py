"""What the doctor knows by heart: the tables of `data/`, read once.

`removed.csv` and `added.csv` were measured: each row by running what it says under the releases on both sides
of the change. A row is written as a script would write it: `numpy.float`, `pandas.DataFrame.append`,
`sklearn.preprocessing.OneHotEncoder(sparse=)`, `sklearn.tree.DecisionTreeRegressor(criterion='mse')`; `a.b|c`
is `a.b` and `a.c`.
"""

from __future__ import annotations

import csv
import difflib
import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fitq.environments.curated import CURATED

_DATA = Path(__file__).with_name("data")
_WRITTEN = re.compile(
    r"(?P<path>[\w.]+\.)?(?P<names>[\w|]+)(?:\((?P<keyword>\w+)=(?P<value>'[^']*'|\w+)?\))?"
)
_SHORT = {"numpy": "np", "pandas": "pd"}


@dataclass(frozen=True, kw_only=True)
class Name:
    """Something a script may write: a name, a keyword of a call, or a value of a keyword."""

    path: str  #: where it is: `sklearn.preprocessing`
    name: str  #: `OneHotEncoder`
    keyword: str = ""
    value: str = ""  #: as written, with quotes

    @property
    def owner(self) -> str:
        """The last part of its path: a module, or a class."""
        return self.path.rpartition(".")[2]

    @property
    def shown(self) -> str:
        """As people know it: `np.float`, `DataFrame.append`, `OneHotEncoder(sparse=)`."""
        call = f"({self.keyword}={self.value})" if self.keyword else ""
        if self.owner[:1].isupper() or self.owner == "ndarray":
            return f"{self.owner}.{self.name}{call}"
        return f"{self.name}{call}" if call else f"{_SHORT.get(self.path, self.path)}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Removed(Name):
    """What a version took away."""

    package: str
    gone_in: str
    instead: str


@dataclass(frozen=True, kw_only=True)
class Added(Name):
    """What a version brought."""

    package: str
    since: str
    before: str  #: what older versions have for it


@functools.cache
def removed() -> tuple[Removed, ...]:
    """All rows of removed.csv, one per name."""
    return tuple(
        Removed(**name, package=row["package"], gone_in=row["gone_in"], instead=row["instead"])
        for row in _rows("removed")
        for name in _names(row["written"])
    )


@functools.cache
def added() -> tuple[Added, ...]:
    """All rows of added.csv, one per name."""
    return tuple(
        Added(**name, package=row["package"], since=row["since"], before=row["before"])
        for row in _rows("added")
        for name in _names(row["written"])
    )


@functools.cache
def former_modules() -> dict[str, str]:
    """Modules that Python had once → what became of them."""
    return {row["module"]: row["now"] for row in _rows("former_modules")}


@functools.cache
def _packages() -> dict[str, str]:
    return {row["module"]: row["package"] for row in _rows("packages")}


def _rows(table: str) -> list[dict[str, str]]:
    with (_DATA / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _names(written: str) -> Iterator[dict[str, str]]:
    found = _WRITTEN.fullmatch(written)
    assert found is not None, f"not how a row is written: {written}"
    for name in found["names"].split("|"):
        yield {
            "path": (found["path"] or "").rstrip("."),
            "name": name,
            "keyword": found["keyword"] or "",
            "value": found["value"] or "",
        }


def removed_names(owner: str, name: str) -> list[Removed]:
    """Rows of a name that is missing from `owner`: a module's path, or a class's name."""
    return [r for r in removed() if r.name == name and not r.keyword and owner in (r.path, r.owner)]


def removed_of(package_root: str, name: str) -> list[Removed]:
    """Rows of a name of a package, wherever in it: old versions do not say where they looked."""
    return [r for r in removed() if r.name == name and r.path.partition(".")[0] == package_root]


def removed_below(path: str) -> list[Removed]:
    """Rows of a module that is missing, or of one that it was in."""
    parts = path.split(".")
    above = {".".join(parts[:n]) for n in range(len(parts), 1, -1)}
    return [r for r in removed() if not r.keyword and f"{r.path}.{r.name}" in above]


def removed_keywords(keyword: str, words: str) -> list[Removed]:
    """Rows of a keyword, for a call whose name stands in `words`."""
    named = set(re.findall(r"\w+", words))
    return [r for r in removed() if r.keyword == keyword and not r.value and r.name in named]


def removed_values(keyword: str, value: str) -> list[Removed]:
    """Rows of a value that a keyword took once."""
    return [r for r in removed() if (r.keyword, r.value) == (keyword, value)]


def added_names(name: str, words: str) -> list[Added]:
    """Rows of a name that is missing, where `words` speak of its package."""
    return [r for r in added() if r.name == name and not r.keyword and _speaks_of(r, words)]


def added_keywords(keyword: str, words: str) -> list[Added]:
    """Rows of a keyword, for a call whose name stands in `words`."""
    named = set(re.findall(r"\w+", words))
    return [r for r in added() if r.keyword == keyword and r.name in named]


def _speaks_of(row: Added, words: str) -> bool:
    return row.path.partition(".")[0] in words or row.owner in words


def package_of(module: str) -> str:
    """The package to install for a module: `cv2` → `opencv-python-headless`; else its own name."""
    known = _packages()
    parts = module.split(".")
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((known[name] for name in names if name in known), parts[0])


def environment_with(package: str, gone_in: str) -> str:
    """An environment in which something is still there: the newest curated one, or what to ask for."""
    found: dict[tuple[int, ...], str] = {}
    for curated in CURATED:
        pins = dict(pin.split("==") for pin in curated.requirements)
        if package in pins and number(pins[package]) < number(gone_in):
            found.setdefault(number(pins[package]), curated.name)
    return f"--environment {found[max(found)]}" if found else f"one with {package}<{gone_in}"


def near(name: str, known: Iterable[str]) -> str:
    """The one of `known` that was probably meant; empty if none is close."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)), "")


def number(version: str) -> tuple[int, ...]:
    """The first two numbers of a version, to compare releases."""
    return tuple(int(part) for part in re.findall(r"\d{1,6}", version)[:2])
