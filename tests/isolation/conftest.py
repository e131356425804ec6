"""What hostile code is set on."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import fitq
from fitq.local.files import private_folder, write_private
from fitq.local.objects import GRPC_OFFSET
from fitq.settings import Settings
from tests.conftest import Servers

HOSTILE = (Path(__file__).with_name("hostile.py")).read_text()
CANARY = "canary-" + secrets.token_hex(8)


@pytest.fixture
def targets(servers: Servers, settings: Settings, tmp_path: Path) -> Iterator[dict[str, object]]:
    """A platform's folder, another run, and a process of the worker's user: all with a secret."""
    home = private_folder(tmp_path / ".fitq")
    token = home / "config.json"
    write_private(token, json.dumps({"fitq_token": CANARY}))
    password = servers.redis.data_dir / "valkey.conf"
    with password.open("a") as file:
        file.write(f"# {CANARY}\n")
    data = servers.objects.data_dir / "canary"
    data.write_text(CANARY)
    victim = private_folder(Path(settings.work_dir) / "victim-1" / "run" / "outputs") / "model.joblib"
    victim.write_text(CANARY)
    (tmp_path / "readable").write_text("x")
    in_tmp, in_shm = (Path(place, f"fitq-{CANARY[:12]}") for place in ("/tmp", "/dev/shm"))
    for place in (in_tmp, in_shm):
        place.write_text(CANARY)
    sleeper = subprocess.Popen(["sleep", "1000"], env={"FITQ_S3_SECRET_KEY": CANARY})
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0fitq-{CANARY}")
        listening.listen()
        yield {
            "canary": CANARY,
            "only": [""],
            "files": {
                "the token (config.json)": str(token),
                "the configuration of Redis": str(password),
                "the data of the object store": str(data),
                "another run's outputs": str(victim),
            },
            "work_dir": settings.work_dir,
            "victim": sleeper.pid,
            "worker": os.getpid(),
            "address": 0x400000,
            "passwords": [servers.secret_key, servers.redis.password],
            "redis": servers.redis.port,
            "ports": servers.objects.ports,
            "grpc_offset": GRPC_OFFSET,
            "filer_socket": str(servers.objects.data_dir / "filer.sock"),
            "bucket": settings.bucket,
            "abstract": f"fitq-{CANARY}",
            "source": str(Path(fitq.__file__).parent),
            "readable": str(tmp_path / "readable"),
            "in_tmp": str(in_tmp),
            "in_shm": str(in_shm),
        }
    sleeper.kill()
    sleeper.wait()
    for place in (in_tmp, in_shm, data):
        place.unlink()
    Path(fitq.__file__).with_name("fitq_probe.py").unlink(missing_ok=True)  # where that is open to it
