"""Files of unknown origin are read before they are loaded, and load nothing else than was read in them."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import struct
import textwrap
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
import skops
import skops.io
from joblib.numpy_pickle import NumpyArrayWrapper
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from fitq.backend import Backend
from fitq.errors import ModelUnusable
from fitq.records import RegisterRequest
from fitq.registry import register
from fitq.scorer import child
from fitq.scorer.inspection import inspect_model
from fitq.scorer.pickles import Global, read_pickle, sklearn_that_wrote
from fitq.scorer.skops_files import versions_in_skops
from fitq.scorer.trusted import is_allowed, names_in
from fitq.upkeep import approve_file
from tests.scoring.conftest import saved

OBJECTS = np.dtype("O")
ROWS, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["a", "b", "c"], dtype=object)[LABELS]


def fitted(model: Any, labels: Any = LABELS) -> Any:
    return model.fit(ROWS, labels)


MODELS = {
    "forest": fitted(RandomForestClassifier(3)),
    "boosting": fitted(GradientBoostingClassifier(n_estimators=2)),
    "histograms": fitted(HistGradientBoostingClassifier(max_iter=2), NAMES),
    "neighbours": fitted(make_pipeline(StandardScaler(), KNeighborsClassifier()), NAMES),
    "search": fitted(GridSearchCV(SVC(), {"C": [1, 2]}, cv=2)),
    "selection": fitted(make_pipeline(SelectKBest(k=2), FunctionTransformer(np.log1p), SVC())),
    "one-hot": OneHotEncoder().fit([["x"], ["y"]]),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_scikit_learn_is_read_and_loads_with_the_names_that_were_read(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(MODELS[name]))
    names = names_in(path)
    assert names
    assert sklearn_that_wrote(path)
    assert inspect_model(path, names=names).estimator == type(MODELS[name]).__name__


@pytest.mark.parametrize("way", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 1), ("lzma", 1)], ids=str)
@pytest.mark.parametrize("name", ["histograms", "neighbours"])
def test_the_version_that_wrote_a_file_is_read_however_it_is_compressed(
    name: str, way: Any, tmp_path: Path
) -> None:
    joblib.dump(MODELS[name], tmp_path / "model", compress=way)
    assert sklearn_that_wrote(tmp_path / "model") == __import__("sklearn").__version__
    assert names_in(tmp_path / "model")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol_are_read(protocol: int, tmp_path: Path) -> None:
    for name, model in MODELS.items():
        (tmp_path / name).write_bytes(pickle.dumps([model, csr_matrix([[1.0]])], protocol=protocol))
        assert read_pickle(tmp_path / name).sklearn_versions, name
        assert names_in(tmp_path / name), name


# ---------------------------------------------------------------- files that would do something else


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def call_of(module: str, name: str, argument: str, opcode: str = "stack") -> bytes:
    """A pickle that calls a function with one text, naming it in one of the ways there are."""
    text = argument.encode()
    if opcode == "inst":
        return b"(S'" + text + b"'\ni" + module.encode() + b"\n" + name.encode() + b"\n."
    if opcode == "obj":
        return b"(c" + module.encode() + b"\n" + name.encode() + b"\nS'" + text + b"'\no."
    if opcode == "global":
        return b"c" + module.encode() + b"\n" + name.encode() + b"\n(S'" + text + b"'\ntR."
    words = b"".join(b"\x8c" + bytes([len(w)]) + w for w in (module.encode(), name.encode()))
    return b"\x80\x04" + words + b"\x93\x8c" + bytes([len(text)]) + text + b"\x85R."


def touching(canary: Path) -> dict[str, bytes]:
    """Files that leave a canary when they are loaded, in the shapes that scanners were passed by with."""
    shell, code = f"touch {canary}", f"open({str(canary)!r}, 'w')"
    plain = call_of("os", "system", shell)
    array = io.BytesIO()
    joblib.dump(np.array([1, Call(eval, code)], dtype=object), array)
    inside = saved({"model": MODELS["forest"], "also": Call(eval, code)})
    return {
        "global": call_of("os", "system", shell, "global"),
        "stack global": plain,
        "inst": call_of("posix", "system", shell, "inst"),
        "obj": call_of("posix", "system", shell, "obj"),
        "python 2's name": call_of("__builtin__", "eval", code, "global"),
        "eval": call_of("builtins", "eval", code),
        "exec": call_of("builtins", "exec", code),
        "timeit": call_of("timeit", "timeit", code),
        "numpy's eval": call_of("numpy.f2py.crackfortran", "myeval", code),
        "runstring": call_of("numpy.testing._private.utils", "runstring", code),
        "pip": call_of("pip", "main", "list"),
        "a submodule": call_of("sklearn.externals.os", "system", shell),
        "an attribute": call_of("sklearn.pipeline", "os.system", shell),
        "what a module only imports": call_of("sklearn.utils.discovery", "Path", shell),
        "in an array of objects": array.getvalue(),
        "beside a model": inside,
        "gzip": gzip.compress(plain),
        "bz2": bz2.compress(plain),
        "xz": lzma.compress(plain),
        "lzma": lzma.compress(plain, format=lzma.FORMAT_ALONE),
        "zlib": zlib.compress(plain),
        "gzip with a wrong sum": gzip.compress(plain)[:-8] + b"\0" * 8,
        "cut short": plain[:-1],
        "an extension code": b"\x80\x02\x82\x01.",
        "a persistent id": b"P1\n.",
        "a zip": b"PK\x03\x04" + plain,
        "hidden in an array": hidden(plain, size=len(plain)),
        "hidden by a size": hidden(plain, shape=(len(plain),), state=(3, "<", None, None, None, 1, 1, 0)),
        "hidden by flags": hidden(plain, state=(3, "|", None, None, None, 8, 1, 63)),
        "hidden in fields": hidden(
            plain, code="V8", state=(3, "|", None, ("o",), {"o": (OBJECTS, 0)}, 8, 1, 27)
        ),
        "hidden by a negative shape": hidden(plain, shape=(-1,)),
    }  # fmt: skip


class _Dtype:
    """A dtype that says of itself what it likes."""

    def __init__(self, code: str, state: Any) -> None:
        self.reduced = (np.dtype, (code, False, True), state)

    def __reduce__(self) -> Any:
        return self.reduced


def hidden(payload: bytes, *, code: str = "f8", state: Any = None, shape: Any = (1,), size: int = 0) -> bytes:
    """A pickle in the place of an array's bytes, for readers that step over more than joblib does."""
    wrapper = NumpyArrayWrapper(
        np.ndarray, shape, "C", _Dtype(code, state or (3, "<", None, None, None, -1, -1, 0))
    )
    wrapper.numpy_array_alignment_bytes = None
    whole = pickle.dumps(wrapper, protocol=2)[:-1]
    return whole + payload if not size else whole + struct.pack("<d", 1.0) + payload


