"""The routes of declared state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fitq.documents import DeclaredRequest, Plan
from fitq.sdk.answers import read_answer
from fitq.sdk.exchange import Exchange, said

Document = dict[str, Any]


class DeclaredRoutes(Exchange):
    """Documents compared with what is there, applied, and written down again."""

    def plan(self, documents: Sequence[Document], *, label: str | None = None, prune: bool = False) -> Plan:
        """What applying these documents would change.

        Raises:
            InvalidRequest: `data["problems"]` has all that is wrong with them.
        """
        request = DeclaredRequest(documents=list(documents), label=label, prune=prune)
        return read_answer(self.post("/v1/plan", _body(request), repeatable=True), Plan)

    def apply(
        self,
        documents: Sequence[Document],
        *,
        label: str | None = None,
        prune: bool = False,
        revisions: Mapping[str, str] | None = None,
    ) -> Plan:
        """Bring about what these documents say; returns what was changed.

        Args:
            revisions: `change.key` → `change.revision` of a plan; anything that was changed since is not
                written over, and raises Outdated.
        """
        planned = None if revisions is None else dict(revisions)
        request = DeclaredRequest(documents=list(documents), label=label, prune=prune, revisions=planned)
        return read_answer(self.post("/v1/apply", _body(request)), Plan)

    def documents(self, *, label: str | None = None) -> list[Document]:
        """What is there, as documents that can be applied; of one label only if it is given."""
        found: list[Document] = self.get("/v1/documents", label=label)["documents"]
        return found


def _body(request: DeclaredRequest) -> dict[str, Any]:
    return {"documents": request.documents, **said(request)}
