"""Which names a model file of unknown origin may import.

A list of what is allowed, by whole names: everything else is refused, and so is a file that cannot be
followed to its end. Estimators, and what numpy and scipy need to bring back arrays, are allowed; functions
that take other functions, code or paths are not. What stands in scikit-learn's modules is allowed only if it
was also defined there: that is looked at when the file is loaded (`child.only`), because other modules' names
are importable from them too.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Collection
from pathlib import Path

from fitq.errors import ModelUnusable
from fitq.scorer.pickles import Global, Unreadable, read_pickle
from fitq.scorer.reasons import APPROVE
from fitq.scorer.skops_files import UnreadableSkops, is_skops, names_in_skops

#: Parts of scikit-learn that no fitted model needs.
_NOT = re.compile(r"sklearn\.(datasets|externals|conftest|utils\._testing|utils\._mocking|.*\.tests)(\..*)?")
_CLASS = re.compile(r"_?[A-Z][A-Za-z0-9_]*")
_MODULE = re.compile(r"sklearn(\.[A-Za-z_][A-Za-z0-9_]*)+")
#: Modules of scikit-learn whose functions are only arithmetic: scorers, and tests of features.
_ARITHMETIC = re.compile(
    r"sklearn\.(metrics\._(classification|regression|ranking)|feature_selection\._(univariate_selection|mutual_info))"
)
_MADE_ANEW = re.compile(r"__pyx_unpickle_[A-Za-z0-9_]+|newObj|_kmeans_single_(lloyd|elkan)")
_NUMBERS = [
    "bool",
    "bool_",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "str_",
]
_MATRICES = ("csr", "csc", "coo", "dok", "lil", "bsr", "dia")
_FUNCTIONS = [
    "log",
    "log1p",
    "log2",
    "log10",
    "exp",
    "expm1",
    "sqrt",
    "cbrt",
    "square",
    "abs",
    "absolute",
    "sign",
    "mean",
    "median",
    "nanmean",
    "nanmedian",
]
_ALLOWED = frozenset(
    Global(module, name)
    for module, names in {
        "joblib.numpy_pickle": ["NumpyArrayWrapper"],
        "numpy": ["ndarray", "dtype", *_NUMBERS, *_FUNCTIONS],
        "numpy.ma": ["MaskedArray"],
        "numpy.ma.core": ["MaskedArray", "_mareconstruct"],
        **{f"numpy.{core}.multiarray": ["_reconstruct", "scalar"] for core in ("core", "_core")},
        **{f"numpy.{core}.numeric": ["_frombuffer"] for core in ("core", "_core")},
        "numpy.random._pickle": ["__bit_generator_ctor", "__randomstate_ctor", "__generator_ctor"],
        "numpy.random._mt19937": ["MT19937"],
        "numpy.random._pcg64": ["PCG64"],
        "numpy.random.bit_generator": ["SeedSequence", "__pyx_unpickle_SeedSequence"],
        "numpy.random": ["RandomState", "Generator"],
        "numpy.random.mtrand": ["RandomState"],
        "numpy.random._generator": ["Generator"],
        **{f"scipy.sparse._{m}": [f"{m}_matrix", f"{m}_array"] for m in _MATRICES},
        **{f"scipy.sparse.{m}": [f"{m}_matrix"] for m in _MATRICES},
        "scipy.interpolate._bsplines": ["BSpline"],
        "scipy.interpolate._interpolate": ["interp1d"],
        "scipy.interpolate.interpolate": ["interp1d"],
        "_codecs": ["encode"],  # bytes, in the oldest protocols
        "collections": ["OrderedDict", "defaultdict"],
        **{
            module: [
                "set",
                "frozenset",
                "slice",
                "complex",
                "bytes",
                "bytearray",
                "object",
                "range",
                "int",
                "float",
                "str",
                "bool",
                "list",
                "dict",
                "tuple",
            ]
            for module in ("builtins", "__builtin__")
        },
        **{module: ["_reconstructor"] for module in ("copyreg", "copy_reg")},
    }.items()
    for name in names
)


#: Modules of Python's own under older names, and of the script itself: in no package.
_ELSEWHERE = {"__main__", "__builtin__", "copy_reg", "None"}
_MOST_LOOKED_AT = 500_000_000


def is_allowed(found: Global, more: Collection[str] = ()) -> bool:
    """Whether a file of unknown origin may import this; `more` are whole names that an operator allows."""
    if found in _ALLOWED or str(found) in more:
        return True
    if not _MODULE.fullmatch(found.module) or _NOT.fullmatch(found.module):
        return False
    if _ARITHMETIC.fullmatch(found.module):
        return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", found.name) is not None
    return any(kind.fullmatch(found.name) for kind in (_CLASS, _MADE_ANEW))


def names_in(path: Path, more: Collection[str] = ()) -> list[str]:
    """What an uploaded file imports, all of it allowed: `module name` each.

    Raises:
        ModelUnusable: it cannot be followed, or imports what is not allowed; `refused` lists that.
    """
    found = _found(path)
    refused = sorted(str(name) for name in found if not is_allowed(name, more))
    if refused:
        raise ModelUnusable(
            f"The file would import what model files may not: {', '.join(refused[:10])}.",
            hint=f"{APPROVE} Or allow the name where models are registered, in FITQ_MODEL_NAMES.",
            refused=refused,
        )
    return sorted(f"{name.module} {name.name}" for name in found)


def _found(path: Path) -> set[Global]:
    try:
        if is_skops(path):
            return {Global(module, name) for module, name in names_in_skops(path)}
        return set(read_pickle(path).globals)
    except UnreadableSkops as exc:
        raise ModelUnusable(
            f"The file cannot be read as a skops file: {exc}.", hint=APPROVE, refused=[]
        ) from exc
    except Unreadable as exc:
        raise ModelUnusable(
            "The file cannot be read as a joblib or pickle file without running it; it may be cut short: "
            f"{exc}",
            hint=APPROVE,
            refused=[],
        ) from exc


def needs_more_than_ours(path: Path) -> bool:
    """Whether a file imports from packages that this interpreter does not have. It is not loaded for that."""
    if path.stat().st_size > _MOST_LOOKED_AT:
        return False
    try:
        roots = {name.module.partition(".")[0] for name in _found(path)}
    except ModelUnusable:
        return False  # what is wrong with it is told when it is loaded
    return any(not _is_here(root) for root in roots - _ELSEWHERE)


def _is_here(root: str) -> bool:
    try:
        return root in sys.modules or importlib.util.find_spec(root) is not None
    except ValueError:  # no name of a module
        return True
