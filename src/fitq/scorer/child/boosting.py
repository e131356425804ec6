"""Histogram gradient boosting, whose hundreds of small trees take less time than the Python around each.

The trees are asked by scikit-learn's own function, and their answers added up in its order, so every bit is
the same; only how often the function is called differs.
"""

import contextlib
import sys
import weakref
from typing import Any, List, Optional

#: Up to so many rows, one call per row asks all trees; beyond, one call per tree asks for all rows.
FEW_ROWS = 16
#: Numbers that a grove may keep for its calls: 8 MB.
MAX_NUMBERS = 1000000


class Grove:
    """All trees of a model as one tree: the number of a tree, in one more column, leads to its root."""

    def __init__(self, trees: List[Any], width: int) -> None:
        """`width` is that of the rows.

        Raises:
            ValueError: trees of this version, or that split by categories, are not joined.
        """
        import numpy as np

        if any(tree.nodes["is_categorical"].any() for tree in trees):
            raise ValueError("Their sets of categories are numbered per tree.")
        count, sizes = len(trees), [len(tree.nodes) for tree in trees]
        self.roots = count - 1 + np.concatenate([[0], np.cumsum(sizes)[:-1]])
        ways = np.zeros(count - 1, dtype=trees[0].nodes.dtype)
        self.nodes = np.concatenate([ways] + [tree.nodes for tree in trees])
        for side in ("left", "right"):
            moved = np.repeat(self.roots, sizes).astype(self.nodes[side].dtype)
            self.nodes[side][count - 1 :] += moved
        self.categories = trees[0].raw_left_cat_bitsets
        self.rows = np.empty((count, width + 1))
        self.rows[:, width] = np.arange(count)
        self._free = iter(range(count - 1))
        self._lead(0, count, width)

    def _lead(self, first: int, end: int, column: int) -> int:
        """The node from which the trees `first` to `end` - 1 are found."""
        if end - first == 1:
            return int(self.roots[first])
        here, middle = next(self._free), (first + end) // 2
        node = self.nodes[here : here + 1]
        node["feature_idx"], node["num_threshold"] = column, middle - 0.5
        node["left"] = self._lead(first, middle, column)
        node["right"] = self._lead(middle, end, column)
        return here

    def answer(self, ask: Any, row: Any, out: Any, *more: Any) -> None:
        """What each tree says of a row."""
        self.rows[:, :-1] = row
        ask(self.nodes, self.rows, self.categories, *(more + (out,)))


#: model → its grove, or None if it has none
GROVES = weakref.WeakKeyDictionary()  # type: weakref.WeakKeyDictionary[Any, Optional[Grove]]


def grove_of(model: Any, trees: Any, width: int) -> Optional[Grove]:
    """The trees of a model as one, joined the first time."""
    if model not in GROVES:
        GROVES[model] = None
        all_trees = [tree for iteration in trees for tree in iteration]
        if len(all_trees) * (width + 1) <= MAX_NUMBERS:
            with contextlib.suppress(ValueError):  # none of this version, or not of these
                GROVES[model] = Grove(all_trees, width)
    return GROVES[model]


def add_trees(model: Any, rows: Any, trees: Any, sums: Any, *threads: Any) -> bool:
    """Add the answers of each iteration's trees to `sums`, of shape (n, trees per iteration), in their order.

    False, and nothing added, where this version of scikit-learn asks a tree otherwise.
    """
    import numpy as np

    module = sys.modules["sklearn.ensemble._hist_gradient_boosting.predictor"]
    ask = getattr(module, "_predict_from_raw_data", None)
    if ask is None or not trees:
        return False
    known, positions = model._bin_mapper.make_known_categories_bitsets()
    more = (known, positions) + threads
    answers = np.empty((len(trees) + 1, sums.shape[1], len(rows)))
    answers[0] = sums.T
    is_all = trees is getattr(model, "_predictors", None)
    grove = grove_of(model, trees, rows.shape[1]) if is_all and len(rows) <= FEW_ROWS else None
    try:
        if grove is not None:
            told = np.empty((len(rows), len(grove.roots)))
            for row, out in zip(rows, told):
                grove.answer(ask, row, out, *more)
            answers[1:] = told.T.reshape(answers[1:].shape)
        else:
            for iteration, answer in zip(trees, answers[1:]):
                for tree, out in zip(iteration, answer):
                    ask(tree.nodes, rows, tree.raw_left_cat_bitsets, *(more + (out,)))
    except TypeError:
        return False
    sums[:] = np.add.accumulate(answers, axis=0)[-1].T  # one after another, as `+=` would
    return True
