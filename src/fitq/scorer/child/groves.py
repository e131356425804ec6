"""The trees of a model as one tree: the number of a tree, in one more column, leads to its root."""

import weakref
from typing import Any, Callable, Iterator, List, NamedTuple, Optional

#: Up to so many rows, one call asks all trees of a row; beyond, one call per tree asks for all rows.
FEW_ROWS = 16
#: Numbers that a grove may keep for its calls: 8 MB.
MAX_NUMBERS = 1000000
#: What the copy of the trees may take.
MAX_NODE_BYTES = 64 << 20

#: How scikit-learn names what a node knows.
Fields = NamedTuple("Fields", [("feature", str), ("threshold", str), ("left", str), ("right", str)])


def joined(trees: List[Any], width: int, fields: Fields, is_leaf: Callable[[Any], Any]) -> Any:
    """The nodes of all trees in one array, of which the first is the root of all.

    Args:
        trees: arrays of nodes, whose first is the root.
        width: that of the rows; the number of the tree comes behind them.
        is_leaf: which of an array of nodes have no children.

    Raises:
        ValueError: they would take too much memory.
    """
    import numpy as np

    sizes = [len(nodes) for nodes in trees]
    if sum(sizes) * trees[0].dtype.itemsize > MAX_NODE_BYTES or len(trees) * (width + 1) > MAX_NUMBERS:
        raise ValueError("It would take too much memory.")
    ways = len(trees) - 1
    roots = ways + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    nodes = np.concatenate([np.zeros(ways, dtype=trees[0].dtype)] + trees)
    moved, inner = np.repeat(roots, sizes), ~is_leaf(nodes[ways:])
    for side in (fields.left, fields.right):
        nodes[side][ways:][inner] += moved[inner].astype(nodes[side].dtype)
    _lead(nodes, iter(range(ways)), roots, 0, len(trees), width, fields)
    return nodes


def _lead(nodes: Any, free: Iterator[int], roots: Any, first: int, end: int, width: int, f: Fields) -> int:
    """The node from which the trees `first` to `end` - 1 are found."""
    if end - first == 1:
        return int(roots[first])
    here, middle = next(free), (first + end) // 2
    node = nodes[here : here + 1]
    node[f.feature], node[f.threshold] = width, middle - 0.5
    node[f.left] = _lead(nodes, free, roots, first, middle, width, f)
    node[f.right] = _lead(nodes, free, roots, middle, end, width, f)
    return here


class Groves:
    """The grove of each model, made when it is first asked for."""

    def __init__(self) -> None:
        self._known = weakref.WeakKeyDictionary()  # type: weakref.WeakKeyDictionary[Any, Optional[Any]]

    def __contains__(self, model: Any) -> bool:
        return model in self._known

    def of(self, model: Any, made: Callable[[], Any]) -> Optional[Any]:
        """What `made` gives, kept; None where it raises ValueError: it has none, or not in this version."""
        if model not in self._known:
            self._known[model] = None
            try:
                self._known[model] = made()
            except ValueError:
                return None
        return self._known[model]
