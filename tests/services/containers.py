"""A service of docker-compose.yml as a process here: its command, its environment, its folder and
its installed packages; no docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import psutil

from fitq.local.process import Process, last_lines
from tests.services.compose_file import ROOT, stages


def lay_out(service: str, folder: Path) -> Path:
    """The image's WORKDIR: exactly what the final stage of the Dockerfile copies."""
    for step in (i for i in stages(service)[-1] if i.word == "COPY" and not i.from_other_stage):
        *sources, target = step.paths
        for source in (ROOT / s for s in sources):
            into = folder / target
            if source.is_dir():
                shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, into)
    return folder


class Container:
    """One service, running."""

    def __init__(
        self,
        service: str,
        command: list[str],
        environment: dict[str, str],
        health: list[str],
        programs: Path,
        folder: Path,
    ) -> None:
        self.service = service
        self._programs = programs
        self.folder = lay_out(service, folder / "srv")
        self.health = health
        # What the image adds to what the compose file says.
        self.environment = environment | {
            "PATH": f"{programs}{os.pathsep}{os.defpath}",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.log = folder / f"{service}.log"
        self.process = Process(
            service,
            [str(programs / command[0]), *command[1:]],
            environment=self.environment,
            log=self.log,
            folder=self.folder,
        )

    def is_healthy(self) -> bool:
        """Run the health check, as docker does: inside, with the container's environment."""
        kind, *command = self.health
        assert kind == "CMD"
        done = subprocess.run(
            [str(self._programs / command[0]), *command[1:]],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
        )
        return done.returncode == 0

    def wait_until_healthy(self, seconds: float = 60) -> None:
        self.process.wait_until(self.is_healthy, seconds=seconds)

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants, as of now."""
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def stop_like_docker(self, seconds: float) -> list[psutil.Process]:
        """SIGTERM to the main process only; returns what is left of the family after so long."""
        family = self.family()
        self.process.ask_to_stop()
        deadline = time.monotonic() + seconds
        # A process looks like a zombie a moment before the last of its threads is gone and it can be reaped.
        while (left := [p for p in family if _lives(p)]) or self.process.exit_code is None:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return left

    def tail(self) -> str:
        return last_lines(self.log, 40)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
