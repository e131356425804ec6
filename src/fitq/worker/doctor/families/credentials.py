"""Another service that wants to know who asks."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {"credential_missing": "A service was asked without a credential, or with one it does not take."}

_NAMES = (
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "NoAuthTokenError",
    "CredentialUnavailableError", "ClientAuthenticationError", "DefaultCredentialsError", "RefreshError",
    "AuthenticationException", "AuthenticationError", "GatedRepoError", "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
)  # fmt: skip
_TOLD = re.compile(
    r"Unable to locate credentials|HTTP Error 40[13]|\b40[13] (?:Client Error|Unauthorized|Forbidden)|"
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|AccessDenied|"
    r"The AWS Access Key Id|DefaultAzureCredential failed|could not automatically determine credentials|"
    r"(?i:password authentication failed|invalid api[ _-]?key|api[ _-]?key (?:is )?(?:missing|not set))"
)


def recognise(case: Case, trace: Trace) -> Finding | None:
    """401 and 403 of HTTP clients, and what cloud SDKs say when they find no key."""
    if trace.short_name not in _NAMES and not _TOLD.search(trace.text[:4000]):
        return None
    return Finding(
        "credential_missing",
        f"A service wants a credential: {trace.sentence[:300]}",
        "A run inherits nothing of the worker's environment and home. Give it what it needs, and no more: "
        "fitq submit --env NAME=VALUE (the value stands in the run's record, so use a short-lived one). "
        "403 with a valid key: the key may not do that.",
    )
