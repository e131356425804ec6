"""Metrics as something to look at: a line chart, one number, a table of rows, or text.

Only geometry is computed here; `templates/chart.svg` draws it, so that every name is escaped there.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from fitq.records import Json, MetricPoint

# The drawing, in units of its viewBox.
WIDTH, HEIGHT = 420, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 34
_LARGEST = sys.float_info.max
_MOST_POINTS = 150
_MOST_ROWS, _MOST_COLUMNS = 15, 8


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A series of numbers as lines."""

    name: str
    count: int
    last: Json
    lowest: float
    highest: float
    lines: list[str]  #: "x,y x,y …" in viewBox units; several where values were not numbers
    dots: list[tuple[float, float]]  #: values that stand alone between gaps
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    x_title: str
    kind: str = "chart"


@dataclass(frozen=True, kw_only=True)
class Single:
    """One value, shown as it is."""

    name: str
    last: Json
    step: int | None = None
    kind: str = "single"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows, or texts in the order they were logged (one column)."""

    name: str
    columns: list[str]
    rows: list[list[Json]]
    count: int  #: of all rows; only the last are in `rows`
    kind: str = "table"


View = Chart | Single | Table


def drawn(name: str, points: Sequence[MetricPoint]) -> View:
    """The view of one metric; `points` are in the order they were logged, at least one."""
    values = [p.value for p in points]
    if len(points) == 1 and not isinstance(values[0], dict | list):
        return Single(name=name, last=values[0], step=points[0].step)
    if all(_is_numeric(v) for v in values) and any(_finite(v) is not None for v in values):
        return _chart(name, points)
    return _table(name, values)


def _is_numeric(value: Json) -> bool:
    return isinstance(value, int | float) or value in ("nan", "inf", "-inf", None)


def _finite(value: Json) -> float | None:
    if not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer that no float can hold
        return None


def _chart(name: str, points: Sequence[MetricPoint]) -> Chart:
    has_steps = all(p.step is not None and _finite(p.step) is not None for p in points)
    xs = [float(p.step or 0) if has_steps else float(i) for i, p in enumerate(points, 1)]
    pairs = sorted(zip(xs, (_finite(p.value) for p in points), strict=True), key=lambda pair: pair[0])
    ys = [y for _, y in pairs if y is not None]
    x_axis, y_axis = _Axis(pairs[0][0], pairs[-1][0], whole=True), _Axis(min(ys), max(ys))
    pieces = [
        [(_x(x_axis.share(x)), _y(y_axis.share(y))) for x, y in piece]
        for piece in _without_gaps(_thinned(pairs))
    ]
    return Chart(
        name=name,
        count=len(points),
        last=points[-1].value,
        lowest=min(ys),
        highest=max(ys),
        lines=[" ".join(f"{x:g},{y:g}" for x, y in piece) for piece in pieces if len(piece) > 1],
        dots=[piece[0] for piece in pieces if len(piece) == 1],
        x_ticks=[Tick(at=_x(x_axis.share(v)), label=f"{v:.6g}") for v in x_axis.ticks()],
        y_ticks=[Tick(at=_y(y_axis.share(v)), label=f"{v:.4g}") for v in y_axis.ticks()],
        x_title="step" if has_steps else "value number",
    )


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


class _Axis:
    """From values to shares of the axis (0 to 1), and where to write numbers."""

    def __init__(self, low: float, high: float, *, whole: bool = False) -> None:
        if low == high:
            room = 0.5 if whole else abs(low) * 0.1 or 1.0
            low, high = max(low - room, -_LARGEST), min(high + room, _LARGEST)
        # Halves: the distance between two finite numbers need not be finite.
        self.low, self.high, self.half, self.whole = low, high, high / 2 - low / 2, whole

    def share(self, value: float) -> float:
        return min(1.0, max(0.0, (value / 2 - self.low / 2) / self.half)) if self.half else 0.5

    def ticks(self) -> list[float]:
        """Two to six round numbers within the axis; its ends where numbers are too far or too near."""
        span = self.half * 2
        if not math.isfinite(span) or span < 1e-300:
            return [self.low, self.high]
        rough = 10 ** math.floor(math.log10(span / 4))
        step = next((m * rough for m in (1, 2, 5) if span / (m * rough) <= 5), 10 * rough)
        step = max(step, 1.0) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        found = [
            round(i * step, 12) if step > 1e-9 else i * step for i in range(first, first + min(count, 7))
        ]
        inside = [v for v in found if self.low - step / 1e6 <= v <= self.high + step / 1e6]
        return inside if len(inside) > 1 else [self.low, self.high]


Pair = tuple[float, float | None]


def _thinned(pairs: list[Pair]) -> list[Pair]:
    """At most `_MOST_POINTS`, keeping the lowest and highest of each stretch so that no spike is lost."""
    if len(pairs) <= _MOST_POINTS:
        return pairs
    size = math.ceil(len(pairs) / (_MOST_POINTS // 2))
    kept: list[Pair] = []
    for start in range(0, len(pairs), size):
        numbers = [(x, y) for x, y in pairs[start : start + size] if y is not None]
        extremes = {min(numbers, key=lambda p: p[1]), max(numbers, key=lambda p: p[1])} if numbers else set()
        kept += sorted(extremes) or [(pairs[start][0], None)]
    return kept


def _without_gaps(pairs: list[Pair]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in pairs:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    return [piece for piece in pieces if piece]


def _table(name: str, values: list[Json]) -> Table:
    rows = [v if isinstance(v, dict) else {"value": v} for v in values]
    columns = list(dict.fromkeys(str(c) for row in rows for c in row))[:_MOST_COLUMNS]
    shown = [[row.get(c, "") for c in columns] for row in rows[-_MOST_ROWS:]]
    return Table(name=name, columns=columns, rows=shown, count=len(rows))
