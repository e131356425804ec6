"""Does adding workers raise throughput? The same runs on pools of 1, 2 and 4 workers.

    scripts/bench pools [--runs 24] [--repeats 3]

Two kinds of run: one that waits (as training on remote data does) and one that computes on one core. The
peer in the same process tree is a shell loop, `python script.py` one after another, which is what a team
without a queue does. Order alternates between repeats; the table shows medians and the spread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fitq import Experiment, FunctionCall, Workspace
from fitq.local.stack import Stack

WORK_SECONDS = 0.3
POOLS = {"one": 1, "two": 2, "four": 4}
_BODY = {
    "waits": f"import time; time.sleep({WORK_SECONDS})",
    "computes": (
        f"import time; end = time.process_time() + {WORK_SECONDS}\nwhile time.process_time() < end: pass"
    ),
}


def function_file(pool: str) -> str:
    """A file with one training function per kind of work, for one pool."""
    functions = [
        f'@function(pool="{pool}")\ndef {kind}_{pool}(run):\n    ' + body.replace("\n", "\n    ") + "\n"
        for kind, body in _BODY.items()
    ]
    return "from fitq import function\n\n\n" + "\n\n".join(functions)


def on_a_pool(ws: Workspace, kind: str, pool: str, runs: int) -> float:
    """Runs per second from the first submit to the last end."""
    experiment = Experiment(ws, f"bench-{kind}-{pool}")
    began = time.perf_counter()
    submitted = [experiment.submit(FunctionCall(function=f"{kind}_{pool}")) for _ in range(runs)]
    for run in submitted:
        run.wait_for_completion()
    return runs / (time.perf_counter() - began)


def in_a_loop(kind: str, folder: Path, runs: int) -> float:
    """Runs per second of `python script.py` one after another."""
    script = folder / f"{kind}.py"
    script.write_text(_BODY[kind])
    began = time.perf_counter()
    for _ in range(runs):
        subprocess.run([sys.executable, str(script)], check=True)
    return runs / (time.perf_counter() - began)


def measure(runs: int, repeats: int) -> dict[tuple[str, str], list[float]]:
    """(kind, who) → runs per second, one figure per repeat."""
    figures: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        functions = folder / "functions"
        functions.mkdir()
        for pool in POOLS:
            (functions / f"{pool}.py").write_text(function_file(pool))
        with Stack(folder / ".fitq", functions=functions, pools=POOLS, api_port=0, scoring_port=0) as stack:
            ws = Workspace.from_config(str(stack.home.folder / "config.json"))
            for repeat in range(repeats):
                for kind in _BODY:
                    contenders: dict[str, Callable[[], float]] = {
                        "python in a loop": lambda kind=kind: in_a_loop(kind, folder, runs),
                        **{
                            pool: lambda kind=kind, pool=pool: on_a_pool(ws, kind, pool, runs)
                            for pool in POOLS
                        },
                    }
                    order = list(contenders) if repeat % 2 == 0 else list(reversed(contenders))
                    for who in order:
                        figures.setdefault((kind, who), []).append(contenders[who]())
                        print(f"  {kind:9} {who:17} {figures[kind, who][-1]:6.2f} runs/s", file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    figures = measure(given.runs, given.repeats)
    print(f"{given.runs} runs of {WORK_SECONDS} s each, {given.repeats} repeats, {os.cpu_count()} cores\n")
    print("| runs that | who | runs/s median | min–max | × one worker | × python in a loop |")
    print("|---|---|---|---|---|---|")
    for (kind, who), values in figures.items():
        median = statistics.median(values)
        one = statistics.median(figures[kind, "one"])
        loop = statistics.median(figures[kind, "python in a loop"])
        workers = f"{POOLS[who]} worker(s)" if who in POOLS else who
        print(
            f"| {kind} | {workers} | {median:.2f} | {min(values):.2f}–{max(values):.2f} "
            f"| {median / one:.2f} | {median / loop:.2f} |"
        )


if __name__ == "__main__":
    main()
