"""Quick ways past scikit-learn's questions, where their answer is known."""

import sys
from typing import Any

from .boosting import add_trees


class Quick:
    """The quick call that runs, of which there is one at a time."""

    rows: Any = None  #: as a matrix that was checked at the door; None: no quick call runs, or not such rows


class InPlace:
    """Stands where scikit-learn has one of its own functions, and does its work in quick calls."""

    def __init__(self, usual: Any, quick: Any) -> None:
        self.usual, self.quick = usual, quick

    def __call__(self, *given: Any, **named: Any) -> Any:
        if Quick.rows is None:
            return self.usual(*given, **named)
        return self.quick(self.usual, *given, **named)


#: What `validate_data` may be asked for without a difference to a finite float64 matrix,
NO_DIFFERENCE = frozenset(
    ("reset", "accept_sparse", "accept_large_sparse", "dtype", "order", "copy", "force_writeable",
     "ensure_all_finite", "ensure_2d", "ensure_min_samples", "ensure_min_features", "skip_check_array")
)  # fmt: skip
#: and a `dtype` that this is already.
ACCEPTS = ("float64", "float", "numeric", "None")


def validated(usual: Any, estimator: Any, rows: Any = "no_validation", *more: Any, **asked: Any) -> Any:
    """The rows as they are, where they are those of the door and the usual check would not change them."""
    dtype = asked.get("dtype", "numeric")
    accepted = dtype if isinstance(dtype, (list, tuple)) else (dtype,)
    width = Quick.rows.shape[1]
    would_pass = (
        rows is Quick.rows
        and not more
        and asked.get("reset") is False
        and asked.keys() <= NO_DIFFERENCE
        and (asked.get("order") is None or rows.flags[asked["order"] + "_CONTIGUOUS"])
        and any(str(getattr(d, "__name__", d)) in ACCEPTS for d in accepted)
        and getattr(estimator, "n_features_in_", width) == width
    )
    if not would_pass:
        return usual(estimator, rows, *more, **asked)
    return rows.copy() if asked.get("copy") else rows


def fitted(_usual: Any, *_given: Any, **_named: Any) -> None:
    """It is: it has answered before."""


def namespace(usual: Any, *arrays: Any, **named: Any) -> Any:
    """For numpy's arrays always the same."""
    if named or not all(type(a).__module__ == "numpy" for a in arrays):
        return usual(*arrays, **named)
    known = usual.__dict__.get("fitq_known")
    if known is None:
        known = usual.fitq_known = usual(*arrays)
    return known


def moved(usual: Any, *arrays: Any, **named: Any) -> Any:
    """One of numpy's arrays, to numpy: it is there."""
    is_there = len(arrays) == 1 and type(arrays[0]).__module__ == "numpy"
    return arrays[0] if is_there and named.get("device") is None else usual(*arrays, **named)


#: Where scikit-learn spends most of a small prediction: asking what is known here. Modules of 1.6 and later.
IN_PLACE = (
    ("sklearn.utils.validation", "validate_data", validated),
    ("sklearn.utils.validation", "check_is_fitted", fitted),
    ("sklearn.utils._array_api", "get_namespace_and_device", namespace),
    ("sklearn.utils._array_api", "move_to", moved),
)


def put_in_place() -> bool:
    """Have `InPlace` wherever those functions were imported to; whether scikit-learn has them."""
    check = getattr(sys.modules.get("sklearn.utils.validation"), "validate_data", None)
    if check is None:
        return False
    put_trees_in_place()  # the module of these may have come later than the others
    if isinstance(check, InPlace):
        return True
    for home, name, quick in IN_PLACE:
        usual = getattr(sys.modules.get(home), name, None)
        for where, module in list(sys.modules.items()):
            if usual is not None and where.startswith("sklearn.") and vars(module).get(name) is usual:
                setattr(module, name, InPlace(usual, quick))
    return True


def put_trees_in_place() -> None:
    """Have histogram gradient boosting add up its trees as `add_trees` does, in quick calls."""
    boosting = sys.modules.get("sklearn.ensemble._hist_gradient_boosting.gradient_boosting")
    owner: Any = getattr(boosting, "BaseHistGradientBoosting", None)
    usual: Any = getattr(owner, "_predict_iterations", None)
    if usual is None or hasattr(usual, "fitq_usual"):
        return

    def in_place(model: Any, rows: Any, trees: Any, sums: Any, *more: Any, **named: Any) -> None:
        is_quick = Quick.rows is not None and more and not more[0] and not named  # the first: `is_binned`
        if not is_quick or not add_trees(model, rows, trees, sums, *more[1:]):
            usual(model, rows, trees, sums, *more, **named)

    in_place.fitq_usual = usual  # type: ignore[attr-defined]
    owner._predict_iterations = in_place
