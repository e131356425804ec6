"""A forest's trees are gone through in a plain loop, once that was seen to answer the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier, _forest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fitq.scorer import child
from fitq.scorer.child import predicting

CHANCE = np.random.default_rng(0)
ROWS = CHANCE.normal(size=(60, 3))
SEVERAL = np.column_stack([ROWS[:, 0] > 0, ROWS[:, 1] > 0]).astype(int)
FORESTS: dict[str, Any] = {
    "classifier": RandomForestClassifier(20).fit(ROWS, SEVERAL[:, 0]),
    "several": RandomForestClassifier(20).fit(ROWS, SEVERAL),
    "regressor": ExtraTreesRegressor(20).fit(ROWS, ROWS[:, 2]),
    "pipeline": make_pipeline(StandardScaler(), RandomForestClassifier(20)).fit(ROWS, SEVERAL[:, 0]),
}


@pytest.mark.parametrize("name", FORESTS)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_the_loop_answers_the_same_to_the_last_bit(name: str, method: str) -> None:
    model = FORESTS[name]
    if not hasattr(model, method):
        pytest.skip("a regressor has no probabilities")
    usual, loaded = _forest.Parallel, child.Loaded(model, [])
    expected = [child.answer_frame(child.called(loaded, method, ROWS[i : i + 7])) for i in range(5)]
    given = [child.answer_frame(child.predict(loaded, method, ROWS[i : i + 7])) for i in range(5)]
    assert given == expected
    assert loaded.quick == {method: True}
    assert _forest.Parallel is usual


def test_where_the_loop_answers_otherwise_it_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = child.Loaded(FORESTS["regressor"], [])
    answers = iter([np.array([1.0]), np.array([2.0]), np.array([3.0])])
    monkeypatch.setattr(predicting, "called", lambda *_: next(answers))
    assert child.predict(loaded, "predict", ROWS).tolist() == [1.0]
    assert loaded.quick == {"predict": False}
    monkeypatch.setattr(predicting, "quickly", lambda *_: pytest.fail("it is not taken"))
    assert child.predict(loaded, "predict", ROWS).tolist() == [3.0]
