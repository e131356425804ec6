"""The servers that `scoring.py` compares, each as one process: `scoring_servers.py WHO PORT FOLDER`.

FOLDER holds `<model>.joblib` files. All answer `POST /models/<model>/score` with `{"data": [[…]]}`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import joblib
import numpy as np
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from fitq.schema import Rows

TOKEN = "benchmark-token"


def fitq(port: int, folder: Path) -> None:
    """The real scoring program with its scorer child, token and strict schema; models come from memory."""
    from bodies_lab.keeping import keep

    from fitq import programs
    from fitq.scorer.client import inspect_model
    from fitq.settings import Settings
    from fitq.store.memory import MemoryObjects

    objects = MemoryObjects()
    small = None  # what is found in one of the many small models of `scoring_many` stands for all
    for path in sorted(folder.glob("*.joblib")):
        is_small = path.stem.startswith("small-")
        facts = small if is_small and small else inspect_model(path, sample_input=None, seconds=60)
        small = facts if is_small else small
        keep(objects, path, facts, default_method="predict")
    programs.open_objects = lambda _: objects  # type: ignore[assignment, return-value]  # the store is not in question
    programs.run_scoring(Settings(token=TOKEN, scoring_port=port))


def in_process(port: int, folder: Path) -> None:
    """The same program without its scorer child: models are loaded into it, and predict there."""
    from fitq.scorer import announcing, client, scorers
    from fitq.scorer.child.loading import Loaded, load
    from fitq.scorer.child.predicting import predict, quickly
    from fitq.scorer.child.rows import checked_matrix, model_input

    class InProcess(client.Scorer):
        _models: ClassVar[dict[str, Loaded]] = {}

        async def start(self) -> None:
            pass

        async def ping(self) -> dict[str, object]:
            return {"memory_bytes": 0, "models": list(self._models)}

        async def load(self, model: client.ModelFile) -> None:
            self._models[model.key] = load(str(model.path), model.names)

        def predict(self, model: client.ModelFile, method: str, rows: Rows) -> asyncio.Future[client.Outcome]:
            answer = asyncio.get_running_loop().create_future()
            answer.set_result(client.Outcome(self._predicted(model, method, rows), 0.0))
            return answer

        def _predicted(self, model: client.ModelFile, method: str, rows: Rows) -> object:
            """As the child does it, without anything being packed or sent."""
            loaded = self._models[model.key]
            described = announcing.matrix(model.input_schema, rows.dtype)
            matrix = checked_matrix(loaded, described, rows.raw)
            if matrix is not None and loaded.quick.get(method):
                return quickly(loaded, method, None, matrix)
            return predict(loaded, method, model_input(loaded, described, rows.raw), matrix)

    scorers.Scorer = InProcess  # type: ignore[misc]  # nothing else differs
    fitq(port, folder)


def plain(port: int, folder: Path) -> None:
    """What one writes by hand: Starlette, orjson, asarray, predict, orjson. No checks, no token."""
    models = {path.stem: joblib.load(path) for path in folder.glob("*.joblib")}

    async def score(request: Request) -> Response:
        rows = np.asarray(orjson.loads(await request.body())["data"], dtype=float)
        answer = models[request.path_params["model"]].predict(rows)
        return Response(
            orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
        )

    _serve(score, port)


def echo(port: int, _: Path) -> None:
    """The limit: parses the JSON and predicts nothing."""

    async def score(request: Request) -> Response:
        rows = orjson.loads(await request.body())["data"]
        return Response(orjson.dumps([0] * len(rows)), media_type="application/json")

    _serve(score, port)


def _serve(score: object, port: int) -> None:
    app = Starlette(routes=[Route("/models/{model}/score", score, methods=["POST"])])  # type: ignore[arg-type]
    uvicorn.run(app, port=port, access_log=False, log_level="warning")


if __name__ == "__main__":
    {"fitq": fitq, "in-process": in_process, "plain": plain, "echo": echo}[sys.argv[1]](
        int(sys.argv[2]), Path(sys.argv[3])
    )
