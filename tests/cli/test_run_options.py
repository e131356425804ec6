"""What the options of a submission make of a request."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from fitq.cli.submission import RunOptions, run_options
from fitq.records import RunRequest


@pytest.mark.parametrize(
    ("words", "tried"),
    [
        ([], (3, False)),
        (["--retries", "0"], (1, False)),
        (["--retry-failures"], (3, True)),
        (["--retries", "4", "--retry-failures"], (5, True)),
    ],
)
def test_how_often_a_run_is_tried(words: list[str], tried: tuple[int, bool]) -> None:
    asked: list[RunRequest] = []

    @click.command()
    @run_options
    def submit(options: RunOptions) -> None:
        asked.append(options.apply(RunRequest(function="iris")))

    assert CliRunner().invoke(submit, words).exit_code == 0
    [request] = asked
    assert (request.max_attempts, request.retry_failures) == tried
