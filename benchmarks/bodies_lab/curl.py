"""The command that a refusal carries, taken apart as a shell would, so that it can be sent from a test."""

from __future__ import annotations

import shlex
from typing import NamedTuple
from urllib.parse import urlsplit


class Command(NamedTuple):
    """What a `curl` command sends."""

    verb: str
    path: str  #: with its query
    headers: dict[str, str]
    content: bytes


def taken_apart(command: str, token: str) -> Command:
    """The request of `curl [-X VERB] [-H HEADER]… [-d BODY] URL`, with the token the shell would fill in.

    Raises:
        ValueError: it is another command.
    """
    words = shlex.split(command)
    if words[0] != "curl":
        raise ValueError(command)
    given: dict[str, list[str]] = {"-X": [], "-H": [], "-d": []}
    while len(words) > 2:
        given[words[1]].append(words[2])
        del words[1:3]
    url = urlsplit(words[1])
    headers = dict(h.replace("$FITQ_TOKEN", token).split(": ", 1) for h in given["-H"])
    body = "".join(given["-d"]).encode()
    verb = (given["-X"] or ["POST" if body else "GET"])[0]
    return Command(verb, url.path + (f"?{url.query}" if url.query else ""), headers, body)
