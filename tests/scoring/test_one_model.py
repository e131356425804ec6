"""A process that serves one model answers where MLflow's and SageMaker's clients look: at the root."""

from __future__ import annotations

import importlib.metadata
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.scoring.conftest import running

ROW = [5.1, 3.5, 1.4, 0.2]
program = contextmanager(running)


def test_the_only_model_answers_at_the_root(iris: Any, tmp_path: Path) -> None:
    with program(tmp_path) as scoring:
        nothing = scoring.get("/ping")
        assert (nothing.status_code, nothing.json()["code"]) == (404, "not_found")
        scoring.register("iris", iris)
        assert scoring.get("/ping").status_code == scoring.get("/health").status_code == 200
        assert scoring.get("/version").text == importlib.metadata.version("fitq")
        answer = scoring.post("/invocations", {"instances": [ROW]})
        assert answer.status_code == 200
        assert answer.json() == scoring.post("/models/iris/invocations", {"instances": [ROW]}).json()
        assert scoring.post("/invocations", {"instances": [ROW]}, token=None).status_code == 401
        wrong = scoring.post("/invocations", {"instances": [[1.0]]})
        assert wrong.status_code == 400
        assert "/models/iris/score" in wrong.json()["curl"]


def test_of_several_models_the_chosen_one_answers(iris: Any, tmp_path: Path) -> None:
    with program(tmp_path, scoring_model="iris:1") as scoring:
        scoring.register("iris", iris)
        scoring.register("other", iris)
        assert scoring.post("/invocations", {"instances": [ROW]}).headers["x-fitq-model"] == "iris:1"
    with program(tmp_path) as scoring:
        scoring.register("iris", iris)
        scoring.register("other", iris)
        for path in ("/ping", "/health", "/version"):
            assert scoring.get(path).status_code == 404
            assert scoring.get(f"/models/other{path}").status_code == 200
        refused = scoring.post("/invocations", {"instances": [ROW]}).json()
        assert refused["models"] == ["iris", "other"]
        assert "FITQ_SCORING_MODEL" in refused["hint"]
