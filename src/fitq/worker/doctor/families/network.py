"""Another machine that did not answer."""

from __future__ import annotations

import re

from fitq.worker.doctor.case import Case, Finding
from fitq.worker.doctor.trace import Trace

KINDS = {
    "network_blocked": "Another machine cannot be reached: no name, no route, no answer.",
    "tls_error": "A secure connection was refused: the certificate is not trusted or does not fit.",
}

_TLS = re.compile(
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|\[SSL[:\]]|SSLError|SSLCertVerification"
)
_NO_NAME = re.compile(
    r"Name or service not known|Temporary failure in name resolution|nodename nor servname|"
    r"getaddrinfo failed|"
    r"No address associated with hostname|NameResolutionError|Failed to resolve"
)
_NO_ROUTE = re.compile(
    r"Network is unreachable|No route to host|Connection refused|Connection timed out|timed out|"
    r"Cannot connect to proxy|Tunnel connection failed|Max retries exceeded|Connection reset by peer|"
    r"Remote end closed connection|Failed to establish a new connection|Could not connect to the endpoint"
)
_NAMES = (
    "gaierror", "URLError", "ConnectionError", "ConnectionRefusedError", "ConnectTimeout", "ReadTimeout",
    "ConnectTimeoutError", "EndpointConnectionError", "NewConnectionError", "MaxRetryError", "ConnectError",
    "ProxyError", "ConnectionResetError", "ConnectionAbortedError", "TimeoutError", "ClientConnectorError",
    "NameResolutionError", "OSError", "OperationalError", "ServiceRequestError", "RemoteDisconnected",
    "timeout", "TransportError",
)  # fmt: skip
_HOST = re.compile(
    r"host='(?P<a>[\w.-]{1,200})'|//(?P<b>[\w.-]{1,200}(?::\d{1,5})?)|host (?P<c>[\w-]{1,60}\.[\w.-]{1,140})"
)


def recognise(case: Case, trace: Trace) -> Finding | None:
    """Connections that were not made, by the exceptions of the usual clients."""
    text = f"{trace.name}: {trace.text[:4000]}"
    if _TLS.search(text):
        return Finding(
            "tls_error",
            f"The secure connection{_to(text)} was refused: {trace.first_line[:300]}",
            "If a company's proxy signs with its own authority, send its certificate and name it: "
            "--env SSL_CERT_FILE=ca.pem --env REQUESTS_CA_BUNDLE=ca.pem. Do not switch verification off.",
        )
    if trace.short_name not in _NAMES:
        return None
    if _NO_NAME.search(text):
        what = f"The name of the machine{_to(text)} could not be resolved."
    elif _NO_ROUTE.search(text):
        what = f"No connection{_to(text)}: {trace.first_line[:300]}"
    else:
        return None
    return Finding(
        "network_blocked",
        what,
        "Can the worker's machine reach it (DNS, proxy, firewall)? What a run needs is safer in its "
        "snapshot: scikit-learn's fetch_… functions download, its load_… functions do not.",
    )


def _to(text: str) -> str:
    found = _HOST.search(text)
    return f" to {next(filter(None, found.groups()))}" if found else ""
