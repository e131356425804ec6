"""Trees asked without what scikit-learn does around each of them."""

import sys
from typing import Any, Dict, List, Tuple


def add_trees(model: Any, rows: Any, trees: Any, sums: Any, *threads: Any) -> bool:
    """Add the answers of each iteration's trees to `sums`, of shape (n, trees per iteration), in their order.

    There are often hundreds, and most of a small prediction goes into the Python around each. False, and
    nothing added, where this version of scikit-learn asks a tree otherwise.
    """
    import numpy as np

    module = sys.modules["sklearn.ensemble._hist_gradient_boosting.predictor"]
    ask = getattr(module, "_predict_from_raw_data", None)
    if ask is None or not trees:
        return False
    known, positions = model._bin_mapper.make_known_categories_bitsets()
    answers = np.empty((len(trees) + 1, sums.shape[1], len(rows)))
    answers[0] = sums.T
    for iteration, answer in zip(trees, answers[1:]):
        for tree, out in zip(iteration, answer):
            try:
                ask(tree.nodes, rows, tree.raw_left_cat_bitsets, known, positions, *threads, out)
            except TypeError:
                return False
    sums[:] = np.add.accumulate(answers, axis=0)[-1].T  # one after another, as `+=` would
    return True


class Loop:
    """In place of joblib's `Parallel` inside forests, whose dispatch takes longer than the trees."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, tasks: Any) -> List[Any]:
        return [ask_tree(getattr(f, "function", f), args, named) for f, args, named in tasks]


def ask_tree(function: Any, args: Tuple[Any, ...], named: Dict[str, Any]) -> Any:
    """Add one tree's answer to a forest's, straight from the tree where it has one output."""
    predict: Any = args[0] if args else None
    tree: Any = getattr(predict, "__self__", None)
    if function.__name__ != "_accumulate_prediction" or len(args[2]) != 1 or not hasattr(tree, "tree_"):
        return function(*args, **named)
    values = tree.tree_.predict(args[1])
    args[2][0] += values[:, 0] if predict.__name__ == "predict" else values[:, : tree.n_classes_]
    return None
