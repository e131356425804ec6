"""How fast does scoring answer, beside an app written by hand and an echo that predicts nothing?

    scripts/bench scoring [--repeats 3] [--seconds 2] [--only iris] [--peers PYTHON] [--realtime]

Server processes are pinned to one core and the load generator (`wrk`, from apt) to another. Each repeat goes
through all servers of a case in alternating order, so that noise of the machine hits all of them; the table
shows medians and the spread of ratios within one repeat. `--realtime` (root) keeps other programs from both
cores while a series runs. Many models and cold ones are the question of `scoring_many.py`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
from scoring_servers import TOKEN
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

SERVERS = ("fitq", "plain", "echo")
PEERS = {  # and how they are asked
    "fastapi": "azure",
    "mlserver": "oip",
    "litserve": "litserve",
    "bentoml": "bentoml",
    "mlflow": "mlflow-own",
}
SERVER_CORE, LOAD_CORE = 0, 1


class Case(NamedTuple):
    """One kind of load."""

    model: str
    rows: int
    clients: int
    body: str = "azure"  #: how fitq is asked; the others are asked as ever

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        body = "" if self.body == "azure" else f", {self.body}"
        return f"{self.model}, {rows}{body}, {self.clients} client{'s' if self.clients > 1 else ''}"


class Request(NamedTuple):
    """What is sent again and again."""

    path: str
    body: bytes
    headers: dict[str, str]


class Figure(NamedTuple):
    """What wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float


CASES = (
    Case("iris-logistic", 1, 1),
    Case("iris-logistic", 1, 32),
    Case("iris-logistic", 1000, 1),
    Case("iris-logistic", 1000, 1, "npy"),
    Case("iris-logistic", 1000, 1, "oip-binary"),
    Case("iris-logistic", 1, 32, "oip"),
    Case("iris-logistic", 1, 32, "kserve"),
    Case("iris-logistic", 1, 32, "mlflow"),
    Case("digits-forest-100", 1, 1),
    Case("digits-forest-100", 1, 32),
    Case("digits-hist-boosting", 1, 32),
)

