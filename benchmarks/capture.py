"""What does it cost a script that its last fitted model is remembered?

    scripts/bench capture [--seconds 60] [--repeats 5]

The same script with FITQ_CAPTURE=1 and 0, in alternating order, each in a fresh interpreter as a run starts
one, on one thread. Three kinds of script: one long fit, many short fits in a loop, and fits of a large table,
at which capture looks. How much work is one minute of it is found once, without capture; then the work is the
same for all. What is printed must be the same with and without.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from fitq.worker.runtime import OWN

DATA = """import sys, time
import numpy as np, pandas as pd
rounds, seconds = int(sys.argv[1]), float(sys.argv[2])
chance = np.random.default_rng(0)
def work(one):
    if rounds:
        for n in range(rounds):
            one(n)
    else:
        began, n = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            one(n)
            n += 1
        print(n)
"""
KINDS = {
    "one long fit": DATA
    + """from sklearn.neural_network import MLPRegressor
X = chance.normal(size=(2000, 20))
y = X[:, 0] * X[:, 1]
if rounds:
    print(MLPRegressor(random_state=0, max_iter=rounds, tol=0, n_iter_no_change=10**9).fit(X, y).loss_)
else:
    model = MLPRegressor(random_state=0)
    work(lambda n: model.partial_fit(X, y))
""",
    "many short fits": DATA
    + """from sklearn.linear_model import Ridge
X = chance.normal(size=(200, 10))
y = X[:, 0]
work(lambda n: Ridge(alpha=n + 1).fit(X, y))
print(Ridge().fit(X, y).score(X, y))
""",
    "fits of a large table": DATA
    + """from sklearn.linear_model import LinearRegression
X = pd.DataFrame(chance.normal(size=(200_000, 20)), columns=[f"c{n}" for n in range(20)])
y = X["c0"] * 2
work(lambda n: LinearRegression().fit(X, y))
print(LinearRegression().fit(X, y).score(X, y))
""",
}


class Took(NamedTuple):
    """One script from its start to its end."""

    seconds: float
    cpu_seconds: float
    printed: str


def ran(script: Path, rounds: int, seconds: float, capture: str) -> Took:
    """Execute a script as a run's fresh interpreter would."""
    folder = Path(tempfile.mkdtemp(dir=script.parent))
    (folder / "outputs").mkdir()
    environment = {
        **OWN.variables(),
        "FITQ_RUN_FOLDER": str(folder),
        "FITQ_OUTPUTS": str(folder / "outputs"),
        "FITQ_CAPTURE": capture,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", str(script), str(rounds), str(seconds)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    kept = (folder / "captured" / "model.joblib").is_file()
    assert kept == (capture == "1"), f"captured: {kept}\n{done.stderr}"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(took, cpu, done.stdout)


def measured(name: str, folder: Path, seconds: float, repeats: int) -> dict[str, list[Took]]:
    """With ("1") and without ("0") capture."""
    script = folder / f"{name.replace(' ', '-')}.py"
    script.write_text(KINDS[name])
    rounds = int(ran(script, 0, seconds, "0").printed.split()[0])
    took: dict[str, list[Took]] = {"0": [], "1": []}
    for n in range(repeats):
        for capture in ("01", "10")[n % 2]:
            took[capture].append(ran(script, rounds, seconds, capture))
        print(f"  {name}: {n + 1} of {repeats}, {rounds} rounds", file=sys.stderr)
    assert len({t.printed for ways in took.values() for t in ways}) == 1, "capture changed what is printed"
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    print(f"{given.repeats} scripts of about {given.seconds:g} s each way, {os.cpu_count()} cores\n")
    print("| script | without, s | min–max | with, s | min–max | times the CPU | times the time |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in KINDS:
            took = measured(name, Path(folder), given.seconds, given.repeats)
            without, with_it = ([t.seconds for t in took[c]] for c in "01")
            cpu = [statistics.median(t.cpu_seconds for t in took[c]) for c in "01"]
            wall = [statistics.median(without), statistics.median(with_it)]
            print(
                f"| {name} | {wall[0]:.2f} | {min(without):.2f}–{max(without):.2f} "
                f"| {wall[1]:.2f} | {min(with_it):.2f}–{max(with_it):.2f} "
                f"| {cpu[1] / cpu[0]:.4f} | {wall[1] / wall[0]:.4f} |"
            )


if __name__ == "__main__":
    main()
