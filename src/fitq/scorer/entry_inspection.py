"""Looking into an entry script with its model, in a child process that exists only for that."""

from __future__ import annotations

import functools
import json
import sys
import time
from typing import Any

import msgspec

from fitq.errors import ModelUnusable
from fitq.records import EntryScript, Json, Versions
from fitq.scorer import process
from fitq.scorer.confinement import NOT_CONFINED, Confinement
from fitq.scorer.entry import AS_JSON, EntryCode, load_header
from fitq.scorer.facts import ModelFacts
from fitq.scorer.golden import Golden
from fitq.scorer.inspection import ANSWER_BYTES, Asked, asked_twice
from fitq.scorer.reasons import why_script_fails


def inspect_entry(
    entry: EntryCode,
    snapshot: str,
    *,
    sample_input: list[Any] | None = None,
    seconds: float = 60.0,
    interpreter: str = sys.executable,
    memory_bytes: int = 0,
    confinement: Confinement = NOT_CONFINED,
) -> ModelFacts:
    """Import a script in a fresh child, have it load its model, and answer a body that it can be asked again.

    Args:
        snapshot: of its code.
        sample_input: rows, sent as `{"data": rows}` where Azure's `run` takes them, else as they are.
        seconds: for everything together; the child is gone when this returns.
        interpreter: of the environment in which the model is served.
        memory_bytes: of its own that the child may have at most; 0 for any amount.
        confinement: of the child, which sees of hidden places only the script's code and models.

    Raises:
        ModelUnusable: the script does not import, does not load the model, refuses its sample, or takes too
            long.
        Unavailable: the child cannot be started as it has to be.
    """
    scorer = process.start(
        interpreter, memory_bytes, process.ENTRY, confinement=confinement, reads=entry.reads
    )
    why = functools.partial(why_script_fails, script=entry.script)
    asked = Asked(scorer, time.monotonic() + seconds, why, f"{entry.script} of the model")
    try:
        loaded = asked.for_header({"op": "load", **load_header(entry)})
        return _facts(asked, entry, snapshot, loaded, sample_input)
    except TimeoutError as exc:
        raise ModelUnusable(f"{entry.script} took longer than {seconds:.0f} seconds.") from exc
    finally:
        scorer.kill()


def _facts(
    asked: Asked, entry: EntryCode, snapshot: str, loaded: dict[str, Any], sample: list[Any] | None
) -> ModelFacts:
    taken = loaded["input"]
    body = _body(loaded["kind"], taken, sample)
    versions = msgspec.convert(loaded["versions"], Versions)
    golden, said = None, list(loaded["warnings"])
    if body is None:
        said.append(
            "The answers of the entry script are not compared at load: register with a sample input for that."
        )
    else:
        try:
            golden, told = _recorded(asked, body, versions, "given" if sample else "example")
            said += told
        except ModelUnusable as exc:
            if sample is not None:
                raise ModelUnusable(
                    f"{entry.script} does not answer its sample input: {exc.message}", hint=exc.hint
                ) from exc
            said.append(f"The script does not answer the example that its decorators declare: {exc.message}")
            body = None
    script = EntryScript(
        script=entry.script,
        snapshot=snapshot,
        kind=loaded["kind"],
        input=taken and {k: v for k, v in taken.items() if k != "example"},
        output=loaded["output"],
        example=body,
    )
    return ModelFacts(
        estimator=loaded["estimator"],
        methods=["run"],
        default_method="run",
        versions=versions,
        warnings=said,
        entry=script,
        golden=golden,
    )


def _body(kind: str, taken: dict[str, Any] | None, sample: list[Any] | None) -> Json:
    """What the script is asked, once registered and at every load; None if nothing is known."""
    if sample is not None:
        return {"data": sample} if kind == "azure" else sample
    example: Json = (taken or {}).get("example")
    return example


def _recorded(asked: Asked, body: Json, versions: Versions, source: str) -> tuple[Golden | None, list[str]]:
    """What the script answers to a body, asked twice; and what is to be said of that."""
    payload = json.dumps(body).encode()
    header = {"op": "predict", "method": "run", "rows": AS_JSON}
    once, is_same = asked_twice(asked, header, payload)
    if once.described.get("status") != 200:
        raise ModelUnusable(f"it answers with the status {once.described.get('status')}")
    if not is_same:
        return None, [
            "The script answers otherwise each time it is asked: its answers are not compared at load."
        ]
    if len(once.data) > ANSWER_BYTES:
        return None, ["The answer of the script is too large to be compared at load."]
    count = len(body) if isinstance(body, list) else 1
    golden = Golden(
        rows=AS_JSON, payload=payload, count=count, source=source, answers={"run": once}, versions=versions
    )
    return golden, []
