"""Looking into a model file, in a child process that exists only for that."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fitq.errors import ModelUnusable, Unavailable
from fitq.scorer import child, process
from fitq.scorer.confinement import NOT_CONFINED, Confinement
from fitq.scorer.facts import ModelFacts
from fitq.scorer.golden import Answer, Golden, answer_of
from fitq.scorer.reasons import why_unusable
from fitq.scorer.sample import samples

#: What is kept of one method's answers, so that a look at every load stays cheap.
ANSWER_BYTES = 1_000_000


def inspect_model(
    path: Path,
    *,
    sample_input: list[Any] | None = None,
    seconds: float = 60.0,
    interpreter: str = sys.executable,
    names: list[str] | None = None,
    memory_bytes: int = 0,
    confinement: Confinement = NOT_CONFINED,
) -> ModelFacts:
    """Load a model in a fresh child and let it tell about itself, and answer rows that it can be asked again.

    Args:
        path: a joblib or pickle file.
        sample_input: rows as lists, records as objects, or texts; the model must answer them.
        seconds: for everything together; the child is gone when this returns.
        interpreter: of the environment in which the model was made.
        names: `module name` of all that the file may import; None: it is trusted.
        memory_bytes: of its own that the child may have at most; 0 for any amount.
        confinement: of the child, which sees of hidden places only the file.

    Raises:
        ModelUnusable: the file is not a model, needs what is not here, refuses its sample, or takes too long.
        Unavailable: the child cannot be started as it has to be.
    """
    scorer = process.start(interpreter, memory_bytes, confinement=confinement, reads=[path])
    why = functools.partial(why_unusable, path=path)
    asked = Asked(scorer, time.monotonic() + seconds, why)
    try:
        asked.for_header({"op": "load", "path": str(path), "names": names})
        facts = msgspec.convert(
            asked.for_header({"op": "facts"}, json.dumps(sample_input).encode()), type=ModelFacts
        )
        return _with_golden(asked, facts)
    except TimeoutError as exc:
        raise ModelUnusable(f"Reading the model took longer than {seconds:.0f} seconds.") from exc
    finally:
        scorer.kill()


def _with_golden(asked: Asked, facts: ModelFacts) -> ModelFacts:
    """The facts with recorded answers, where there are rows that every method answers."""
    schema = facts.input_schema
    if schema is None or not facts.methods:
        return facts
    for source, rows in samples(schema, facts.seen, facts.given):
        try:
            golden = _recorded(asked, facts, source, rows)
        except ModelUnusable:
            continue  # not rows it answers
        said = [
            f"{method} answers otherwise each time it is asked: its answers are not compared at load."
            for method in golden.random
        ]
        said += [f"The answers of {m} are too large to be compared at load." for m in golden.too_large]
        return msgspec.structs.replace(facts, golden=golden, warnings=[*facts.warnings, *said])
    return facts


def _recorded(asked: Asked, facts: ModelFacts, source: str, rows: list[Any]) -> Golden:
    """What each method answers to all rows together, asked twice.

    Raises:
        ModelUnusable: one of them does not.
    """
    assert facts.input_schema is not None
    described, payload = child.as_request(msgspec.to_builtins(facts.input_schema), rows)
    answers: dict[str, Answer] = {}
    random, too_large = [], []
    for method in facts.methods:
        header = {"op": "predict", "method": method, "rows": described}
        once, is_same = asked_twice(asked, header, bytes(payload))
        if not is_same:
            random.append(method)
        elif len(once.data) > ANSWER_BYTES:
            too_large.append(method)
        else:
            answers[method] = once
    return Golden(
        rows=described,
        payload=bytes(payload),
        count=len(rows),
        source=source,
        answers=answers,
        random=random,
        too_large=too_large,
        versions=facts.versions,
    )


def asked_twice(asked: Asked, header: dict[str, Any], payload: bytes) -> tuple[Answer, bool]:
    """An answer, and whether it is the same each time."""
    once, again = (answer_of(*asked.whole(header, payload)) for _ in range(2))
    return once, once == again


class Asked(NamedTuple):
    """A child with one model in it, and until when it may answer."""

    scorer: process.ScorerProcess
    deadline: float
    why: Callable[[dict[str, Any]], ModelUnusable]  #: says what an error of the child means
    what: str = "Reading the model"  #: is being done there

    def for_header(self, header: dict[str, Any], payload: bytes = b"null") -> dict[str, Any]:
        return self.whole(header, payload)[0]

    def whole(self, header: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer to one request about the model.

        Raises:
            ModelUnusable: it is an error, or the child ended.
            Unavailable: the child could not be confined, and executed nothing.
            TimeoutError: it did not come in time.
        """
        link, about = self.scorer.link, {"id": 0, "model": "it"}
        link.settimeout(max(0.01, self.deadline - time.monotonic()))
        answer = None
        with contextlib.suppress(ConnectionError):
            link.sendall(child.pack({**about, **header}, payload))
            with link.makefile("rb") as stream:
                answer = child.read_frame(stream)
        if answer is None:
            how = self.scorer.how_it_ended()
            if self.scorer.problem:
                raise Unavailable(f"{self.what} is not possible now: {how}.", reason="not_confined")
            raise ModelUnusable(f"{self.what} ended the process that did so ({how}).")
        if not answer[0]["ok"]:
            raise self.why(answer[0]["error"])
        return answer[0], bytes(answer[1])
