"""What a model file tells about itself when a child process has looked into it."""

from __future__ import annotations

from typing import Any

import msgspec

from fitq.records import EntryScript, InputSchema, Json, Versions
from fitq.scorer.golden import Golden


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Found by `inspect_model`. Everything in it was seen, nothing declared."""

    estimator: str = ""  #: class name of the fitted object
    methods: list[str] = []  #: predict-like methods that answered the example rows
    default_method: str = "predict"
    input_schema: InputSchema | None = None  #: None: not something that can be scored; a warning says why
    classes: list[Json] = []
    versions: Versions = Versions()  #: of the interpreter that looked
    output_shape: list[int] = []  #: of the default method's answer to the example rows
    warnings: list[str] = []
    given: list[Any] = []  #: the first rows of the sample input, in the order of the schema's columns
    seen: list[dict[str, Any]] = []  #: what `fit` saw, per column: see `child.seen_by_fit`
    entry: EntryScript | None = None  #: the script that answers, where there is one
    golden: Golden | None = None  #: what it answered; None if it cannot be scored