@pytest.mark.parametrize("shape", touching(Path("x")))
def test_an_uploaded_file_that_would_do_something_else_is_refused_and_not_run(
    shape: str, memory_backend: Backend, tmp_path: Path
) -> None:
    path, canary = tmp_path / "model.joblib", tmp_path / "canary"
    path.write_bytes(touching(canary)[shape])
    with pytest.raises(ModelUnusable) as refused:
        register(memory_backend, RegisterRequest(name="bad"), upload=path)
    assert "fitq models approve --file" in refused.value.hint
    assert refused.value.data["refused"] or "cannot be read" in refused.value.message
    assert not canary.exists()
    assert list(memory_backend.objects.list("")) == []


@pytest.mark.parametrize("shape", touching(Path("x")))
def test_the_process_that_loads_imports_nothing_but_what_it_was_told(shape: str, tmp_path: Path) -> None:
    """Also if a file had been misread before: what counts is what is imported."""
    path, canary = tmp_path / "model.joblib", tmp_path / "canary"
    path.write_bytes(touching(canary)[shape])
    told = {
        "joblib.numpy_pickle NumpyArrayWrapper",
        "numpy ndarray",
        "numpy dtype",
        "numpy._core.multiarray _reconstruct",
        "sklearn.utils.discovery Path",
    }
    usual = joblib.numpy_pickle.NumpyUnpickler.find_class
    with child.only(told), contextlib.suppress(Exception):  # some are only nonsense then
        joblib.load(path)
    assert not canary.exists()
    assert joblib.numpy_pickle.NumpyUnpickler.find_class is usual
    assert joblib.numpy_pickle.pickle is pickle


