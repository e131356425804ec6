"""Other people's servers for `scoring.py --peers PYTHON`: `scoring_peers.py WHO PORT FOLDER`, run by an
interpreter that has them (`pip install fastapi uvicorn httptools uvloop mlserver mlserver-sklearn litserve
bentoml mlflow`).

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


_LIT = """
from pathlib import Path
import joblib, litserve

class Models(litserve.LitAPI):
    def setup(self, device):
        self.models = {path.stem: joblib.load(path) for path in Path(FOLDER).glob("*.joblib")}

    def decode_request(self, request):
        return request["model"], request["data"]

    def predict(self, asked):
        model, rows = asked
        return self.models[model].predict(rows).tolist()

    def encode_response(self, output):
        return {"predictions": output}

if __name__ == "__main__":
    server = litserve.LitServer(Models(), accelerator="cpu")
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning")
"""


def litserve(port: int, folder: Path) -> None:
    """`POST /predict`, one inference worker as by default. Its workers import the file that starts it."""
    program = folder / "lit.py"
    program.write_text(_LIT.replace("FOLDER", repr(str(folder.resolve()))).replace("PORT", str(port)))
    os.execv(sys.executable, [sys.executable, str(program)])


_BENTO = """
from pathlib import Path
import bentoml, joblib, numpy as np

@bentoml.service(workers=1)
class Models:
    def __init__(self) -> None:
        self.models = {path.stem: joblib.load(path) for path in Path(FOLDER).glob("*.joblib")}

    @bentoml.api
    def score(self, model: str, data: np.ndarray) -> np.ndarray:
        return self.models[model].predict(data)
"""


def bentoml(port: int, folder: Path) -> None:
    """`POST /score` of a service with one worker."""
    home = folder / "bentoml"
    home.mkdir(exist_ok=True)
    (home / "service.py").write_text(_BENTO.replace("FOLDER", repr(str(folder.resolve()))))
    os.environ |= {"BENTOML_HOME": str(home / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    program = Path(sys.executable).with_name("bentoml")
    options = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(home)]
    os.execv(program, [str(program), "serve", "service:Models", *options])


def mlflow(port: int, folder: Path) -> None:
    """`POST /<model>/invocations`: the application of `mlflow models serve`, once per model."""
    import joblib
    import mlflow.sklearn
    import uvicorn
    from mlflow.pyfunc import load_model, scoring_server
    from starlette.applications import Starlette
    from starlette.routing import Mount

    apps = []
    for path in folder.glob("*.joblib"):
        saved = folder / "mlflow" / path.stem
        mlflow.sklearn.save_model(
            joblib.load(path), str(saved), serialization_format="pickle", pip_requirements=["scikit-learn"]
        )
        apps.append(Mount(f"/{path.stem}", scoring_server.init(load_model(str(saved)))))
    uvicorn.run(Starlette(routes=apps), port=port, access_log=False, log_level="warning")


PEERS = {
    "fastapi": fastapi, "mlserver": mlserver, "litserve": litserve, "bentoml": bentoml, "mlflow": mlflow,
}  # fmt: skip

if __name__ == "__main__":
    PEERS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
