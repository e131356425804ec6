"""What an address of this program stands for: a model or an endpoint, and how to call it right."""

from __future__ import annotations

import json
import shlex
from typing import Any, NamedTuple

from fitq.records import Json
from fitq.scoring.served import ServedModel

#: the shell fills the token in; it is never in an answer
_AUTHORIZED = '-H "Authorization: Bearer $FITQ_TOKEN"'


def reading(url: str) -> str:
    """A command that reads an address."""
    return f"curl {_AUTHORIZED} {shlex.quote(url)}"


class Target(NamedTuple):
    """A served model, under the address it was asked by."""

    served: ServedModel
    path: str  #: where rows are posted: /models/iris/score
    method: str | None = None  #: an endpoint's own default
    cold_seconds: float | None = None  #: set on a request that waited for the model to be loaded
    title: str = ""  #: the endpoint's name, where there is one

    @property
    def default_method(self) -> str:
        return self.method or self.served.record.default_method

    @property
    def example_body(self) -> Json:
        """A body that scores; None if none is known that the model answers."""
        record = self.served.record
        if record.entry is not None or record.example_body is None:
            return record.example_body
        return {"data": self.served.schema.example}

    def waited(self, seconds: float | None) -> Target:
        """The same for a request that waited so long for the model to be loaded again, if it did."""
        return self if seconds is None else self._replace(cold_seconds=(self.cold_seconds or 0.0) + seconds)

    @property
    def told(self) -> list[tuple[bytes, bytes]]:
        """What every answer says of the model, also one that refuses."""
        headers = [(b"x-fitq-model", self.served.record.id.encode())]
        if self.cold_seconds is not None:
            headers.append((b"x-cold-start-ms", b"%.1f" % (self.cold_seconds * 1000)))
        if self.served.warning:
            headers.append((b"x-fitq-warning", ascii(self.served.warning)[1:-1].encode()))
        return headers

    def headers(self, seconds: float) -> list[tuple[bytes, bytes]]:
        """What every answer of the model says.

        Args:
            seconds: inside the model.
        """
        told = self.told
        told.append((b"x-ms-run-fn-exec-ms", b"%.3f" % (seconds * 1000)))
        return told

    def curl(self, address: str) -> str:
        """A command that works for this very model, with the token in FITQ_TOKEN."""
        if self.example_body is None:
            record = self.served.record
            return reading(f"{address}/models/{record.name}")
        body = shlex.quote(json.dumps(self.example_body))
        url = shlex.quote(f"{address}{self.path}")
        return f"curl -X POST {_AUTHORIZED} -H 'Content-Type: application/json' -d {body} {url}"

    def help(self, address: str) -> dict[str, Any]:
        """What every refusal says, where it has nothing better of its own."""
        record = self.served.record
        expected = "a model that can be scored"
        if record.entry is not None:
            expected = f"a body that {record.entry.script} takes"
        elif record.input_schema is not None:
            expected = self.served.schema.expected
        return {"expected": expected, "got": "this request", "at": "$", "curl": self.curl(address)}
