"""Models: registered artifacts, what they take, and what is said of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from fitq.records.base import Json, Record, Versions


class EntryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script of the user's own that answers with the model: Azure's `init` and `run`, or SageMaker's
    `model_fn` and its like."""

    script: str  #: its path in the snapshot
    snapshot: str | None = None  #: SHA-256 of the packed folder; None: the code of the run it comes from
    models: list[str] = []  #: more models that it reads, `name` or `name:version`


class EntryModel(Record, frozen=True, kw_only=True):
    """One of several models that an entry script reads."""

    name: str  #: under which the script looks for it
    version: int
    file: str  #: name of its file
    sha256: str
    object_key: str  #: a copy that belongs to the version with the script

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def path(self) -> str:
        """Where the script finds it, in the folder of its models."""
        return f"{self.name}/{self.version}/{self.file}"


class EntryScript(Record, frozen=True, kw_only=True):
    """The script that answers with a model, as it was found when the model was registered."""

    script: str  #: its path in the snapshot
    snapshot: str  #: SHA-256 of the packed folder
    kind: str  #: azure: `init` and `run`; sagemaker: `model_fn`, `input_fn`, `predict_fn`, `output_fn`
    input: dict[str, Any] | None = None  #: JSON schema of a body, where decorators declare it
    output: dict[str, Any] | None = None
    example: Json = None  #: a body that it was seen to answer
    models: list[EntryModel] = []  #: all that it reads, its own first; empty: its own alone

    @property
    def told(self) -> str:
        """In one line."""
        calls = "init and run" if self.kind == "azure" else "model_fn, predict_fn"
        return f"{self.script} ({calls})"


class Registration(Record, frozen=True, kw_only=True):
    """What is to be said of a file when it becomes a model."""

    name: str
    path: str | None = None  #: of the file in its run; None: the one that can only be meant
    description: str = ""
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    framework: str = "ScikitLearn"
    framework_version: str = ""
    resources: dict[str, float] = {}
    sample_input: list[Any] | None = None  #: rows as lists, records as objects, or texts


class RegisterRequest(Registration, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /v1/models` (JSON), or its `metadata` field (multipart, with a `file`)."""

    run: str | None = None
    model: str | None = None  #: `name:version` whose file it takes; instead of a run or a file
    entry: EntryRequest | None = None
    #: in which it is loaded, of a file whose run does not tell: a specification, a hash, or "platform"
    environment: str | dict[str, Any] | None = None


class Column(Record, frozen=True, kw_only=True):
    """One input column of a model."""

    kind: str  #: number, integer, boolean or string
    name: str = ""  #: empty when the model was fitted on an array without names
    nullable: bool = False  #: whether the model's own pipeline takes missing values
    categories: list[
        Json
    ] = []  #: the values `fit` saw, where the model remembers them and they are not too many
    refuses_others: bool = False  #: whether the model was seen to refuse a value that is not one of them


class InputSchema(Record, frozen=True, kw_only=True):
    """What rows a model takes. `layout` is "rows" (a list of rows) or "texts" (a list of strings)."""

    columns: list[Column]
    layout: str = "rows"
    example: list[Any] = []  #: rows that the model was seen to answer
    source: str = "model"  #: "sample_input", or "model": what the fitted estimator tells

    @property
    def width(self) -> int:
        return len(self.columns)


class ModelRecord(Record, frozen=True, kw_only=True):
    """A registered artifact: name, version, input schema, and the run it came from.

    Never changes, but for tags, description and whether other answers are tolerated.
    """

    name: str
    version: int
    created_at: datetime
    path: str  #: the artifact's path in its run, or the uploaded file's name
    sha256: str
    size_bytes: int
    object_key: str  #: where the bytes are
    run: str | None = None
    experiment: str | None = None
    description: str = ""
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    framework: str = "ScikitLearn"  #: as declared
    framework_version: str = ""  #: as declared; serving goes by `versions`
    versions: Versions = Versions()  #: what really wrote the file
    environment: str = (
        ""  #: hash of the environment it was made in; empty: that of a worker or of the platform
    )
    whole: bool = False  #: it needs more of that environment than the versions that decide its answers
    resources: dict[str, float] = {}  #: cpu, memory_in_gb, gpu as declared
    estimator: str = ""  #: class name of the fitted object
    methods: list[str] = []  #: predict-like methods it has
    default_method: str = "predict"
    input_schema: InputSchema | None = None  #: None: only its entry script, if it has one, knows how to score
    entry: EntryScript | None = None
    classes: list[Json] = []
    warnings: list[str] = []
    names: list[str] | None = None  #: all that its file may import, `module name` each; None: it is trusted
    golden: str = ""  #: SHA-256 of its recorded answers; empty if there are none
    tolerated: bool = False  #: an operator lets it be served also where it answers otherwise than recorded
    deleted_at: datetime | None = None  #: set when it was deleted; its number is not used again
    workspace: str = "default"
    nonce: str = ""

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def is_scored(self) -> bool:
        """Whether it answers; otherwise it is only kept."""
        return self.input_schema is not None or self.entry is not None

    @property
    def example_body(self) -> Json:
        """A body that it was seen to answer; None if none is known."""
        if self.entry is not None:
            return self.entry.example
        schema = self.input_schema
        return {"data": schema.example} if schema is not None and schema.example else None


class ModelAbout(Record, frozen=True, kw_only=True):
    """What is said of a model as a whole."""

    aliases: dict[str, int] = {}  #: alias → version; an alias that is not named is taken away
    description: str = ""
    tags: dict[str, str] = {}


class ModelSettings(ModelAbout, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PUT /v1/models/{name}`: what can be said about a model whose versions are there."""


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `PATCH /v1/models/{name}/versions/{v}`. What is left out stays as it is."""

    tags: dict[str, str | None] | None = None  #: new and changed ones; null takes a tag away
    description: str | None = None
    tolerated: bool | None = None  #: serve it also where it answers otherwise than when it was registered
