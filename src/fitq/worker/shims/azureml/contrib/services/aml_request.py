"""The HTTP request as an entry script gets it whose `run` is marked with `@rawhttp`."""

import json
from typing import Any, Callable, TypeVar
from urllib.parse import parse_qsl

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def rawhttp(function: FunctionT) -> FunctionT:
    """Mark `run`: it takes an `AMLRequest`."""
    function.fitq_rawhttp = True  # type: ignore[attr-defined]  # read by the scorer child
    return function


class AMLRequest:
    """A request, with the names that Flask's has."""

    def __init__(
        self, method: str, content_type: str, accept: str, body: bytes, path: str = "/score", query: str = ""
    ) -> None:
        self.method, self.content_type, self.path = method, content_type, path
        self.headers = {"Content-Type": content_type, "Accept": accept}
        self.query_string = query.encode("latin-1")
        self.full_path = "%s?%s" % (path, query)
        #: of a name that is there twice the first, as in Flask
        self.args = dict(reversed(parse_qsl(query, keep_blank_values=True)))
        self._body = body

    @property
    def data(self) -> bytes:
        """The body."""
        return self._body

    def get_data(self, as_text: bool = False, **_: Any) -> Any:
        """The body."""
        return self._body.decode("utf-8") if as_text else self._body

    def get_json(self, **_: Any) -> Any:
        """The body, decoded."""
        return json.loads(self._body.decode("utf-8"))

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return self.get_json()