def test_a_file_that_imports_more_than_was_read_in_it_is_refused_by_the_child(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(MODELS["forest"]))
    names = [name for name in names_in(path) if "RandomForest" not in name]
    with pytest.raises(ModelUnusable, match=r"may not: sklearn\.ensemble\._forest\.RandomForestClassifier"):
        inspect_model(path, names=names)


@pytest.mark.parametrize("name", ["forest", "boosting", "histograms", "neighbours", "search", "selection"])
def test_what_a_skops_file_holds_is_read_from_it(tmp_path: Path, name: str) -> None:
    skops.io.dump(MODELS[name], tmp_path / "model.skops")
    assert "numpy ndarray" in names_in(tmp_path / "model.skops")
    assert versions_in_skops(tmp_path / "model.skops")["scikit-learn"] == sklearn.__version__


def test_a_skops_file_is_registered_and_answers(memory_backend: Backend, tmp_path: Path) -> None:
    model = MODELS["histograms"]
    skops.io.dump(model, tmp_path / "model.skops")
    kept = register(memory_backend, RegisterRequest(name="zipped"), upload=tmp_path / "model.skops")
    assert (kept.estimator, kept.path) == (type(model).__name__, "model.skops")
    assert kept.input_schema is not None
    assert kept.golden
    assert kept.versions.packages["skops"] == skops.__version__
    assert "numpy ndarray" in (kept.names or [])


def test_a_skops_file_that_asks_for_more_is_refused_by_name_until_it_is_approved(
    memory_backend: Backend, tmp_path: Path
) -> None:
    path, request = tmp_path / "model.skops", RegisterRequest(name="more", sample_input=[[1.0]])
    skops.io.dump(FunctionTransformer(textwrap.dedent).fit([[1.0]]), path)
    with pytest.raises(ModelUnusable, match=r"textwrap\.dedent") as refused:
        register(memory_backend, request, upload=path)
    assert refused.value.data["refused"] == ["textwrap.dedent"]
    with pytest.raises(ModelUnusable, match="does not answer its sample_input"):
        register(memory_backend, request, upload=path, allowed=["textwrap.dedent"])
    with pytest.raises(ModelUnusable, match=r"would import what it may not: textwrap\.dedent"):
        inspect_model(path, sample_input=[[1.0]], names=["numpy ndarray"])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ModelUnusable, match="cannot be read as a skops file: it is no whole archive"):
        register(memory_backend, request, upload=path)


def test_what_is_refused_is_named_and_an_approval_overrides_it(
    memory_backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(saved(FunctionTransformer(Call(eval, "lambda rows: rows"))))
    with pytest.raises(ModelUnusable, match=r"builtins\.eval") as refused:
        register(memory_backend, RegisterRequest(name="own"), upload=path)
    assert refused.value.data["refused"] == ["builtins.eval"]
    allowed = register(
        memory_backend,
        RegisterRequest(name="own", sample_input=[[1.0]]),
        upload=path,
        allowed=["builtins.eval"],
    )
    assert "builtins eval" in (allowed.names or [])
    approve_file(memory_backend, allowed.sha256)
    trusted = register(memory_backend, RegisterRequest(name="own", sample_input=[[1.0]]), upload=path)
    assert trusted.names is None
    assert trusted.version == 2


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("sklearn.svm._classes", "SVC", True),
        ("sklearn.compose._column_transformer", "_RemainderColsList", True),
        ("sklearn._loss._loss", "__pyx_unpickle_CyHalfSquaredError", True),
        ("sklearn.metrics._classification", "f1_score", True),
        ("sklearn.datasets._base", "Path", False),
        ("sklearn.externals._arff", "ArffDecoder", False),
        ("sklearn.svm._classes", "SVC.__init__", False),
        ("sklearn.svm._classes", "os", False),
        ("sklearn", "SVC", False),
        ("sklearnx.svm", "SVC", False),
        ("sklearn.svm\nos", "SVC", False),
        ("numpy", "load", False),
        ("numpy", "fromfile", False),
        ("functools", "partial", False),
        ("builtins", "getattr", False),
        ("lightgbm.sklearn", "LGBMClassifier", False),
    ],
)
def test_what_a_file_may_import(module: str, name: str, expected: bool) -> None:
    assert is_allowed(Global(module, name)) is expected


def test_an_operator_can_allow_a_name() -> None:
    assert is_allowed(Global("lightgbm.sklearn", "LGBMClassifier"), ["lightgbm.sklearn.LGBMClassifier"])
