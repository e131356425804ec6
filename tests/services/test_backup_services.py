"""The profile `backup`: its services as they are written, in the image that they name, as their own users."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import yaml

from fitq.store.objects import S3Objects
from tests.services.compose_file import REQUIRED, ROOT, read
from tests.services.object_users import ObjectsWithUsers, run_script

#: What no program looks at by itself.
WRITTEN = {
    "snapshots/backed-up.tar.gz": b"k" * 3_000_000,
    "data-contents/backed-up": b"",
    "made/backed-up": b"x",
}


def test_a_backup_of_the_running_store_is_restored_into_an_empty_one(
    compose: Any, variables: dict[str, str], tmp_path: Path
) -> None:
    here = compose.environment("api")
    keys = (here["FITQ_S3_ACCESS_KEY"], here["FITQ_S3_SECRET_KEY"])
    first = S3Objects(here["FITQ_S3_URL"], *keys, "fitq")
    for key, content in WRITTEN.items():
        first.put(f"default/{key}", content)

    done = compose.run("backup", "friday.tar", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "friday.tar").stat().st_mode & 0o777 == 0o600

    done = compose.run("restore", "friday.tar", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "holds something already" in done.stderr, "a platform is not overwritten"

    users = run_script(read(variables)["services"]["minio-users"]["environment"], tmp_path / "mc")
    root = ("fitq", variables["FITQ_S3_SECRET_KEY"])
    with ObjectsWithUsers(tmp_path / "second", root, users) as server:
        S3Objects(server.url, *root, "fitq").ensure_bucket()
        done = compose.run("restore", "friday.tar", folder=tmp_path, FITQ_S3_URL=server.url)
        assert done.returncode == 0, done.stderr
        assert "Start the platform on this store" in done.stderr
        second = S3Objects(server.url, *keys, "fitq")
        assert {k: second.get(f"default/{k}") for k in WRITTEN} == WRITTEN


def test_the_nightly_job_of_kubernetes_makes_a_file_and_keeps_two_weeks(compose: Any, tmp_path: Path) -> None:
    """The command of the CronJob, in the same image and with the same user."""
    text = (ROOT / "infra/kubernetes/components/backup/cronjob.yaml").read_text()
    job = next(yaml.safe_load_all(text))["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    assert (container["image"], container["workingDir"]) == ("fitq-api", "/backups")
    old, recent = tmp_path / "fitq-2000-01-01T000000Z.tar", tmp_path / "fitq-2000-01-02T000000Z.tar"
    for file, days in ((old, 16), (recent, 13)):
        file.touch()
        os.utime(file, (then := time.time() - days * 86_400, then))
    path = f"{compose.programs('api')}:/usr/bin:/bin"
    environment = {**compose.environment("backup"), "HOME": str(tmp_path), "PATH": path}
    subprocess.run(container["command"], env=environment, cwd=tmp_path, check=True, timeout=120)
    assert not old.exists()
    kept = {file.name for file in tmp_path.glob("*.tar")}
    (made,) = kept - {recent.name}
    assert re.fullmatch(r"fitq-\d{4}-\d\d-\d\dT\d{6}Z\.tar", made)


def test_who_backs_up_may_only_read_and_owns_the_file() -> None:
    file = read(dict.fromkeys(REQUIRED, "x" * 32))
    backup, restore = file["services"]["backup"], file["services"]["restore"]
    assert backup["environment"]["FITQ_S3_ACCESS_KEY"] == "fitq-backup"
    assert restore["environment"]["FITQ_S3_ACCESS_KEY"] == "fitq-control"
    for service in (backup, restore):
        assert service["networks"] == ["objects"], "where the store is, and nothing else"
        assert service["read_only"] is True
        assert "user" not in service, "docker compose run --user: the file belongs to whoever asked for it"
        assert service["environment"]["HOME"] == "/tmp"
        (mounted,) = [v for v in service["volumes"] if v["type"] == "bind"]
        assert (mounted["target"], mounted["bind"]) == (service["working_dir"], {"create_host_path": False})
