"""Requests that are right, or wrong in several ways."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from bodies_lab.forms import CSV, FORMS, JSON, JSON_BYTES, NPY, TENSOR, Ask, dumps
from bodies_lab.kinds import Kind

_ODD = [
    "", "5.1", "nan", "true", "\x00", "\ud800", "x" * 300, 2**53 + 1, -(2**63) - 1, 10**400, 1e308, -0.0,
    5e-324, float("nan"), float("inf"), [], [[]], {}, {"a": 1}, "2024-02-30", "1e5", 1e39,
]  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(_ODD), st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4),
    st.integers(-(2**70), 2**70),
)  # fmt: skip
JUNK = st.recursive(
    CELLS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def spoiled_rows(draw: st.DrawFn, rows: list[Any]) -> list[Any]:
    """A few of the good rows, with up to three things wrong with them."""
    size = draw(st.sampled_from([1, 1, 2, 3, 0]))
    found = rows[:size]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 3]))):
        if not found:
            break
        i = draw(st.integers(0, len(found) - 1))
        row = found[i] = copy.copy(found[i])  # what was drawn before is not ours to change
        if not isinstance(row, list) or draw(st.integers(0, 4)) == 0:
            found[i] = draw(JUNK)
        elif row and draw(st.integers(0, 4)):
            row[draw(st.integers(0, len(row) - 1))] = draw(CELLS)
        elif draw(st.booleans()):
            row.insert(0, draw(CELLS))
        else:
            del row[:1]
    return found


_FIELDS = ("data", "x", "instances", "inputs", "input_data", "method", "params", "parameters", "outputs",
           "id", "columns", "index", "shape", "datatype", "name", "signature_name")  # fmt: skip
_METHODS = st.sampled_from(
    ["predict", "transform", "predict_proba", "fit", "__class__", "", "decision_function"]
)


@st.composite
def _spoiled_body(draw: st.DrawFn, body: Any) -> Any:
    """A decoded body with one field that is another, missing or too many, at any depth."""
    if isinstance(body, list) and body and draw(st.booleans()):
        i = draw(st.integers(0, len(body) - 1))
        return [*body[:i], draw(_spoiled_body(body[i])), *body[i + 1 :]]
    if not isinstance(body, dict) or not body or draw(st.integers(0, 9)) == 0:
        return draw(JUNK)
    name = draw(st.sampled_from([*body, *_FIELDS]))
    if name in body and draw(st.booleans()):
        return {**body, name: draw(_spoiled_body(body[name]))}
    if name in body and draw(st.booleans()):
        return {n: v for n, v in body.items() if n != name}
    return {**body, name: draw(_METHODS | JUNK)}


@st.composite
def _spoiled_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes cut short, doubled or with others put in."""
    at = draw(st.integers(0, len(content)))
    put = draw(st.sampled_from([b"", b"\xff", b"NaN", b",", b"]", b"[" * 2000, b'"', b"\x00", b"9" * 5000]))
    to = draw(st.sampled_from([at, at + 1, len(content)]))
    return content[:at] + put + content[to:]


#: The server's HTTP parser refuses others before scoring sees the request.
_IN_HEADERS = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
HEADERS = st.fixed_dictionaries({}, optional={
    "accept": st.sampled_from([CSV, NPY, "*/*", "text/html", ""]),
    "content-type": st.sampled_from([JSON, CSV, NPY, TENSOR, "text/plain", "", f"{JSON}; charset=x"]),
    "x-request-id": st.text(_IN_HEADERS, max_size=120).map(str.strip),
    "x-ms-request-id": st.text(_IN_HEADERS, max_size=120).map(str.strip),
    # none that may pass before the answer: that would be a 503
    "x-fitq-timeout-ms": st.sampled_from(
        ["", "0", "-1", "1e3", "²", "3600000", "3600001", "0000000001" + "0" * 310, "9" * 5000]
    ),
    JSON_BYTES: st.sampled_from(["0", "-1", "10", "x", "9" * 30, "²"]),
})  # fmt: skip


@st.composite
def asks(draw: st.DrawFn, kinds: tuple[Kind, ...]) -> Ask:
    """A request for one of these models, which may be right, or wrong in several ways."""
    kind = draw(st.sampled_from(kinds))
    form = draw(st.sampled_from(sorted(FORMS)))
    path, content, headers = FORMS[form](kind, draw(spoiled_rows(kind.rows)))
    if headers["content-type"] == JSON and draw(st.integers(0, 2)) == 0:
        body = json.loads(content.decode("utf-8", "surrogatepass"))
        content = dumps(draw(_spoiled_body(body)))
    if draw(st.integers(0, 7)) == 0:
        content = draw(_spoiled_bytes(content))
    if draw(st.integers(0, 7)) == 0:
        headers = {**headers, **draw(HEADERS)}
    if draw(st.integers(0, 7)) == 0:
        path += draw(st.sampled_from(["?method=predict", "?method=fit", "?method=%ff", "?x", "?method="]))
    return Ask(path, content, headers)
