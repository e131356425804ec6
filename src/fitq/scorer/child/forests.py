"""Forests without joblib, whose dispatch of trees takes longer than the trees.

Few rows are asked of all trees in one call (`groves.py`), more of one tree after the other. The answers are
added up in scikit-learn's order, so that every bit is the same.
"""

import functools
import re
import sys
from typing import Any, Dict, List, Tuple

from .groves import FEW_ROWS, MAX_NODE_BYTES, MAX_NUMBERS, Fields, Groves, joined

FIELDS = Fields("feature", "threshold", "left_child", "right_child")
GROVES = Groves()  #: by the first tree of a forest
Task = Tuple[Any, Tuple[Any, ...], Dict[str, Any]]


class Loop:
    """In place of joblib's `Parallel` inside forests."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, tasks: Any) -> List[Any]:
        left = iter(tasks)
        asked = [next(left)]
        function, args, _ = asked[0]
        if _adds_up(function, args) and _is_few(args[1]):
            tree = args[0].__self__
            if tree not in GROVES:
                asked += left
            grove = GROVES.of(
                tree, lambda: Grove([a[0].__self__.tree_ for _, a, _ in asked], _holds_counts(args[0]))
            )
            if grove is not None:
                grove.add(args[1], args[2][0])
                return []
        return [ask_tree(*task) for task in asked] + [ask_tree(*task) for task in left]


class Grove:
    """All trees of a forest as one."""

    def __init__(self, trees: List[Any], counts: bool) -> None:
        """`counts`: the leaves hold those of which probabilities are made.

        Raises:
            ValueError: they would take too much memory, or are not to be joined in this version.
        """
        import numpy as np

        states = [tree.__getstate__() for tree in trees]
        count, width, shape = len(trees), trees[0].n_features, states[0]["values"].shape[1:]
        numbers = FEW_ROWS * count * (width + 1)
        values = np.concatenate([np.zeros((count - 1,) + shape)] + [state["values"] for state in states])
        if numbers > MAX_NUMBERS or values.nbytes > MAX_NODE_BYTES:
            raise ValueError("It would take too much memory.")
        nodes = joined([s["nodes"] for s in states], width, FIELDS, lambda n: n["left_child"] < 0)
        # room for the ways to the roots as well
        self.tree = type(trees[0])(width + 1, trees[0].n_classes, trees[0].n_outputs)
        self.tree.__setstate__(
            {"max_depth": max(tree.max_depth for tree in trees) + count, "node_count": len(nodes),
             "nodes": nodes, "values": values}
        )  # fmt: skip
        self.values = values[:, 0, :]
        if counts:
            self.values /= np.maximum(self.values.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        self.rows = np.empty((FEW_ROWS, count, width + 1), dtype=np.float32)
        self.rows[:, :, width] = np.arange(count)

    def add(self, rows: Any, sums: Any) -> None:
        """Add what each tree says of the rows, float32 of shape (n, width), in the trees' order."""
        import numpy as np

        count, columns = self.rows.shape[1:]
        asked = self.rows[: len(rows)]
        asked[:, :, :-1] = rows[:, None, :]
        told = self.values.take(self.tree.apply(asked.reshape(-1, columns)), axis=0)
        # one after another, as `+=` would; `sum` would add in pairs
        total = np.add.accumulate(told.reshape(len(rows), count, -1), axis=1)[:, -1]
        sums += total[:, 0] if sums.ndim == 1 else total[:, : sums.shape[1]]


def ask_tree(function: Any, args: Tuple[Any, ...], named: Dict[str, Any]) -> Any:
    """Add one tree's answer to a forest's, straight from the tree where it has one output."""
    if not _adds_up(function, args) or _holds_counts(args[0]):
        return getattr(function, "function", function)(*args, **named)
    predict, rows, sums = args[:3]
    values = predict.__self__.tree_.predict(rows)
    sums[0] += values[:, 0] if predict.__name__ == "predict" else values[:, : predict.__self__.n_classes_]
    return None


def _adds_up(function: Any, args: Tuple[Any, ...]) -> bool:
    """Whether it is the call by which a forest adds up what a tree with one output says."""
    name = getattr(getattr(function, "function", function), "__name__", "")
    if name != "_accumulate_prediction" or len(args[2]) != 1:
        return False
    return getattr(getattr(args[0], "__self__", None), "n_outputs_", 0) == 1


def _holds_counts(predict: Any) -> bool:
    """Whether what a tree's leaves hold are counts, of which its method makes probabilities."""
    return predict.__name__ != "predict" and not _leaves_tell_shares()


@functools.lru_cache(maxsize=None)
def _leaves_tell_shares() -> bool:
    """Whether the leaves of classifiers hold probabilities in this version: found out once."""
    told = re.match(r"(\d+)\.(\d+)", sys.modules["sklearn"].__version__)
    return told is not None and (int(told.group(1)), int(told.group(2))) >= (1, 3)


def _is_few(rows: Any) -> bool:
    return type(rows).__name__ == "ndarray" and str(rows.dtype) == "float32" and len(rows) <= FEW_ROWS
