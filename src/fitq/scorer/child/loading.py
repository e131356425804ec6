"""Model files become models; what a file may import is said beforehand."""

import contextlib
import gc
import types
import warnings
from collections import OrderedDict
from typing import Any, Dict, Iterator, List, Optional, Set

from .estimators import feature_names, goes_by_name, is_forest, parts


class Loaded:
    """A model and what it needs to be fed."""

    def __init__(self, model: Any, said: List[str]) -> None:
        self.model = model
        self.names = feature_names(model)
        self.said = said  #: warnings while it was loaded
        self.has_forest = any(is_forest(p) for p in parts(model))
        self.goes_by_name = any(goes_by_name(p) for p in parts(model))
        self.quick: Dict[str, bool] = {}  #: method → whether the quick way was seen to answer the same


def load(path: str, names: Optional[List[str]] = None) -> Loaded:
    """Unpickle a model; remember what was said while doing so."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = load_skops(path, names) if is_skops(path) else load_pickle(path, names)
    for part in parts(model):
        # A fan-out per request costs 2-5 times what it saves (measured on a forest with n_jobs=2).
        if getattr(part, "n_jobs", None) not in (None, 1):
            part.n_jobs = 1
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()  # a full collection over scikit-learn's heap is the p99 otherwise
    # a forest of another version says the same once per tree
    return Loaded(model, list(OrderedDict.fromkeys(one_line(w) for w in said))[:5])


class NotAllowed(Exception):
    """A name that a file may not import."""


def load_pickle(path: str, names: Optional[List[str]]) -> Any:
    import joblib

    with contextlib.ExitStack() as limits:
        if names is not None:
            limits.enter_context(only(set(names)))
        return joblib.load(path)


def is_skops(path: str) -> bool:
    """Whether it is an archive, which a pickle never is."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def load_skops(path: str, names: Optional[List[str]]) -> Any:
    """What skops makes of a file. It asks for every type that it does not know to be harmless."""
    from skops.io import get_untrusted_types
    from skops.io import load as made_of

    asked = get_untrusted_types(file=path)
    allowed = asked if names is None else [name.replace(" ", ".") for name in names]
    for name in asked:
        if name not in allowed:
            raise NotAllowed(name)
    return made_of(path, trusted=asked)


@contextlib.contextmanager
def only(names: Set[str]) -> Iterator[None]:
    """Unpickling imports these names only, and of scikit-learn's modules only what was defined in them."""
    import pickle

    from joblib import numpy_pickle

    def checked(find: Any) -> Any:
        def find_class(self: Any, module: str, name: str) -> Any:
            if "%s %s" % (module, name) not in names:
                raise NotAllowed("%s.%s" % (module, name))
            found = find(self, module, name)
            if module.startswith("sklearn") and getattr(found, "__module__", module) != module:
                raise NotAllowed("%s.%s, which is of another module" % (module, name))
            return found

        return find_class

    # arrays of objects are pickles of their own, which joblib leaves to pickle
    strict = type("Strict", (pickle.Unpickler,), {"find_class": checked(pickle.Unpickler.find_class)})
    inner = types.ModuleType("pickle")
    vars(inner).update(vars(pickle), load=lambda file, **given: strict(file, **given).load())
    joblibs = numpy_pickle.NumpyUnpickler
    usual, joblibs.find_class = joblibs.find_class, checked(joblibs.find_class)
    numpy_pickle.pickle = inner
    try:
        yield
    finally:
        joblibs.find_class, numpy_pickle.pickle = usual, pickle


def one_line(warning: Any) -> str:
    return " ".join(str(warning.message).split())[:500]
