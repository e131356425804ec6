"""`fitq upgrade --check`: whether programs and what is kept go together."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fitq import __version__, formats
from fitq.backend import Backend, open_backend
from fitq.local.stack import Stack
from fitq.records import WorkerRecord, now, to_json
from tests.cli.conftest import Fitq
from tests.conftest import eventually


@pytest.fixture
def kept(platform: Stack) -> Iterator[Backend]:
    """What the platform keeps; afterwards as it was."""
    backend = open_backend(platform.settings)
    format_before = backend.objects.get(backend.keys.format())
    assert format_before is not None
    yield backend
    backend.objects.put(backend.keys.format(), format_before)
    backend.state.forget_worker("far-1")


def test_every_program_tells_its_version(fitq: Fitq, kept: Backend) -> None:
    eventually(kept.state.leader, what="a scheduler that leads")
    told = fitq("upgrade", "--check")
    assert told.code == 0, told.err
    assert "Nothing has to be upgraded." in told.err
    found = json.loads(fitq("upgrade", "--check", "--json").out)
    assert found["api"] == found["scheduler"] == found["scoring"] == found["client"] == __version__
    assert found["workers"] == {__version__: 1}
    assert found["problems"] == []


def test_a_worker_two_minor_versions_away_is_named_with_the_way_out(fitq: Fitq, kept: Backend) -> None:
    major, minor, _ = __version__.split(".")
    version = f"{major}.{int(minor) + 2}.0"
    kept.state.report_worker(
        WorkerRecord(id="far-1", pool="far", slots=1, seen_at=now(), started_at=now(), fitq=version)
    )
    told = fitq("upgrade", "--check")
    assert told.code == 2
    assert f"fitq {version} is more than a minor version away from the API's {__version__}." in told.err
    assert "docker compose up --build --detach --wait" in told.err


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(fitq: Fitq, kept: Backend) -> None:
    newer = formats.FormatRecord(format=formats.FORMAT + 1, written_by="9.0.0", at=now())
    kept.objects.put(kept.keys.format(), to_json(newer))
    told = fitq("upgrade", "--check")
    assert told.code == 2
    assert "written by fitq 9.0.0" in told.err