_WRK_SCRIPT = """
wrk.method = "POST"
%s
local file = io.open("%s", "rb")
wrk.body = file:read("*a")
file:close()
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"rps": %%f, "p50": %%f, "p99": %%f, "bad": %%d}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def train(folder: Path) -> dict[str, list[list[float]]]:
    """Models as files, and rows for each."""
    flowers, digits = load_iris(return_X_y=True), load_digits(return_X_y=True)
    models = {
        "iris-logistic": (LogisticRegression(max_iter=1000), flowers),
        "digits-forest-100": (RandomForestClassifier(100, random_state=0), digits),
        "digits-hist-boosting": (HistGradientBoostingClassifier(max_iter=50, random_state=0), digits),
    }
    for name, (model, (rows, labels)) in models.items():
        joblib.dump(model.fit(rows, labels), folder / f"{name}.joblib")
    return {name: rows.tolist() for name, (_, (rows, _)) in models.items()}


def request(who: str, case: Case, rows: list[list[float]]) -> Request:
    """How a server is asked for the predictions of these rows."""
    body = case.body if who in ("fitq", "in-process") else PEERS.get(who, "azure")
    model, matrix = case.model, np.array(rows)
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    tensor = {"name": "predict", "shape": list(matrix.shape), "datatype": "FP64"}
    if body == "npy":
        file = io.BytesIO()
        np.save(file, matrix)
        headers["content-type"] = "application/x-npy"
        return Request(f"/models/{model}/score", file.getvalue(), headers)
    if body == "oip-binary":
        told = {"inputs": [{**tensor, "parameters": {"binary_data_size": matrix.nbytes}}]}
        head = json.dumps(told).encode()
        headers |= {
            "content-type": "application/octet-stream", "inference-header-content-length": str(len(head))
        }  # fmt: skip
        return Request(f"/v2/models/{model}/infer", head + matrix.tobytes(), headers)
    flat = [value for row in rows for value in row]
    path, content = {
        "azure": (f"/models/{model}/score", {"data": rows}),
        "oip": (f"/v2/models/{model}/infer", {"inputs": [{**tensor, "data": flat}]}),
        "kserve": (f"/v1/models/{model}:predict", {"instances": rows}),
        "mlflow": (f"/models/{model}/invocations", {"dataframe_split": {"data": rows}}),
        "mlflow-own": (f"/{model}/invocations", {"inputs": rows}),
        "litserve": ("/predict", {"model": model, "data": rows}),
        "bentoml": ("/score", {"model": model, "data": rows}),
    }[body]
    return Request(path, json.dumps(content).encode(), headers)


def answered(body: bytes) -> list[object]:
    """The predictions in an answer of any form."""
    told = json.loads(body)
    if isinstance(told, list):
        return told
    found: list[object] = told["predictions"] if "predictions" in told else told["outputs"][0]["data"]
    return found


def start(who: str, port: int, models: Path, log: Path, given: argparse.Namespace) -> subprocess.Popen[bytes]:
    """A server on its core; its children inherit that."""
    is_peer = who in PEERS
    program = Path(__file__).with_name("scoring_peers.py" if is_peer else "scoring_servers.py")
    command = [given.peers if is_peer else sys.executable, str(program), who, str(port), str(models)]
    with log.open("wb") as said:
        return subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda: pin(SERVER_CORE, given.realtime),
        )


def pin(core: int, realtime: bool) -> None:
    """Have this process, and those it starts, on one core only."""
    os.sched_setaffinity(0, {core})
    if realtime:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def wait_until_it_scores(port: int, asked: Request) -> list[object]:
    """The answer to a request, which a server that starts may take a while to give."""
    deadline = time.monotonic() + 120
    while True:
        try:
            url = f"http://127.0.0.1:{port}{asked.path}"
            with urllib.request.urlopen(
                urllib.request.Request(url, asked.body, asked.headers), timeout=30
            ) as answer:
                return answered(answer.read())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def load(port: int, case: Case, asked: Request, folder: Path, given: argparse.Namespace) -> Figure:
    """One series of requests over keep-alive connections."""
    body, script = folder / "body", folder / "post.lua"
    body.write_bytes(asked.body)
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in asked.headers.items())
    script.write_text(_WRK_SCRIPT % (headers, body))
    url = f"http://127.0.0.1:{port}{asked.path}"
    command = ["wrk", "-t1", f"-c{case.clients}", f"-d{given.seconds}s", "-s", str(script), url]
    done = subprocess.run(
        command, check=True, capture_output=True, preexec_fn=lambda: pin(LOAD_CORE, given.realtime)
    )
    told = json.loads(done.stdout.splitlines()[-1])
    if told["bad"]:
        raise RuntimeError(f"{told['bad']} requests failed: {case} at port {port}")
    return Figure(told["rps"], told["p50"], told["p99"])


def measure(cases: list[Case], given: argparse.Namespace) -> dict[tuple[Case, str], list[Figure]]:
    """(case, server) → one figure per repeat."""
    figures: dict[tuple[Case, str], list[Figure]] = {}
    servers = (*SERVERS, *PEERS) if given.peers else SERVERS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        known = train(folder)
        ports = {who: free_port() for who in servers}
        running = [start(who, ports[who], folder, folder / f"{who}.log", given) for who in servers]
        try:
            for case in cases:
                rows = (known[case.model] * 10)[: case.rows]
                asked = {who: request(who, case, rows) for who in servers if fits(who, case)}
                answers = {who: wait_until_it_scores(ports[who], a) for who, a in asked.items()}
                assert all(a == answers["plain"] for w, a in answers.items() if w != "echo"), "they differ"
                for who, a in asked.items():
                    load(ports[who], case, a, folder, given)  # warm
                for repeat in range(given.repeats):
                    for who in asked if repeat % 2 == 0 else reversed(asked):
                        figure = load(ports[who], case, asked[who], folder, given)
                        figures.setdefault((case, who), []).append(figure)
                        print(f"  {case!s:48} {who:8} {figure.per_second:8.0f}/s", file=sys.stderr)
        finally:
            stop(running)
    return figures


def stop(servers: list[subprocess.Popen[bytes]]) -> None:
    """End all of them."""
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait()


def fits(who: str, case: Case) -> bool:
    """Whether a server takes part in a case: the peers do not in those about fitq's other bodies."""
    return who in SERVERS or case.body == "azure"


def ratio(figures: dict[tuple[Case, str], list[Figure]], case: Case, who: str, beside: str) -> str:
    """Median and spread of the ratios within each repeat."""
    pairs = zip(figures[case, who], figures[case, beside], strict=True)
    ratios = [a.per_second / b.per_second for a, b in pairs]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--peers", default="", metavar="PYTHON", help="an interpreter that has the peers")
    parser.add_argument("--realtime", action="store_true", help="keep other programs from both cores")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk: apt-get install wrk")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("This needs two cores: one for the servers, one for the load.")
    cases = [case for case in CASES if given.only in str(case)]
    figures = measure(cases, given)
    print(f"{given.repeats} repeats of {given.seconds} s, wrk, servers on one core of {os.cpu_count()}\n")
    print("| case | server | requests/s median | min–max | p50 ms | p99 ms | × by hand | × echo |")
    print("|---|---|---|---|---|---|---|---|")
    for (case, who), seen in figures.items():
        speeds = [f.per_second for f in seen]
        p50, p99 = (statistics.median(f[i] for f in seen) for i in (1, 2))
        print(
            f"| {case} | {who} | {statistics.median(speeds):.0f} | {min(speeds):.0f}–{max(speeds):.0f} "
            f"| {p50:.2f} | {p99:.2f} "
            f"| {ratio(figures, case, who, 'plain')} | {ratio(figures, case, who, 'echo')} |"
        )


if __name__ == "__main__":
    main()
