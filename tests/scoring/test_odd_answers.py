"""What a model answers that is missing, infinite, a date or uneven, in every form of answer."""

from __future__ import annotations

import io
import json
from typing import Any, NamedTuple

import numpy as np
import pytest

from fitq.records import ModelRecord
from tests.scoring.conftest import Scoring
from tests.scoring.test_faults import ROWS, expression, keep_like

NP = "__import__('numpy')"
NAN, INF = float("nan"), float("inf")


class Odd(NamedTuple):
    """An answer to one row, and what becomes of it."""

    answer: str  #: an expression
    plain: list[Any]  #: in JSON
    datatype: str  #: as a tensor
    tensor: list[Any]
    binary: bytes  #: the tensor's values
    csv: str
    npy: list[Any]


def texts(*values: bytes) -> bytes:
    return b"".join(len(v).to_bytes(4, "little") + v for v in values)


ODD = {
    "numbers": Odd(
        f"{NP}.array([[float('nan'), float('inf'), -float('inf'), 1.5]])", [None, None, None, 1.5],
        "FP64", [None, None, None, 1.5], np.array([NAN, INF, -INF, 1.5]).tobytes(), ",,,1.5\n",
        [NAN, INF, -INF, 1.5],
    ),
    "texts": Odd(
        f"{NP}.array([['a', float('nan'), None]], dtype=object)", ["a", None, None],
        "BYTES", ["a", None, None], texts(b"a", b"", b""), "a,,\n", ["a", "", ""],
    ),
    "objects": Odd(
        f"{NP}.array([[1, None, float('nan')]], dtype=object)", [1, None, None],
        "FP64", [1.0, None, None], np.array([1, NAN, NAN]).tobytes(), "1,,\n", [1.0, NAN, NAN],
    ),
    "dates": Odd(
        f"{NP}.array([['2020-01-01', 'NaT']], dtype='M8[D]')", ["2020-01-01", None],
        "BYTES", ["2020-01-01", None], texts(b"2020-01-01", b""), "2020-01-01,\n", ["2020-01-01", ""],
    ),
    "dates of pandas": Odd(
        f"{NP}.array([['a', __import__('pandas').NaT, __import__('pandas').NA]], dtype=object)",
        ["a", None, None], "BYTES", ["a", None, None], texts(b"a", b"", b""), "a,,\n", ["a", "", ""],
    ),
    "uneven": Odd(
        f"[{NP}.full((len(rows), 2), 0.5), {NP}.full((len(rows), 1), float('nan'))]", [[0.5, 0.5], [None]],
        "BYTES", ["[[0.5,0.5],[null]]"], texts(b"[[0.5,0.5],[null]]"), "0.5,0.5,\n", "[[0.5,0.5],[null]]",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(scoring: Scoring, iris: Any) -> Scoring:
    record: ModelRecord = scoring.register("iris", iris)
    for name, odd in ODD.items():
        keep_like(scoring, name.replace(" ", "-"), expression(odd.answer), record, "transform")
    return scoring


@pytest.mark.parametrize("name", ODD)
def test_what_is_missing_is_missing_in_every_form(served: Scoring, name: str) -> None:
    odd, address = ODD[name], name.replace(" ", "-")
    assert served.score(address, ROWS) == [odd.plain]
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROWS}
    infer = f"/v2/models/{address}/infer"
    told = served.post(infer, {"inputs": [tensor]}).json()["outputs"][0]
    assert (told["datatype"], told["data"]) == (odd.datatype, odd.tensor)
    answer = served.post(infer, {"inputs": [tensor], "parameters": {"binary_data_output": True}})
    size = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.content[:size])["outputs"][0]["datatype"] == odd.datatype
    assert answer.content[size:] == odd.binary
    csv = served.post(f"/models/{address}/score", {"data": ROWS}, headers={"accept": "text/csv"})
    assert csv.text == odd.csv
    npy = served.post(f"/models/{address}/score", {"data": ROWS}, headers={"accept": "application/x-npy"})
    found = np.load(io.BytesIO(npy.content))
    assert found.dtype.kind in "fU"
    np.testing.assert_equal(found.tolist(), [odd.npy])
