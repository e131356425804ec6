"""Quick ways to an answer, taken only where they were seen to give the same bits."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils import validation

from fitq.scorer import child
from fitq.scorer.child import forests, groves
from fitq.scorer.child.boosting import grove_of
from fitq.scorer.child.groves import FEW_ROWS
from fitq.scorer.child.predicting import quickly

CHANCE = np.random.default_rng(0)
ROWS = np.abs(CHANCE.normal(size=(80, 3)))
LABELS = (ROWS[:, 0] > 0.7).astype(int)
FRAME = pd.DataFrame(ROWS, columns=["a", "b", "c"])
MODELS: dict[str, Any] = {
    "logistic": LogisticRegression().fit(ROWS, LABELS),
    "labels": LogisticRegression().fit(ROWS, np.where(LABELS, "yes", "no")),
    "linear": LinearRegression().fit(ROWS, ROWS[:, :2]),
    "frame": LogisticRegression().fit(FRAME, LABELS),
    "pipeline": make_pipeline(StandardScaler(), PCA(2), SVC()).fit(FRAME, LABELS),
    "in place": MinMaxScaler(copy=False).fit(ROWS),
    "neighbours": KNeighborsClassifier(3).fit(ROWS, LABELS),
    "bayes": GaussianNB().fit(ROWS, LABELS),
    "not negative": MultinomialNB().fit(ROWS, LABELS),
    "clusters": KMeans(3, n_init=1, random_state=0).fit(ROWS),
    "tree": DecisionTreeRegressor(max_depth=3).fit(ROWS, ROWS[:, 1]),
    "boosting": HistGradientBoostingClassifier(max_iter=5).fit(ROWS, LABELS),
    "boosting of three": HistGradientBoostingClassifier(max_iter=30).fit(
        ROWS, np.digitize(ROWS[:, 2], [0.4, 0.9])
    ),
    "boosted numbers": HistGradientBoostingRegressor(loss="poisson", max_iter=10).fit(ROWS, ROWS[:, 1]),
    "forest": RandomForestClassifier(7, random_state=0).fit(FRAME, LABELS),
    "outliers": IsolationForest(n_estimators=7, random_state=0).fit(ROWS),
}


#: Their trees alone: one that splits by categories is not asked in the quick way.
BOOSTED = {
    "one tree": HistGradientBoostingRegressor(max_iter=1).fit(ROWS, ROWS[:, 1]),
    "by category": HistGradientBoostingClassifier(max_iter=5, categorical_features=[1]).fit(
        np.column_stack([ROWS[:, 0], np.arange(80) % 4, ROWS[:, 2]]), np.arange(80) % 4 // 2
    ),
}


def request(rows: Any, names: list[str]) -> tuple[dict[str, Any], bytearray]:
    described = {"layout": "matrix", "dtype": "<f8", "shape": [-1, 3], "names": names, "checked": True}
    return described, bytearray(np.ascontiguousarray(rows).tobytes())


def loaded(model: Any) -> tuple[child.Child, child.Loaded]:
    program = child.Child()
    program.models["m"] = child.Loaded(model, [])
    return program, program.models["m"]


def asked(program: child.Child, method: str, rows: Any, names: list[str]) -> Any:
    described, payload = request(rows, names)
    header = {"op": "predict", "model": "m", "method": method, "rows": described}
    told, data = program.answer(header, payload)
    return {k: v for k, v in told.items() if k != "seconds"}, data


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names", "ignore:divide by zero")
def test_a_quick_answer_has_the_same_bits(name: str) -> None:
    model = MODELS[name]
    names = ["a", "b", "c"] if hasattr(model, "feature_names_in_") else []
    program, known = loaded(model)
    for method in [m for m in child.METHODS if hasattr(model, m)]:
        parts = [ROWS[:1], ROWS[3:9], ROWS[::2]]
        usual = [child.answer_frame(child.called(known, method, _as_fitted(p, names))) for p in parts]
        given = [asked(program, method, part, names) for part in (*parts, *parts)]
        assert given == [*usual, *usual], method
        assert known.quick[method] is True, method


def _as_fitted(rows: Any, names: list[str]) -> Any:
    return pd.DataFrame(rows, columns=names) if names else rows.copy()


@pytest.mark.parametrize(
    "name", ["boosting", "boosting of three", "boosted numbers", "by category", "one tree"]
)
def test_trees_that_are_asked_together_give_the_bits_of_one_after_another(name: str) -> None:
    model = BOOSTED.get(name) or MODELS[name]
    large = np.vstack([ROWS, 1000 * ROWS, -ROWS])
    for rows in (large[:1], large[200:201], large[90 : 90 + FEW_ROWS], large, large):
        start = np.full((len(rows), model.n_trees_per_iteration_), 0.1)
        sums, usual = start.copy(), start.copy(order="F")
        model._predict_iterations(rows, model._predictors, usual, is_binned=False, n_threads=1)
        assert child.add_trees(model, rows, model._predictors, sums, 1)
        assert sums.tobytes() == np.ascontiguousarray(usual).tobytes()
        assert sums.tobytes() != start.tobytes()
    assert (grove_of(model, model._predictors, 3) is None) is (name == "by category")
    assert not child.add_trees(model, large, model._predictors, sums, 1, "one too many")


FORESTS = {
    "shares": RandomForestClassifier(23, random_state=0, min_samples_leaf=3).fit(ROWS, LABELS),
    "strange trees": ExtraTreesClassifier(4, random_state=0).fit(ROWS, LABELS),
    "numbers": RandomForestRegressor(50, random_state=0).fit(ROWS, ROWS[:, 1] / 3),
    "one tree": RandomForestRegressor(1, random_state=0).fit(ROWS, ROWS[:, 1]),
    "with holes": RandomForestClassifier(9, random_state=0).fit(
        np.where(ROWS > 0.9, np.nan, ROWS), np.arange(80) % 5
    ),
    "several": RandomForestRegressor(5, random_state=0).fit(ROWS, ROWS[:, :2]),
}


@pytest.mark.parametrize("name", FORESTS)
def test_a_forest_that_is_asked_as_one_tree_gives_the_bits_of_one_after_another(name: str) -> None:
    model = FORESTS[name]
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    _, known = loaded(model)
    large = np.vstack(
        [ROWS, 1000 * ROWS, -ROWS, np.where(ROWS > 0.8, np.nan, ROWS) if name == "with holes" else ROWS]
    )
    for rows in (large[:1], large[200:201], large[-FEW_ROWS:], large[-2 * FEW_ROWS :], large):
        usual = getattr(model, method)(rows)
        assert np.asarray(quickly(known, method, rows, None)).tobytes() == np.asarray(usual).tobytes()
    assert (forests.GROVES.of(model.estimators_[0], Mock(side_effect=ValueError)) is None) is (
        name == "several"
    )


def test_a_tree_of_a_forest_alone_answers_as_before_it_was_joined() -> None:
    model = FORESTS["shares"]
    usual = model.estimators_[3].predict_proba(ROWS)
    quickly(loaded(model)[1], "predict_proba", ROWS[:2], None)
    assert (model.estimators_[3].predict_proba(ROWS) == usual).all()


@pytest.mark.parametrize("limit", ["MAX_NUMBERS", "MAX_NODE_BYTES"])
def test_a_grove_too_large_to_keep_is_not_planted(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (groves, forests):
        monkeypatch.setattr(module, limit, 10)
    model = HistGradientBoostingRegressor(max_iter=10).fit(ROWS, ROWS[:, 1])
    assert grove_of(model, model._predictors, 3) is None
    forest = RandomForestClassifier(5, random_state=0).fit(ROWS, LABELS)
    told = quickly(loaded(forest)[1], "predict_proba", ROWS[:2], None)
    assert told.tolist() == forest.predict_proba(ROWS[:2]).tolist()
    assert forests.GROVES.of(forest.estimators_[0], Mock()) is None


def test_after_a_quick_call_scikit_learn_checks_as_ever() -> None:
    program, known = loaded(MODELS["logistic"])
    for _ in range(2):
        asked(program, "predict", ROWS, [])
    assert known.quick == {"predict": True}
    assert isinstance(validation.validate_data, child.InPlace)
    with pytest.raises(ValueError, match="contains NaN"):
        known.model.predict(np.array([[1.0, np.nan, 1.0]]))
    with pytest.raises(ValueError, match="2 features"):
        known.model.predict(ROWS[:, :2])
    with pytest.raises(ValueError, match="not fitted"):
        LogisticRegression().predict(ROWS)


def test_what_the_usual_check_would_refuse_or_change_still_goes_through_it() -> None:
    seen = []

    def usual(_: Any, rows: Any, **__: Any) -> Any:
        seen.append(rows)
        return "usual"

    child.Quick.rows = ROWS
    try:
        assert child.validated(usual, None, ROWS, reset=False) is ROWS
        copied = child.validated(usual, None, ROWS, reset=False, copy=True, dtype=[np.float64, np.float32])
        assert copied is not ROWS
        assert not seen
        wider = LogisticRegression()
        wider.n_features_in_ = 4
        other: list[tuple[Any, Any, dict[str, Any]]] = [
            (None, ROWS.copy(), {"reset": False}), (None, ROWS, {"reset": True}), (None, ROWS, {}),
            (None, ROWS, {"reset": False, "dtype": np.float32}), (None, ROWS, {"reset": False, "order": "F"}),
            (None, ROWS, {"reset": False, "ensure_non_negative": True}), (wider, ROWS, {"reset": False}),
        ]  # fmt: skip
        for estimator, rows, named in other:
            assert child.validated(usual, estimator, rows, **named) == "usual"
    finally:
        child.Quick.rows = None


BY_NAME = ColumnTransformer([("a", StandardScaler(), ["a"])])


class Named(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Looks at the names of its columns."""

    def fit(self, rows: Any, labels: Any) -> Named:
        self.feature_names_in_ = np.array(list(rows.columns))
        self.classes_ = np.unique(labels)
        return self

    def predict(self, rows: Any) -> Any:
        return (rows["a"] > 0.5).to_numpy().astype(int)


@pytest.mark.parametrize(
    "model",
    [
        Named().fit(FRAME, LABELS),
        make_pipeline(BY_NAME, LogisticRegression()).fit(FRAME, LABELS),
        make_pipeline(FunctionTransformer(lambda f: f[["a"]]), LogisticRegression()).fit(FRAME, LABELS),
    ],
    ids=["own", "by name", "function"],
)  # fmt: skip
def test_what_goes_by_names_is_given_names(model: Any) -> None:
    program, known = loaded(model)
    expected = model.predict(FRAME).tobytes()
    assert [asked(program, "predict", ROWS, ["a", "b", "c"])[1] for _ in range(3)] == [expected] * 3
    assert known.quick == {}
