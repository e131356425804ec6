"""Data that an estimator does not take: what scikit-learn, numpy and pandas say of it, and what helps."""

from __future__ import annotations

import re
from typing import NamedTuple

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {
    "missing_values": "The data has missing or infinite values that the estimator does not take.",
    "wrong_target": "The target does not suit the estimator: numbers for a classifier, one class only.",
    "not_numeric": "The data has text where numbers are needed.",
    "shape_mismatch": "Arrays do not have the shape, length or columns that were expected.",
}


class _Rule(NamedTuple):
    kind: str
    said: re.Pattern[str]
    hint: str


def _rule(kind: str, said: str, hint: str) -> _Rule:
    return _Rule(kind, re.compile(said), hint)


#: The first that fits wins: what is particular stands before what is general.
_RULES = (
    _rule(
        "missing_values",
        r"Input y contains NaN",
        "Drop the rows whose target is missing: keep = y.notna(); X, y = X[keep], y[keep].",
    ),
    _rule(
        "missing_values",
        r"Input (?:X )?contains infinity|array must not contain infs|Cannot convert non-finite",
        "Find what became infinite (a division by zero, a logarithm of zero): numpy.isinf(X).any(axis=0).",
    ),
    _rule(
        "missing_values",
        r"contains? NaN|cannot convert (?:float )?NaN",
        "Fill them in a pipeline, make_pipeline(SimpleImputer(), …), or use an estimator that takes them: "
        "HistGradientBoostingClassifier, HistGradientBoostingRegressor. Where they are: df.isna().sum().",
    ),
    _rule(
        "wrong_target",
        r"Unknown label type",
        "A classifier was given numbers to predict: use a regressor (RandomForestRegressor, Ridge), or make "
        "classes of them (astype(int), pandas.cut).",
    ),
    _rule(
        "wrong_target",
        r"least populated class",
        "A class has fewer rows than the split needs: drop stratify=, use fewer folds, merge rare classes.",
    ),
    _rule(
        "wrong_target",
        r"continuous is not supported|Classification metrics can't handle",
        "Predictions and truth are of different kinds: compare labels with labels, from predict and not from "
        "predict_proba.",
    ),
    _rule(
        "wrong_target",
        r"Target is multiclass but|multiclass format is not supported|multi_class must be in",
        "Say how classes are put together: average='macro', or multi_class='ovr' with predict_proba.",
    ),
    _rule(
        "wrong_target",
        r"at least 2 classes|only one class|greater than one|Only one class|number of classes",
        "The rows it was fitted on have one class only: shuffle before the split, or split with stratify=y.",
    ),
    _rule(
        "wrong_target",
        r"Mix of label input types|Invalid classes inferred|pos_label=.{0,40} is not a valid label",
        "Labels are mixed or not those expected: use one type for all of them, LabelEncoder for 0, 1, 2, …",
    ),
    _rule(
        "not_numeric",
        r"could not convert string to float|invalid literal for (?:int|float)\(\)|"
        r"Unable to convert array of bytes/strings|with string dtype|Could not convert .{1,60} to numeric",
        "Encode text columns (OneHotEncoder, OrdinalEncoder or TfidfVectorizer in a ColumnTransformer), or "
        "clean them: pandas.to_numeric(column, errors='coerce'). Which they are: "
        "df.select_dtypes(exclude='number').",
    ),
    _rule(
        "shape_mismatch",
        r"Expected 2D array|Expected 2-dimensional",
        "One feature: x.reshape(-1, 1), or df[['column']]. One row: x.reshape(1, -1).",
    ),
    _rule(
        "shape_mismatch",
        r"is expecting \d+ features|feature names should match|columns are missing|Number of features of the",
        "Give predict and transform the columns that fit had, in that order. A Pipeline of preparation and "
        "model sees to it.",
    ),
    _rule(
        "shape_mismatch",
        r"inconsistent numbers of samples|Found input variables|same number of (?:rows|samples)",
        "X and y differ in length: were rows dropped from only one of them?",
    ),
    _rule(
        "shape_mismatch",
        r"inhomogeneous shape",
        "Rows have different lengths. numpy before 1.24 made an object array of them, as dtype=object still "
        "does.",
    ),
    _rule(
        "shape_mismatch",
        r"Found array with|0 sample\(s\)",
        "No row or no column is left: print the shape after each step that drops some.",
    ),
    _rule(
        "shape_mismatch",
        r"could not be broadcast|not aligned|matmul: Input operand|must have the same (?:length|number)|"
        r"Length of values|Length mismatch|y should be a 1d array|cannot reshape array|dimension mismatch|"
        r"all the input array dimensions|Expected 1D array",
        "Print the shapes just before that line: print(X.shape, y.shape).",
    ),
)
_ESTIMATOR = re.compile(r"^(?P<name>[A-Z]\w{2,60}) does not accept missing values", re.MULTILINE)
_TEXT = re.compile(r"could not convert string to float: ?(?P<value>.{1,100})")


def recognise(case: Case, trace: Trace) -> Finding | None:
    """Errors about values: never about the code itself."""
    if trace.short_name not in ("ValueError", "TypeError", "IntCastingNaNError", "DTypePromotionError"):
        return None
    text = trace.text[:6000]
    rule = next((rule for rule in _RULES if rule.said.search(text)), None)
    if rule is None:
        return None
    return Finding(rule.kind, _message(trace, text), rule.hint)


def _message(trace: Trace, text: str) -> str:
    if found := _ESTIMATOR.search(text):
        return f"{found['name']} takes no missing values: {trace.first_line}"
    if found := _TEXT.search(text):
        value = found["value"].strip("'\" ")
        return f"The text {value!r} stands where a number is needed."
    return trace.sentence
