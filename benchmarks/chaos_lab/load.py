"""A mix of runs, submitted as a stubborn client would: every request again until it is answered.

Each start of a script writes a fresh nonce into its log and into every file it leaves. So whoever reads the
files later can tell whose they are.
"""

from __future__ import annotations

import io
import random
import tarfile
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

SCRIPT = """
import pathlib, secrets, sys, time
kind, seconds = sys.argv[1], float(sys.argv[2])
nonce = secrets.token_hex(8)
mark = f"start {nonce}\\n"
print(mark, end="", flush=True)
if kind in ("metrics", "model"):
    from azureml.core import Run
    run = Run.get_context()
    run.log("mark", nonce)
for part in range(4):
    time.sleep(seconds / 4)
    pathlib.Path(f"outputs/part-{part}.txt").write_text(mark * (1 + 10_000 * part))
    if kind == "metrics":
        run.log("part", part)
if kind == "model":
    import joblib
    from sklearn.linear_model import LinearRegression
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), "outputs/model.joblib")
print("done", flush=True)
sys.exit(3 if kind == "failing" else 0)
"""
#: kind → (how many in a hundred, seconds it takes)
MIX = {
    "short": (40, 0.2),
    "long": (12, 12.0),
    "failing": (10, 0.5),
    "canceled": (12, 8.0),
    "metrics": (16, 1.0),
    "model": (10, 0.5),
}
#: What a kind may end as when nothing is lost.
ENDS = {
    "failing": {"Failed"},
    "canceled": {"Canceled", "Completed"},
}
MODEL = "chaos"


@dataclass(frozen=True)
class Cancel:
    """A request to cancel a run, and what was answered. Times are seconds since 1970."""

    asked_at: float  #: for the first time
    answered_at: float
    status: str  #: that the run had in the answer; empty: 409, it had ended in another way


@dataclass
class Submitted:
    """One run as its client knows it."""

    id: str
    key: str
    kind: str
    at: float = field(default_factory=time.time)
    cancel: Cancel | None = None


class Load:
    """Clients that submit for as long as they are let."""

    def __init__(self, url: str, token: str, seed: int, *, per_minute: float) -> None:
        self.accepted: list[Submitted] = []  #: answered with 202
        self.violations: list[str] = []  #: what an answer itself gave away
        self.registered: list[int] = []  #: versions that were answered with 201
        self.retries = 0
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._random = random.Random(seed)
        self._per_minute = per_minute
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._snapshot = ""

    def start(self) -> None:
        self._snapshot = self._ask("POST", "/v1/snapshots", content=_packed())["id"]
        self._begin(self._submit_on)

    def stop(self) -> None:
        """No new runs; what clients have begun they finish."""
        self._over.set()
        for thread in self._threads:
            thread.join(240)
            if thread.is_alive():
                self.violations.append("stuck: a client still waits for its answer after 240 s")

    def _begin(self, work: Any, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _submit_on(self) -> None:
        kinds = list(MIX)
        weights = [MIX[kind][0] for kind in kinds]
        while not self._over.wait(self._random.expovariate(self._per_minute / 60)):
            kind = self._random.choices(kinds, weights)[0]
            key = f"{self._random.getrandbits(64):016x}"
            self._begin(self._see_through, kind, key, self._random.random() < 0.1)

    def _see_through(self, kind: str, key: str, twice: bool) -> None:
        body = {
            "experiment": "chaos",
            "snapshot": self._snapshot,
            "script": "chaos.py",
            "arguments": [kind, MIX[kind][1]],
            "max_attempts": 100,
            "tags": {"key": key, "kind": kind},
        }
        ids = {self._ask("POST", "/v1/runs", json=body, key=key)["id"] for _ in range(1 + twice)}
        if len(ids) > 1:
            self.violations.append(f"doubled: one key was answered with {sorted(ids)}")
        run = Submitted(ids.pop(), key, kind)
        self.accepted.append(run)
        if kind == "canceled":
            self._over.wait(self._random.uniform(0, 6))
            asked_at = time.time()
            answer = self._ask("POST", f"/v1/runs/{run.id}/cancel", allowed=(409,))
            run.cancel = Cancel(asked_at, time.time(), answer["status"] if "id" in answer else "")
        elif kind == "model":
            self._register(run)

    def _register(self, run: Submitted) -> None:
        while (seen := self._ask("GET", f"/v1/runs/{run.id}")["status"]) not in FINAL:
            time.sleep(1.0)
        if seen == "Completed":
            body = {"name": MODEL, "run": run.id, "path": "outputs/model.joblib", "tags": {"run": run.id}}
            self.registered.append(int(self._ask("POST", "/v1/models", json=body)["version"]))

    def _ask(
        self, method: str, path: str, *, key: str = "", allowed: tuple[int, ...] = (), **body: Any
    ) -> dict[str, Any]:
        """The answer, however often one has to ask. 4xx is our own mistake, or the platform's."""
        headers = {**self._headers, **({"Idempotency-Key": key} if key else {})}
        while True:
            try:
                answer = httpx2.request(
                    method, self._url + path, headers=headers, timeout=20, trust_env=False, **body
                )
            except httpx2.TransportError:
                answer = None
            if answer is not None and (answer.is_success or answer.status_code in allowed):
                return dict(answer.json())
            if answer is not None and answer.status_code != 503:
                self.violations.append(f"answered: {method} {path} got {answer.status_code} {answer.text}")
            self.retries += 1
            time.sleep(0.5)


FINAL = {"Completed", "Failed", "Canceled"}


def _packed() -> bytes:
    data = SCRIPT.encode()
    member = tarfile.TarInfo("chaos.py")
    member.size = len(data)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
