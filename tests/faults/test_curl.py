"""The command in a refusal, run as it is told: a shell, curl, and the token in FITQ_TOKEN."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.faults.web import Web

WRONG = {
    "/models/iris/score": (b'{"data": [["a"]]}', "application/json"),
    "/models/iris/versions/1/score": (b"1,2\n", "text/csv"),
    "/models/iris/score?method=predict": (b"no array", "application/x-npy"),
    "/v1/models/iris:predict": (b'{"instances": []}', "application/json"),
    "/v2/models/iris/infer": (b'{"inputs": []}', "application/json"),
    "/models/iris/invocations": (b'{"dataframe_split": {}}', "application/json"),
}


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("path", WRONG)
def test_the_command_of_a_refusal_scores(webs: dict[str, Web], path: str) -> None:
    body, kind = WRONG[path]
    told = webs["scoring"].post(path, body, **{"content-type": kind})
    assert told.status_code == 400, told.text
    command = f"{told.json()['curl']} -s -o /dev/null -w '%{{http_code}}'"
    environment = {"PATH": os.environ["PATH"], "FITQ_TOKEN": "test-token"}
    ran = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "200", (command, ran.stderr)
