"""One small model of each kind that takes other rows or gives other answers than the rest."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import msgspec
import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fitq.scorer import child
from fitq.scorer.facts import ModelFacts

IRIS, LABELS = load_iris(return_X_y=True)
BOTH = np.column_stack([LABELS, LABELS == 0])
SPECIES = np.array(["setosa", "versicolor", "virginica ♥"], dtype=object)[LABELS]
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
PEOPLE = pd.DataFrame(
    {"age": [20.0, 30, 40, 50, 60, 70], "city": ["Rome", "Oslo", "Rome", "Bonn", "Oslo", "Bonn"],
     "floor": [1, 2, 3, 1, 2, 3]}
)  # fmt: skip
MEMBERS = pd.DataFrame({"member": [True, False, True, False], "visits": [1, 2, 3, 4]})
DAYS = pd.DataFrame({"day": ["2024-01-31", "2024-02-29", "2024-03-01", "2024-12-31"], "size": [1.0, 2, 3, 4]})
TEXTS = ["good fine great", "bad awful", "great good", "awful poor bad"]


class Kind(NamedTuple):
    """A fitted model, and rows that it answers."""

    name: str
    model: Any
    rows: list[Any]  #: as in `{"data": …}`
    names: list[str] = []  # noqa: RUF012  #: of the columns, where it has some
    sample_input: list[Any] | None = None  #: what it has to be registered with

    def save(self, folder: Path) -> Path:
        """The model file, as a run would leave it."""
        path = folder / f"{self.name}.joblib"
        joblib.dump(self.model, path)
        return path

    def facts(self) -> ModelFacts:
        """What registration finds in it, found in this process: these models are our own."""
        told = child.facts(child.Loaded(self.model, []), self.sample_input)
        return msgspec.convert(told, type=ModelFacts)


def _people() -> Any:
    columns = ColumnTransformer(
        [("age", make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
         ("city", OneHotEncoder(), ["city"]), ("floor", OneHotEncoder(handle_unknown="ignore"), ["floor"])]
    )  # fmt: skip
    return make_pipeline(columns, LogisticRegression()).fit(PEOPLE, [0, 1, 0, 1, 1, 0])


def _days() -> Any:
    columns = ColumnTransformer([("day", OrdinalEncoder(), ["day"])], remainder="passthrough")
    return make_pipeline(columns, LogisticRegression()).fit(DAYS, [0, 1, 0, 1])


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """All of them; fitted once."""
    ten = IRIS[::15].tolist()
    named = pd.DataFrame(IRIS, columns=NAMES)
    texts = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 1, 0])
    members = DecisionTreeClassifier().fit(MEMBERS, [True, False, False, True])
    letters = np.array([["a", 1.0], ["b", 2.0], ["a", 3.0], ["b", 4.0]], dtype=object)
    object_columns = ColumnTransformer([("letter", OneHotEncoder(), [0])], remainder="passthrough")
    objects = make_pipeline(object_columns, LogisticRegression()).fit(letters, [0, 1, 0, 1])
    records = MEMBERS.to_dict("records")
    return (
        Kind("array", LogisticRegression(max_iter=1000).fit(IRIS, LABELS), ten),
        Kind("named", BayesianRidge().fit(named, LABELS), ten, NAMES),
        Kind("people", _people(), PEOPLE.values.tolist(), list(PEOPLE)),
        Kind("texts", texts, TEXTS),
        Kind("multi", MultiOutputClassifier(LogisticRegression(max_iter=1000)).fit(IRIS, BOTH), ten),
        Kind("clusters", KMeans(3, n_init=1, random_state=0).fit(IRIS), ten),
        Kind("labels", SVC().fit(IRIS, SPECIES), ten),
        Kind("outliers", IsolationForest(n_estimators=5, random_state=0).fit(IRIS), ten),
        Kind("members", members, MEMBERS.astype(object).values.tolist(), list(MEMBERS), records),
        Kind("days", _days(), DAYS.values.tolist(), list(DAYS)),
        Kind("objects", objects, letters.tolist()),
        Kind("whole", KMeans(2, n_init=1, random_state=0).fit([[1, 2], [3, 4], [9, 9]]), [[1, 2], [9, 9]],
             [], [[1, 2], [3, 4]]),
        Kind("encoder", OneHotEncoder().fit([["a"], ["b"]]), [["a"], ["b"]]),
    )  # fmt: skip
