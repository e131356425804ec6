"""Follows what changes of the models that are in use: at once what was noted, little by little all.

One listing per round, however many models there are, tells which changed. Should a note be missing, a look
at a few others in each round finds that too, with ten models within half a second and with ten thousand
within minutes.
"""

from __future__ import annotations

import asyncio

from fitq.errors import Unavailable
from fitq.logs import get_logger
from fitq.scoring.served import ServedModel
from fitq.scoring.watch import Watch
from fitq.store.changes import Changes

log = get_logger(__name__)
REFRESH_SECONDS = 0.25
#: Looked at in each round without a note.
SOME = 5


async def follow(watch: Watch[tuple[str, str], ServedModel], changes: Changes) -> None:
    """Follow for ever; a bug in one look is logged and does not end the loop."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            await follow_once(watch, changes)
        except Unavailable:
            continue  # what is known stays as it was
        except Exception:
            log.exception("refresh_failed")


async def follow_once(watch: Watch[tuple[str, str], ServedModel], changes: Changes) -> None:
    """One round.

    Raises:
        Unavailable: the object store is away.
    """
    changed = await asyncio.to_thread(changes.new)
    if changed:
        await watch.refresh([key for key in watch.in_use() if key[0] in changed])
    await watch.refresh(watch.longest_unseen(SOME))
