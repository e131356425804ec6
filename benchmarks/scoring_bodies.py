"""Is anything that is sent to scoring our fault, and does its memory stay flat?

    scripts/bench scoring_bodies [--minutes 30] [--seed 1]

The real scoring program with a model of every kind, and requests at random from one seed: right ones in every
wire format, and ones with wrong cells, fields, headers and bytes. No answer may be 5xx, every 4xx has to say
what is wrong, and the command in it has to score. The memory of the program and of its scorer child is looked
at throughout. Exit code 1: one of that did not hold.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx2
import psutil
from bodies_lab.asks import asks
from bodies_lab.curl import taken_apart
from bodies_lab.forms import Ask
from bodies_lab.keeping import keep
from bodies_lab.kinds import kinds
from hypothesis import HealthCheck, Phase, given, seed, settings
from scoring import free_port
from scoring_servers import TOKEN

from fitq.settings import Settings
from fitq.store.memory import MemoryObjects

#: Of the median in the second quarter of the looks; allocators take a while to settle.
MAY_GROW = 0.05
#: What is seen in less is their settling.
JUDGED_MINUTES = 5
EXPLAINED = {"message", "expected", "got", "at", "curl"}


class Trial:
    """What was sent, what came of it, and how much memory it took."""

    def __init__(self, port: int, server: int, seconds: float) -> None:
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self.server = psutil.Process(server)
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.memory: dict[str, list[int]] = {"program": [], "scorer": []}
        self.began = time.monotonic()
        self.ends = self.began + seconds

    def send(self, ask: Ask) -> None:
        """One request, and what its answer has to be."""
        headers = {name: value.encode("latin-1") for name, value in ask.headers.items()}
        authorized = {**headers, "authorization": f"Bearer {TOKEN}".encode()}
        answer = self.client.post(ask.path, content=ask.content, headers=authorized)
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500:
            self.wrong.append(f"{answer.status_code} to {ask}: {answer.text[:300]}")
        elif answer.status_code != 200:
            self.follow(ask, answer)
        if sum(self.statuses.values()) % 100 == 0:
            self.look()

    def follow(self, ask: Ask, answer: httpx2.Response) -> None:
        """Do what a refusal says."""
        told = answer.json()
        if not told.keys() >= EXPLAINED:
            self.wrong.append(f"{answer.status_code} to {ask} says only {told}")
            return
        command = taken_apart(told["curl"], TOKEN)
        sent = self.client.request(
            command.verb, command.path, headers=command.headers, content=command.content
        )
        if sent.status_code != 200:
            self.wrong.append(f"{told['curl']}: {sent.text[:300]}")

    def look(self) -> None:
        """Resident memory, now."""
        self.memory["program"].append(self.server.memory_info().rss)
        family = self.server.children(recursive=True)
        self.memory["scorer"].append(sum(map(resident, family)))

    def run(self, first_seed: int) -> None:
        """Send until the time is over; memory is looked at before and after, however short that is."""
        self.look()
        for number in range(first_seed, sys.maxsize):
            if time.monotonic() > self.ends:
                break

            @seed(number)
            @settings(
                max_examples=500, deadline=None, database=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(ask=asks(kinds()))
            def series(ask: Ask) -> None:
                if time.monotonic() < self.ends:
                    self.send(ask)

            series()
        self.look()

    def growth(self, who: str) -> tuple[float, float]:
        """Median memory in the second and in the last quarter of the looks, in MB."""
        seen = self.memory[who]
        second, last = seen[len(seen) // 4 : len(seen) // 2], seen[len(seen) * 3 // 4 :]
        return statistics.median(second) / 1e6, statistics.median(last) / 1e6

    def report(self) -> bool:
        """Print what was found; whether all held."""
        total = sum(self.statuses.values())
        minutes = (time.monotonic() - self.began) / 60
        print(f"{total} requests in {minutes:.1f} minutes: {dict(sorted(self.statuses.items()))}")
        flat = True
        for who in self.memory:
            before, after = self.growth(who)
            print(f"{who}: {before:.1f} MB in the second quarter, {after:.1f} MB in the last")
            flat &= after <= before * (1 + MAY_GROW)
        print("\n".join(self.wrong[:20]) or "No 5xx, and every refusal's command scored.")
        if minutes < JUDGED_MINUTES:
            print(f"Whether memory stays flat is judged from {JUDGED_MINUTES} minutes on.")
            return not self.wrong
        print("Memory stayed flat." if flat else f"Memory grew by more than {MAY_GROW:.0%}.")
        return flat and not self.wrong


def resident(process: psutil.Process) -> int:
    """Bytes; none if it has just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def serve(port: int, folder: Path) -> None:
    """The real scoring program; models come from memory."""
    from fitq import programs

    objects = MemoryObjects()
    for kind in kinds():
        keep(objects, kind.save(folder), kind.facts())
    programs.open_objects = lambda _: objects  # type: ignore[assignment, return-value]  # the store is not in question
    programs.run_scoring(Settings(token=TOKEN, scoring_port=port))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", type=int, metavar="PORT", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.serve:
            serve(asked.serve, Path(folder))
            return 0
        port, log = free_port(), Path(folder) / "log"
        with log.open("w") as lines:
            server = subprocess.Popen(
                [sys.executable, __file__, "--serve", str(port)], stdout=lines, stderr=lines
            )
        try:
            wait_until_ready(server, port, log)
            trial = Trial(port, server.pid, asked.minutes * 60)
            trial.run(asked.seed)
            return 0 if trial.report() else 1
        finally:
            server.terminate()
            server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise SystemExit(f"scoring did not start:\n{log.read_text()[-2000:]}")


if __name__ == "__main__":
    sys.exit(main())
