"""What the Open Inference Protocol wants to know besides predictions."""

from __future__ import annotations

import asyncio
import importlib.metadata
from typing import Any

from fitq.records import InputSchema, ModelRecord
from fitq.scoring import script
from fitq.scoring.about import example_answer, is_ready
from fitq.scoring.answers import Answer, to_json
from fitq.scoring.call import Call
from fitq.scoring.dialects.tensors import tensor_of

_OF_KIND = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}


async def server(_: Call) -> Answer:
    """Name and version of the server."""
    body = {
        "name": "fitq",
        "version": importlib.metadata.version("fitq"),
        "extensions": ["binary_tensor_data"],
    }
    return Answer(to_json(body))


async def live(_: Call) -> Answer:
    """This process answers."""
    return Answer(to_json({"live": True}))


async def ready(call: Call) -> Answer:
    """As /readyz, in the protocol's words."""
    state = await is_ready(call)
    return Answer(to_json({"ready": state}), 200 if state else 503)


async def model(call: Call) -> Answer:
    """Inputs and outputs of a model."""
    assert call.target is not None
    record = call.target.served.record
    if record.entry is not None:
        raise script.refuse(call.target, "the Open Inference Protocol")
    versions = await asyncio.to_thread(call.service.catalog.versions, record.name)
    answer = await example_answer(call.target)
    return Answer(to_json(_metadata(record, versions, answer)))


def _metadata(record: ModelRecord, versions: list[int], answer: Any) -> dict[str, Any]:
    """What the protocol tells about a model; sizes that vary are -1."""
    told = tensor_of(answer, record.default_method)
    return {
        "name": record.name,
        "versions": [str(v) for v in versions],
        "platform": "scikit-learn",
        "inputs": _inputs(record.input_schema) if record.input_schema else [],
        "outputs": [{"name": told["name"], "datatype": told["datatype"], "shape": [-1, *told["shape"][1:]]}],
    }


def _inputs(schema: InputSchema) -> list[dict[str, Any]]:
    kinds = {c.kind for c in schema.columns}
    if schema.layout == "texts":
        return [{"name": "input-0", "datatype": "BYTES", "shape": [-1]}]
    if len(kinds) == 1:
        return [{"name": "input-0", "datatype": _OF_KIND[kinds.pop()], "shape": [-1, schema.width]}]
    return [
        {"name": c.name or f"column-{i}", "datatype": _OF_KIND[c.kind], "shape": [-1]}
        for i, c in enumerate(schema.columns)
    ]
