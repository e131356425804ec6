"""Forests without joblib, whose dispatch of trees takes longer than the trees."""

from typing import Any, Dict, List, Tuple


class Loop:
    """In place of joblib's `Parallel` inside forests."""

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
