"""Tables and tensors: CSV, npy and the Open Inference Protocol give what the usual body gives."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bodies_lab.kinds import Kind
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.svm import SVC

from tests.scoring.conftest import Scoring, assert_explained, assert_one_error_shape, running
from tests.scoring.test_models import IRIS, LABELS, PEOPLE, people_model

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.0, 3.0, 4.8, 1.8]]
SPECIES = np.array(["setosa", "versicolor", "virginica"])[LABELS]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, iris: Any) -> Iterator[Scoring]:
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good", "bad"], [1, 0])
    doubled = StandardScaler().fit([[-0.5], [0.5]])
    models = {"iris": iris, "people": people_model(), "mood": texts, "doubled": doubled}
    models["species"] = SVC().fit(IRIS, SPECIES)
    models["scaled"] = MaxAbsScaler().fit([[-1.0] * 4, [1.0] * 4])
    for scoring in running(tmp_path_factory.mktemp("models")):
        for name, model in models.items():
            scoring.serve(Kind(name, model, []))
        yield scoring


def table(served: Scoring, name: str, body: bytes, kind: str, accept: str = "", query: str = "") -> Any:
    headers = {"content-type": kind, "accept": accept or "*/*"}
    return served.post(f"/models/{name}/score{query}", content=body, headers=headers)


@pytest.mark.parametrize("header", ["", "a,b,c,d\n"])
def test_csv_lines_are_rows(served: Scoring, iris: Any, header: str) -> None:
    body = header + "\n".join(",".join(map(str, row)) for row in ROWS)
    answer = table(served, "iris", body.encode(), "text/csv; charset=utf-8")
    assert answer.status_code == 200, answer.text
    assert np.allclose(answer.json(), iris.predict_proba(ROWS))
    in_kind = table(served, "iris", body.encode(), "text/csv", "text/csv", "?method=predict")
    assert in_kind.headers["content-type"] == "text/csv"
    assert in_kind.text == "0\n2\n"


def test_csv_is_typed_by_the_schema(served: Scoring) -> None:
    by_place = PEOPLE.to_csv(index=False, header=False).encode()
    by_name = PEOPLE[["floor", "city", "age"]].to_csv(index=False).encode()
    expected = served.score("people", PEOPLE.values.tolist())
    assert table(served, "people", by_place, "text/csv").json() == expected
    assert table(served, "people", by_name, "text/csv").json() == expected
    assert table(served, "people", b",Rome,1\n", "text/csv").status_code == 200


@pytest.mark.parametrize(
    "line", ["nan,,,", "a,b,c", "a,b,,d", "a,b,b,d", "a,b,c,NULL", "a,b,c,1e999", "a,,,"]
)
def test_a_first_line_that_need_not_be_names_is_no_header(served: Scoring, line: str) -> None:
    answer = table(served, "iris", f"{line}\n1,2,3,4\n".encode(), "text/csv")
    told = assert_one_error_shape(answer, 400)
    assert told["at"] == "row 0"
    assert "header=present" in told["hint"]
    assert_explained(served, answer)


def test_one_text_above_one_column_is_a_value_or_a_name_and_the_caller_says_which(served: Scoring) -> None:
    assert table(served, "doubled", b"5\n", "text/csv").json() == [[10.0]]
    assert_one_error_shape(table(served, "doubled", b"abc\n5\n", "text/csv"), 400)
    headed = table(served, "doubled", b"abc\n5\n", "text/csv; header=present")
    assert headed.json() == [[10.0]]
    told = assert_one_error_shape(table(served, "doubled", b"abc\n5\n", "text/csv;header=absent"), 400)
    assert told["at"] == "row 0, column 0"


def test_the_content_type_says_whether_there_is_a_header(served: Scoring) -> None:
    lines = b"1,2,3,4\n1,2,3,4\n"
    for said, size in (("present", 1), ("ABSENT", 2), ('"present"; charset=utf-8', 1)):
        assert len(table(served, "iris", lines, f"text/csv; header={said}").json()) == size
    told = assert_one_error_shape(table(served, "iris", lines, "text/csv; header=maybe"), 400)
    assert told["at"] == "header content-type"
    by_name = PEOPLE[["floor", "city", "age"]].to_csv(index=False).encode()
    expected = served.score("people", PEOPLE.values.tolist())
    assert table(served, "people", by_name, "text/csv; header=present").json() == expected
    assert_one_error_shape(table(served, "people", by_name, "text/csv; header=absent"), 400)
    assert len(table(served, "mood", b"text\ngood\n", "text/csv; header=present").json()) == 1


def test_a_text_may_be_as_long_in_csv_as_in_json(served: Scoring) -> None:
    text = "good " * 30_000
    assert table(served, "mood", text.encode(), "text/csv").json() == served.score("mood", [text])


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("iris", b""),
        ("iris", b"1,2,3\n"),
        ("iris", b"1,2,3,x\n"),
        ("iris", b"1,2,3,nan\n"),
        ("iris", b"1,2,3,1e999\n"),
        ("iris", b"1,2,3,1_0\n"),
        ("iris", b"1,2,3,\n"),
        ("iris", b'1,2,3,"4\n'),
        ("iris", b"1,2,3,\xff\n"),
        ("people", b"20,Rome,1.5\n"),
        ("people", b"age,city\n20,Rome\n"),
    ],
)
def test_wrong_csv_is_refused(served: Scoring, name: str, body: bytes) -> None:
    told = assert_one_error_shape(table(served, name, body, "text/csv"), 400)
    assert {"expected", "got", "at", "curl"} <= told.keys()


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=array.dtype == object)
    return out.getvalue()


def npz(array: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, array)
    return out.getvalue()


def header_alone(dtype: str, shape: tuple[int, ...]) -> bytes:
    """An array file that promises much and holds nothing."""
    out = io.BytesIO()
    promise = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, promise)
    return out.getvalue()


def test_the_fields_of_an_array_file_are_columns_by_name(served: Scoring) -> None:
    kinds = [("floor", "i4"), ("city", "<U4"), ("age", "f8")]
    rows = np.array([(1, "Rome", 20.0), (3, "Bonn", 60.0)], dtype=kinds)
    expected = served.score("people", [[20.0, "Rome", 1], [60.0, "Bonn", 3]])
    assert table(served, "people", npy(rows), "application/x-npy").json() == expected
    told = table(served, "people", npy(rows[["floor", "city"]]), "application/x-npy").json()
    assert "column 'age' is missing" in told["message"]


@pytest.mark.parametrize("code", [0xD800, 0x110000, 0xFFFFFFFF])
@pytest.mark.parametrize("order", "<>")
def test_what_is_no_character_is_refused(served: Scoring, code: int, order: str) -> None:
    body = npy(np.array(["ab"], dtype=f"{order}U2"))[:-4] + code.to_bytes(
        4, {"<": "little", ">": "big"}[order]
    )
    told = assert_one_error_shape(table(served, "mood", body, "application/x-npy"), 400)
    assert "no character" in told["got"]


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", ">f8"])
def test_an_array_file_is_rows(served: Scoring, iris: Any, dtype: str) -> None:
    rows = np.array(ROWS).astype(dtype)
    answer = table(served, "iris", npy(rows), "application/x-npy", "application/x-npy")
    assert answer.headers["content-type"] == "application/x-npy"
    assert np.allclose(np.load(io.BytesIO(answer.content)), iris.predict_proba(rows.astype(float)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x93NUMPY",
        npy(np.array(5.0)),
        npy(np.array([1.0, 2, 3, 4])),
        npy(np.array([[1, 2, 3, np.nan]])),
        npy(np.array([[True] * 4])),
        npy(np.array([["1"] * 4])),
        npy(np.array([[1 + 2j] * 4])),
        npy(np.array([[1, 2, 3, None]], dtype=object)),
        npy(np.zeros((0, 4))),
        npy(np.zeros((1, 4)))[:-8],
        npy(np.zeros((1, 4))).replace(b"<f8", b"<,8"),
        npz(np.array(ROWS)),
        b"PK\x03\x04 and no zip archive",
        header_alone("<f8", (10**9, 0)),
        header_alone("|S0", (10**9,)),
        header_alone("<f8", (1, 10**9, 0)),
        header_alone("<f8", (10**15, 4)),
    ],
)
def test_a_wrong_array_file_is_refused(served: Scoring, body: bytes) -> None:
    assert_one_error_shape(table(served, "iris", body, "application/x-npy"), 400)


def tensor(data: Any, shape: list[int], datatype: str = "FP64", name: str = "input-0") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


@pytest.mark.parametrize("data", [ROWS, [v for row in ROWS for v in row]], ids=["nested", "flat"])
def test_a_tensor_is_rows(served: Scoring, iris: Any, data: Any) -> None:
    body = {"id": "my-id", "inputs": [tensor(data, [2, 4])]}
    answer = served.post("/v2/models/iris/infer", body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("iris", "1", "my-id")
    out = told["outputs"][0]
    assert (out["name"], out["datatype"], out["shape"]) == ("predict_proba", "FP64", [2, 3])
    assert np.allclose(np.reshape(out["data"], out["shape"]), iris.predict_proba(ROWS))


def test_the_output_asked_for_is_the_method(served: Scoring) -> None:
    given = [tensor(ROWS, [2, 4], "FP32")]
    for asked in ({"outputs": [{"name": "predict"}]}, {"parameters": {"method": "predict"}}):
        out = served.post("/v2/models/iris/versions/1/infer", {"inputs": given, **asked}).json()["outputs"][0]
        assert out == {"name": "predict", "datatype": "INT64", "shape": [2], "data": [0, 2]}


def test_string_labels_are_bytes(served: Scoring) -> None:
    out = served.post("/v2/models/species/infer", {"inputs": [tensor(ROWS, [2, 4])]}).json()["outputs"][0]
    labels = SVC().fit(IRIS, SPECIES).predict(ROWS).tolist()
    assert out == {"name": "predict", "datatype": "BYTES", "shape": [2], "data": labels}


FLAT = [v for row in ROWS for v in row]
USUAL = {"id": "7", "inputs": [tensor(FLAT, [2, 4])]}


@pytest.mark.parametrize(
    "body",
    [
        USUAL,
        {"inputs": [tensor(FLAT, [2, 4], "FP32", "a:b")]},
        {**USUAL, "id": ""},
        {**USUAL, "id": 7},
        {**USUAL, "parameters": {"method": "predict"}},
        {"inputs": [{**tensor(FLAT, [2, 4]), "parameters": {}}]},
        {"inputs": [tensor([2**53 + 1, *FLAT[1:]], [2, 4])]},
        {"inputs": [tensor([1e300, *FLAT[1:]], [2, 4])]},
        {"inputs": [tensor([None, *FLAT[1:]], [2, 4])]},
        {"inputs": [tensor(FLAT, [4, 2])]},
        {"inputs": [tensor(FLAT, [2, -4])]},
        {"inputs": [tensor(FLAT[:-1], [2, 4])]},
        {"inputs": [tensor([], [0, 4])]},
        {"inputs": [tensor(FLAT, [2, 4])] * 2},
        json.dumps(USUAL).replace('"shape"', '"data": [], "shape"'),
        json.dumps(USUAL).replace('"id"', '"id": "6", "id"'),
    ],
    ids=str,
)
def test_the_usual_tensor_is_read_in_a_quicker_way_with_the_same_answer(served: Scoring, body: Any) -> None:
    """Where other dialects are taken too it is read as every body."""
    content = body if isinstance(body, str) else json.dumps(body)
    told = []
    for address in ("/v2/models/iris/infer", "/models/iris/score"):
        answer = served.post(address, content=content.encode(), headers={"content-type": "application/json"})
        told.append((answer.status_code, {**answer.json(), "request_id": "", "curl": "", "error": ""}))
    assert told[0] == told[1]


def test_a_tensor_per_column_is_a_frame(served: Scoring) -> None:
    inputs = [
        tensor(PEOPLE["city"].tolist(), [6, 1], "BYTES", "city"),
        tensor(PEOPLE["age"].tolist(), [6], "FP64", "age"),
        tensor(PEOPLE["floor"].tolist(), [6], "INT32", "floor"),
    ]
    out = served.post("/v2/models/people/infer", {"inputs": inputs}).json()["outputs"][0]
    assert np.allclose(np.reshape(out["data"], out["shape"]), served.score("people", PEOPLE.values.tolist()))
    texts = served.post("/v2/models/mood/infer", {"inputs": [tensor(["good", "bad"], [2], "BYTES")]})
    assert texts.status_code == 200


@pytest.mark.parametrize(
    ("inputs", "at"),
    [
        ([], "$.inputs"),
        ("x", "$.inputs"),
        ([5], "$.inputs[0]"),
        ([{"name": "a"}], "$.inputs[0]"),
        ([tensor(ROWS, [2, 3])], "$.inputs[0].data"),
        ([tensor(ROWS, [2, 4], "FP8")], "$.inputs[0].datatype"),
        ([tensor(ROWS, [2, 4], ["FP64"])], "$.inputs[0].datatype"),
        ([tensor(ROWS, [-2, -4])], "$.inputs[0].shape"),
        ([tensor(ROWS, [True, 8])], "$.inputs[0].shape"),
        ([tensor(ROWS, [2, 2, 2])], "$.inputs[0].shape"),
        ([tensor([], [10**9, 0])], "$.inputs[0].shape"),
        ([tensor([[1.5] * 4], [1, 4], "INT64")], "$.inputs[0].data[0]"),
        ([tensor([[1, 1, 1, 128]], [1, 4], "INT8")], "$.inputs[0].data[3]"),
        ([tensor([[1, 1, -1, 1]], [1, 4], "UINT8")], "$.inputs[0].data[2]"),
        ([tensor([[2**63] * 4], [1, 4], "INT64")], "$.inputs[0].data[0]"),
        ([tensor([[1, 65520, 1, 1]], [1, 4], "FP16")], "$.inputs[0].data[1]"),
        ([tensor([1.0, 1.0, 1.0, -3.5e38], [1, 4], "FP32")], "$.inputs[0].data[3]"),
        ([tensor([*([1.0] * 1999), 1e300], [500, 4], "FP32")], "$.inputs[0].data[1999]"),
        ([{**tensor(ROWS, [2, 4]), "parameters": 5}], "$.inputs[0].parameters"),
        ([tensor([True] * 4, [1, 4])], "$.inputs[0].data[0]"),
        ([tensor(["1"] * 4, [1, 4], "BYTES")], "row 0, column 0"),
        ([tensor([[[1.0] * 4]], [1, 4])], "$.inputs[0].data"),
        ([tensor([], [0, 4])], "row 0"),
        ([tensor([1.0], [1], name="a"), tensor([1.0, 2.0], [2], name="b")], "$.inputs"),
    ],
)
def test_a_wrong_tensor_is_refused_in_the_protocols_words_too(served: Scoring, inputs: Any, at: str) -> None:
    told = assert_one_error_shape(served.post("/v2/models/iris/infer", {"inputs": inputs}), 400)
    assert told["at"] == at
    assert told["error"] == told["message"]


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        *(({"parameters": odd}, "$.parameters") for odd in ([], 0, "", False)),
        *(({"outputs": odd}, "$.outputs") for odd in ({}, 0, "", False, [5], [{}, {}])),
        ({"parameters": {"binary_data_output": "false"}}, "$.parameters.binary_data_output"),
        ({"outputs": [{"parameters": {"binary_data": 0}}]}, "$.outputs[0].parameters.binary_data"),
        ({"outputs": [{"parameters": []}]}, "$.outputs[0].parameters"),
        *(({"parameters": {"method": odd}}, "$.method") for odd in ("", 0, False)),
        ({"parameters": {"method": "predict"}, "outputs": [{"name": "predict_proba"}]}, "$.outputs[0].name"),
    ],
)
def test_what_a_tensor_body_asks_beside_is_read_strictly(
    served: Scoring, fields: dict[str, Any], at: str
) -> None:
    answer = served.post("/v2/models/iris/infer", {"inputs": [tensor(ROWS, [2, 4])], **fields})
    assert assert_one_error_shape(answer, 400)["at"] == at
    nothing = {"parameters": None, "outputs": []}
    assert served.post("/v2/models/iris/infer", {"inputs": [tensor(ROWS, [2, 4])], **nothing}).json()


def test_a_number_that_a_float32_only_rounds_is_taken(served: Scoring, iris: Any) -> None:
    given = tensor([0.1, 3.4028235e38, -3.4028235e38, 65519], [1, 4], "FP32")
    answer = served.post("/v2/models/scaled/infer", {"inputs": [given]})
    assert answer.json()["outputs"][0]["data"][0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        *(({"params": odd}, "$.params") for odd in ([], 0, "", False, {"other": 1})),
        *(({"method": odd}, "$.method") for odd in ("", 0, False)),
        *(({"params": {"method": odd}}, "$.method") for odd in ("", 0, False)),
        ({"method": "predict", "params": {"method": "predict_proba"}}, "$.params.method"),
    ],
)
@pytest.mark.parametrize("key", ["instances", "inputs", "dataframe_split", "dataframe_records"])
def test_what_an_mlflow_body_asks_beside_is_read_strictly(
    served: Scoring, key: str, fields: dict[str, Any], at: str
) -> None:
    body = {key: {"data": ROWS} if key == "dataframe_split" else ROWS}
    told = assert_one_error_shape(served.post("/models/iris/invocations", {**body, **fields}), 400)
    assert told["at"] == at
    agreeing = {"method": "predict", "params": {"method": "predict"}}
    assert served.post("/models/iris/invocations", {**body, **agreeing}).json() == {"predictions": [0, 2]}
    assert served.post("/models/iris/invocations", {**body, "params": None}).status_code == 200


def test_the_protocol_describes_server_and_models(served: Scoring) -> None:
    assert served.get("/v2").json()["name"] == "fitq"
    assert served.get("/v2/health/live").status_code == 200
    assert served.get("/v2/health/ready").status_code == 200
    assert served.get("/v2/models/iris/ready").status_code == 200
    told = served.get("/v2/models/iris").json()
    assert told["inputs"] == [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}]
    assert told["outputs"] == [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 3]}]
    people = served.get("/v2/models/people/versions/1").json()["inputs"]
    assert [(i["name"], i["datatype"]) for i in people] == [
        ("age", "FP64"), ("city", "BYTES"), ("floor", "INT64")
    ]  # fmt: skip
    assert_one_error_shape(served.get("/v2/models/none"), 404)
    assert_one_error_shape(served.get("/v2/models/iris", token=None), 401)


def binary(array: Any, datatype: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
    """The two parts of a body in the binary form."""
    values = array if isinstance(array, bytes) else array.tobytes()
    shape = [1] if isinstance(array, bytes) else list(array.shape)
    told = {
        "name": "input-0",
        "shape": shape,
        "datatype": datatype,
        "parameters": {"binary_data_size": len(values)},
    }
    return {"inputs": [told], **fields}, values


SIZE_AT = "$.inputs[0].parameters.binary_data_size"


def infer(served: Scoring, head: object, values: bytes, model: str = "iris", size: str = "") -> Any:
    text = json.dumps(head).encode()
    headers = {
        "inference-header-content-length": size or str(len(text)),
        "content-type": "application/octet-stream",
    }
    return served.post(f"/v2/models/{model}/infer", content=text + values, headers=headers)


@pytest.mark.parametrize("datatype", ["FP64", "FP32"])
def test_binary_tensors_are_rows_and_answers(served: Scoring, iris: Any, datatype: str) -> None:
    rows = np.array(ROWS, dtype={"FP64": "<f8", "FP32": "<f4"}[datatype])
    answer = infer(served, *binary(rows, datatype, parameters={"binary_data_output": True}))
    size = int(answer.headers["inference-header-content-length"])
    told = json.loads(answer.content[:size])["outputs"][0]
    assert (told["datatype"], told["shape"]) == ("FP64", [2, 3])
    assert told["parameters"] == {"binary_data_size": 48}
    found = np.frombuffer(answer.content[size:], "<f8").reshape(2, 3)
    assert found.tolist() == iris.predict_proba(rows.astype(float)).tolist()


def test_binary_texts_are_rows_and_answers(served: Scoring) -> None:
    text = "güt".encode()
    answer = infer(served, *binary(len(text).to_bytes(4, "little") + text, "BYTES"), model="mood")
    assert answer.json()["outputs"][0]["shape"][0] == 1
    head, values = binary(
        np.array(ROWS), "FP64", outputs=[{"name": "predict", "parameters": {"binary_data": True}}]
    )
    answer = infer(served, head, values, model="species")
    told = answer.content[int(answer.headers["inference-header-content-length"]) :]
    labels = SVC().fit(IRIS, SPECIES).predict(ROWS).tolist()
    assert told == b"".join(len(label).to_bytes(4, "little") + label.encode() for label in labels)


@pytest.mark.parametrize(
    ("head", "values", "size", "at"),
    ids=range(15),
    argvalues=[
        (*binary(np.array([[0, 1, 2, 1]], dtype="u1"), "BOOL"), "", "$.inputs[0].data"),
        ({"inputs": [{"name": "x", "shape": [0], "parameters": {"binary_data_size": 0}}]}, b"", "",
         "$.inputs[0].datatype"),
        ({"inputs": [{"datatype": "FP64", "parameters": {"binary_data_size": 8}}]}, bytes(8), "",
         "$.inputs[0]"),
        ({"inputs": [tensor([], [1], "FP99")]}, b"", "", "$.inputs[0].datatype"),
        (*binary(np.array(ROWS), "FP64"), "99999", "header inference-header-content-length"),
        (*binary(np.array(ROWS), "FP64"), "x", "header inference-header-content-length"),
        (*binary(np.array(ROWS), "FP64"), "3", "$"),
        (*binary(np.array(ROWS), "FP32"), "", "$.inputs[0].data"),
        (*binary(np.array(ROWS)[:, :3], "FP64"), "", "row 0"),
        (*binary(np.array([[np.nan] * 4]), "FP64"), "", "row 0, column 0"),
        (binary(np.array(ROWS), "FP64")[0], b"short", "", SIZE_AT),
        (binary(np.array(ROWS), "FP64")[0], bytes(99), "", "$"),
        ({"inputs": [{**tensor([], [1], "BYTES"), "parameters": {"binary_data_size": 3}}]}, b"abc", "",
         "$.inputs[0].data"),
        ({"inputs": [{**tensor([], [1]), "parameters": {"binary_data_size": True}}]}, b"a", "",
         SIZE_AT),
        (binary(np.array(ROWS, dtype=np.int64), "INT8")[0], np.array(ROWS, dtype=np.int64).tobytes(), "",
         "$.inputs[0].data"),
    ],
)  # fmt: skip
def test_a_wrong_binary_tensor_is_refused(
    served: Scoring, head: dict[str, Any], values: bytes, size: str, at: str
) -> None:
    assert assert_one_error_shape(infer(served, head, values, size=size), 400)["at"] == at
