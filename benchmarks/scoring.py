"""How fast does scoring answer, beside an app written by hand and an echo that predicts nothing?

    scripts/bench scoring [--repeats 3] [--seconds 2] [--only iris]

Server processes are pinned to one core and the load generator (`wrk`, from apt) to another. Each repeat goes
through all servers of a case in alternating order, so that noise of the machine hits all of them; the table
shows medians and the spread of ratios within one repeat.
"""

from __future__ import annotations

import argparse
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
from scoring_servers import TOKEN
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

SERVERS = ("fitq", "plain", "echo")
SERVER_CORE, LOAD_CORE = 0, 1


class Case(NamedTuple):
    """One kind of load."""

    model: str
    rows: int
    clients: int

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{self.model}, {rows}, {self.clients} client{'s' if self.clients > 1 else ''}"


class Figure(NamedTuple):
    """What wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float


CASES = (
    Case("iris-logistic", 1, 1),
    Case("iris-logistic", 1, 32),
    Case("iris-logistic", 1000, 1),
    Case("digits-forest-100", 1, 1),
    Case("digits-forest-100", 1, 32),
    Case("digits-hist-boosting", 1, 32),
)

_WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
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


def start(who: str, port: int, models: Path, log: Path) -> subprocess.Popen[bytes]:
    """A server on its core; its children inherit that."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("scoring_servers.py")),
        who,
        str(port),
        str(models),
    ]
    with log.open("wb") as said:
        return subprocess.Popen(
            command,
            stdout=said,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}),
        )


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def url(port: int, case: Case) -> str:
    return f"http://127.0.0.1:{port}/models/{case.model}/score"


def wait_until_it_scores(port: int, case: Case, body: bytes) -> list[object]:
    """The answer to a body, which a server that starts may take a while to give."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    deadline = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(url(port, case), body, headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: list[object] = json.load(answer)
                return found
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def load(port: int, case: Case, script: Path, seconds: int) -> Figure:
    """One series of requests over keep-alive connections."""
    command = ["wrk", "-t1", f"-c{case.clients}", f"-d{seconds}s", "-s", str(script), url(port, case)]
    done = subprocess.run(
        command, check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE})
    )
    told = json.loads(done.stdout.splitlines()[-1])
    if told["bad"]:
        raise RuntimeError(f"{told['bad']} requests failed: {case} at port {port}")
    return Figure(told["rps"], told["p50"], told["p99"])


def measure(cases: list[Case], repeats: int, seconds: int) -> dict[tuple[Case, str], list[Figure]]:
    """(case, server) → one figure per repeat."""
    figures: dict[tuple[Case, str], list[Figure]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        known = train(folder)
        ports = {who: free_port() for who in SERVERS}
        running = [start(who, ports[who], folder, folder / f"{who}.log") for who in SERVERS]
        try:
            for case in cases:
                rows = (known[case.model] * 10)[: case.rows]
                body, script = folder / "body.json", folder / "post.lua"
                body.write_text(json.dumps({"data": rows}))
                script.write_text(_WRK_SCRIPT % (TOKEN, body))
                answers = {who: wait_until_it_scores(ports[who], case, body.read_bytes()) for who in SERVERS}
                assert answers["fitq"] == answers["plain"], "they do not answer the same"
                for who in SERVERS:
                    load(ports[who], case, script, 1)  # warm
                for repeat in range(repeats):
                    for who in SERVERS if repeat % 2 == 0 else reversed(SERVERS):
                        figure = load(ports[who], case, script, seconds)
                        figures.setdefault((case, who), []).append(figure)
                        print(f"  {case!s:42} {who:6} {figure.per_second:8.0f}/s", file=sys.stderr)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait()
    return figures


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
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk: apt-get install wrk")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("This needs two cores: one for the servers, one for the load.")
    cases = [case for case in CASES if given.only in str(case)]
    figures = measure(cases, given.repeats, given.seconds)
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
