"""Histogram gradient boosting, whose hundreds of small trees take less time than the Python around each.

The trees are asked by scikit-learn's own function, and their answers added up in its order, so every bit is
the same; only how often the function is called differs.
"""

import sys
from typing import Any, List, Optional

from .groves import FEW_ROWS, Fields, Groves, joined

FIELDS = Fields("feature_idx", "num_threshold", "left", "right")
GROVES = Groves()  #: by model


class Grove:
    """All trees of a model as one."""

    def __init__(self, trees: List[Any], width: int) -> None:
        """`width` is that of the rows.

        Raises:
            ValueError: they would take too much memory, are of this version, or split by categories.
        """
        import numpy as np

        if any(tree.nodes["is_categorical"].any() for tree in trees):
            raise ValueError("Their sets of categories are numbered per tree.")
        self.nodes = joined([tree.nodes for tree in trees], width, FIELDS, lambda n: n["is_leaf"] != 0)
        self.categories = trees[0].raw_left_cat_bitsets
        self.rows = np.empty((len(trees), width + 1))
        self.rows[:, width] = np.arange(len(trees))

    def answer(self, ask: Any, row: Any, out: Any, *more: Any) -> None:
        """What each tree says of a row."""
        self.rows[:, :-1] = row
        ask(self.nodes, self.rows, self.categories, *(more + (out,)))


def grove_of(model: Any, trees: Any, width: int) -> Optional[Grove]:
    """The trees of a model as one, joined the first time."""
    return GROVES.of(model, lambda: Grove([tree for iteration in trees for tree in iteration], width))


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
            told = np.empty((len(rows), len(grove.rows)))
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
