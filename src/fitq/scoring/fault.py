"""Which row of a request it is that a model refuses: the model itself says only that there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fitq.errors import FitqError, InputRejected
from fitq.schema import Rows
from fitq.scorer.client import Outcome

Ask = Callable[[Rows], Awaitable[Outcome]]


async def at_its_row(ask: Ask, rows: Rows, refusal: InputRejected) -> InputRejected:
    """The refusal with its row, found by asking again for halves; as it was if no row is refused alone.

    Args:
        rows: all that were refused together.
    """
    first, last = 0, rows.size  # it is one of these
    while last - first > 1:
        middle = (first + last) // 2
        if await _refused(ask, rows.part(first, middle)):
            last = middle
        else:
            first = middle
    alone = refusal if rows.size == 1 else await _refused(ask, rows.part(first, last))
    if alone is None:
        return refusal
    said = alone.data["got"]
    return InputRejected(
        f"The model refuses row {first}: {said}", hint=alone.hint, **{**alone.data, "at": f"row {first}"}
    )


async def _refused(ask: Ask, rows: Rows) -> InputRejected | None:
    """How the model refuses these; None if it does not, or cannot be asked now."""
    try:
        await ask(rows)
    except InputRejected as exc:
        return exc
    except FitqError:
        return None
    return None
