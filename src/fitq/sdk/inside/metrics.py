"""Logged points as Azure's client shows them."""

from typing import Any, Dict, Iterable, List, Tuple


def gather(points: Iterable[Tuple[str, Any]]) -> Dict[str, Any]:
    """Logged points as Azure shows them: a value logged once is itself, several are a list, and rows
    of a table are one object with a value or list per column."""
    series: Dict[str, List[Any]] = {}
    for name, value in points:
        series.setdefault(name, []).append(_number(value))
    return {name: _gathered(values) for name, values in series.items()}


def _gathered(values: List[Any]) -> Any:
    if all(isinstance(v, dict) for v in values):
        columns: Dict[str, List[Any]] = {}
        for row in values:
            for key, value in row.items():
                columns.setdefault(key, []).append(_number(value))
        return {k: v[0] if len(v) == 1 else v for k, v in columns.items()}
    return values[0] if len(values) == 1 else values


def _number(value: Any) -> Any:
    """NaN and infinity travel as text, because JSON has none; here they are numbers again."""
    return float(value) if value in ("nan", "inf", "-inf") else value
