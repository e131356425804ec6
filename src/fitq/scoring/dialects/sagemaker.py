"""SageMaker's scikit-learn container takes rows alone, `[[…]]`, and answers them alone; CSV and array files
as well. What it takes as an object is read as MLflow's."""

from __future__ import annotations

from typing import Any

from fitq.scoring.dialects.form import Dialect, Input, bare


def _read(body: dict[str, Any]) -> Input:
    return Input(body[""], "$")


DIALECT = Dialect("", _read, bare)
