"""What the scoring program says of the models it serves, for those who show it beside what was registered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import quote

import httpx2

from fitq.records import EndpointRecord

#: Looking may load the model. Who waits longer is told that it is not known yet.
_SECONDS = 3.0
_AT_ONCE = 8


class Health(NamedTuple):
    """Whether a model, or all that an endpoint scores with, answers."""

    state: str  #: Healthy, Unhealthy, or Transitioning while that is not known
    problem: str = ""  #: why it is not healthy
    hint: str = ""


class Serving:
    """The scoring program, asked over HTTP."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {token}"}

    def version(self) -> str | None:
        """Its version of fitq; None if it does not answer. Never raises."""
        try:
            answer = httpx2.get(f"{self._url}/v2", headers=self._headers, timeout=_SECONDS, trust_env=False)
            return str(answer.raise_for_status().json()["version"])
        except (httpx2.HTTPError, ValueError, KeyError):
            return None

    def model(self, name: str, version: str | int) -> Health:
        """One version of a model. Never raises: what cannot be asked is not known."""
        url = f"{self._url}/models/{quote(name, safe='')}/versions/{version}"
        try:
            answer = httpx2.get(url, headers=self._headers, timeout=_SECONDS, trust_env=False)
            told = answer.json()
        except (httpx2.HTTPError, ValueError) as exc:
            return Health("Transitioning", f"The scoring service at {self._url} does not answer: {exc}")
        if answer.status_code != 200:
            return Health(
                "Transitioning", str(told.get("message", f"Scoring answered {answer.status_code}."))
            )
        return Health(told["state"], told.get("problem") or "", told.get("hint") or "")

    def endpoint(self, endpoint: EndpointRecord) -> Health:
        """All versions that get traffic: one that is unhealthy makes the endpoint so."""
        asked = [self.model(endpoint.model, v) for v, share in endpoint.traffic.items() if share]
        order = ["Unhealthy", "Transitioning", "Healthy"]
        return min(
            asked, key=lambda h: order.index(h.state), default=Health("Unhealthy", "It has no traffic.")
        )

    def endpoints(self, endpoints: list[EndpointRecord]) -> list[Health]:
        """Several at once, in their order."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.endpoint, endpoints))
