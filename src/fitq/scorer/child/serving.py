"""The life of the process: limits, and requests answered in order until the parent hangs up."""

import json
import os
import resource
import signal
import socket
import sys
import warnings
from typing import Any, Dict

from .answering import failure
from .frames import pack, pack_answer, read_raw

#: Headers that are kept when read; a model has one per method.
MAX_HEADERS = 4096


def limit_memory(most_bytes: int) -> None:
    """From here on, more memory of our own is refused; numpy then raises MemoryError, which is an answer."""
    if most_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))


def main(child: Any) -> None:
    """Let a child answer what comes over the socket, until the parent hangs up."""
    limit_memory(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then hangs up
    os.dup2(2, 1)  # what models print goes where warnings go; frames have a socket of their own
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=int(sys.argv[1]))
    stream, pid = link.makefile("rb"), os.getpid()
    warnings.simplefilter("ignore")
    headers: Dict[bytes, Dict[str, Any]] = {}
    while True:
        raw = read_raw(stream)
        if raw is None:
            return
        number, text, payload = raw
        header = headers.get(text)
        if header is None:
            if len(headers) >= MAX_HEADERS:
                headers.clear()
            header = headers[text] = json.loads(text.decode("utf-8"))
        try:
            described, data = child.answer(header, payload)
            answer = pack_answer(described, data, number)
        except (Exception, SystemExit) as exc:
            answer = pack({"ok": False, "error": failure(exc)}, number=number)
        if os.getpid() != pid:
            os._exit(0)  # a model forked; only the original speaks on this socket
        link.sendall(answer)
