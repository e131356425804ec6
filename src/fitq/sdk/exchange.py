"""One platform's addresses and the plain verbs on them; the routes are built on these."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import quote

import httpx2
import msgspec

from fitq.sdk.connection import Connection
from fitq.sdk.http import Http, check_address, decoded, json_body


class Exchange:
    """Decoded JSON in and out of one platform, with its token."""

    def __init__(
        self,
        url: str,
        token: str = "",
        scoring_url: str = "",
        *,
        transport: httpx2.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
        connection: Connection | None = None,
    ) -> None:
        """`url` and `scoring_url` are addresses such as http://127.0.0.1:8700; `transport` and `pause` are
        for tests and in-process use."""
        self.url = check_address("FITQ_URL", url)
        self.scoring_url = check_address("FITQ_SCORING_URL", scoring_url) if scoring_url else ""
        self.connection = connection or Connection(url=self.url, scoring_url=self.scoring_url, token=token)
        self.http = Http(token, transport=transport, pause=pause)

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def get(self, path: str, **params: Any) -> Any:
        """Decoded JSON of `GET path`; parameters that are None are left out."""
        given = {k: v for k, v in params.items() if v is not None}
        return self._exchange("GET", path, repeatable=True, params=given)

    def post(
        self, path: str, body: object = None, *, repeatable: bool = False, headers: Mapping[str, str] = {}
    ) -> Any:
        """Decoded JSON of `POST path`. `repeatable`: the server may safely receive it twice."""
        return self._send_body("POST", path, body, repeatable, headers)

    def put(self, path: str, body: object = None) -> Any:
        """Decoded JSON of `PUT path`."""
        return self._send_body("PUT", path, body, True, {})

    def patch(self, path: str, body: object = None) -> Any:
        """Decoded JSON of `PATCH path`."""
        return self._send_body("PATCH", path, body, True, {})

    def delete(self, path: str) -> Any:
        """Decoded JSON of `DELETE path`; usually None."""
        return self._exchange("DELETE", path, repeatable=True)

    def _send_body(
        self, method: str, path: str, body: object, repeatable: bool, headers: Mapping[str, str]
    ) -> Any:
        if body is None:
            return self._exchange(method, path, repeatable=repeatable, headers=dict(headers))
        kind = {"Content-Type": "application/json", **headers}
        return self._exchange(method, path, repeatable=repeatable, headers=kind, content=json_body(body))

    def _exchange(self, method: str, path: str, *, repeatable: bool, **options: Any) -> Any:
        response = self.http.send(method, self.url + path, repeatable=repeatable, build=lambda: options)
        return decoded(response)


def part(value: object) -> str:
    """One segment of an address; a slash in a name cannot leave it."""
    return quote(str(value), safe="")


def said(request: msgspec.Struct) -> dict[str, Any]:
    """What the caller said, without fields left at their default: an older server knows fewer of them."""
    values: dict[str, Any] = msgspec.to_builtins(request)
    fields = {f.encode_name: f.default for f in msgspec.structs.fields(request)}
    defaults = {k: msgspec.to_builtins(v) for k, v in fields.items() if v is not msgspec.NODEFAULT}
    return {k: v for k, v in values.items() if v not in ([], {}) and (k not in defaults or v != defaults[k])}
