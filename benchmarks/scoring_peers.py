"""Other people's servers for `scoring.py --peers PYTHON`: `scoring_peers.py WHO PORT FOLDER`, run by an
interpreter that has them (`pip install fastapi uvicorn httptools uvloop mlserver mlserver-sklearn`).

FOLDER holds `<model>.joblib` files. Each is set up as its own documentation begins, in one process.
"""

import json
import os
import sys
from pathlib import Path


def fastapi(port: int, folder: Path) -> None:
    """`POST /models/<model>/score` with a typed body, as its tutorial has it."""
    import joblib
    import uvicorn
    from fastapi import FastAPI
    from pydantic import BaseModel

    models = {path.stem: joblib.load(path) for path in folder.glob("*.joblib")}
    app = FastAPI()

    class Body(BaseModel):
        data: list[list[float]]

    @app.post("/models/{model}/score")
    def score(model: str, body: Body) -> list[int]:
        return models[model].predict(body.data).tolist()  # type: ignore[no-any-return]

    uvicorn.run(app, port=port, access_log=False, log_level="warning")


def mlserver(port: int, folder: Path) -> None:
    """`POST /v2/models/<model>/infer`."""
    home = folder / "mlserver"
    home.mkdir(exist_ok=True)
    settings = {
        "http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "parallel_workers": 0,
        "debug": False,
    }  # fmt: skip
    (home / "settings.json").write_text(json.dumps(settings))
    for path in folder.glob("*.joblib"):
        model = home / path.stem
        model.mkdir(exist_ok=True)
        told = {
            "name": path.stem, "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(path.resolve())},
        }  # fmt: skip
        (model / "model-settings.json").write_text(json.dumps(told))
    program = Path(sys.executable).with_name("mlserver")
    os.execv(program, [str(program), "start", str(home)])


if __name__ == "__main__":
    {"fastapi": fastapi, "mlserver": mlserver}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
