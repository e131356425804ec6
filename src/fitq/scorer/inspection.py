"""Looking into a model file, in a child process that exists only for that."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import msgspec

from fitq.errors import ModelUnusable
from fitq.scorer import child, process
from fitq.scorer.facts import ModelFacts
from fitq.scorer.reasons import why_unusable


def inspect_model(path: Path, *, sample_input: list[Any] | None = None, seconds: float = 60.0) -> ModelFacts:
    """Load a model in a fresh child and let it tell about itself.

    Args:
        path: a joblib or pickle file.
        sample_input: rows as lists, records as objects, or texts; the model must answer them.
        seconds: for everything together; the child is gone when this returns.

    Raises:
        ModelUnusable: the file is not a model, needs what is not here, refuses its sample, or takes too long.
    """
    scorer = process.start()
    deadline = time.monotonic() + seconds
    try:
        _ask(scorer, {"op": "load", "model": "it", "path": str(path)}, None, deadline, path)
        facts = _ask(scorer, {"op": "facts", "model": "it"}, sample_input, deadline, path)
        return msgspec.convert(facts, type=ModelFacts)
    except TimeoutError as exc:
        raise ModelUnusable(f"Reading the model took longer than {seconds:.0f} seconds.") from exc
    finally:
        scorer.kill()


def _ask(
    scorer: process.ScorerProcess, header: dict[str, Any], payload: object, deadline: float, path: Path
) -> dict[str, Any]:
    scorer.link.settimeout(max(0.01, deadline - time.monotonic()))
    answer = None
    with contextlib.suppress(ConnectionError):
        scorer.link.sendall(child.pack({**header, "id": 0}, json.dumps(payload).encode()))
        with scorer.link.makefile("rb") as stream:
            answer = child.read_frame(stream)
    if answer is None:
        raise ModelUnusable(f"Reading the model ended the process that did so ({scorer.how_it_ended()}).")
    if not answer[0]["ok"]:
        raise why_unusable(answer[0]["error"], path)
    return answer[0]
