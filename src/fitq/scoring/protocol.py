"""What the Open Inference Protocol wants to know besides predictions."""

from __future__ import annotations

import asyncio
import importlib.metadata

from fitq.scoring import script
from fitq.scoring.about import example_answer, is_ready
from fitq.scoring.answers import Answer, to_json
from fitq.scoring.call import Call
from fitq.scoring.dialects import oip


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
    return Answer(to_json(oip.metadata(record, versions, answer)))
