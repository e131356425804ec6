"""How requests and answers travel: see the table in the package's own text."""

import json
import struct
from typing import Any, BinaryIO, Dict, Optional, Tuple

HEAD = struct.Struct("!IIQ")


def pack(header: Dict[str, Any], payload: bytes = b"", number: int = 0) -> bytes:
    """One frame."""
    return frame(json.dumps(header).encode("utf-8"), payload, number)


def frame(header: bytes, payload: bytes, number: int) -> bytes:
    """One frame whose header is written already."""
    return b"".join((HEAD.pack(number, len(header), len(payload)), header, payload))


def pack_answer(described: Dict[str, Any], data: bytes, number: int) -> bytes:
    """One frame with an answer. The usual header is written by hand: it is as quick as all the rest."""
    if "arrays" not in described or described["several"]:
        return pack(dict(described, ok=True), data, number)
    header = '{"ok": true, "arrays": [{"dtype": "%s", "shape": %s}], "several": false, "seconds": %.9f}' % (
        described["arrays"][0]["dtype"], described["arrays"][0]["shape"], described["seconds"],
    )  # fmt: skip
    return frame(header.encode("ascii"), data, number)


def read_frame(stream: BinaryIO) -> Optional[Tuple[Dict[str, Any], bytearray]]:
    """Header and payload of the next frame, or None when the other side is gone."""
    raw = read_raw(stream)
    return None if raw is None else (json.loads(raw[1].decode("utf-8")), raw[2])


def read_raw(stream: BinaryIO) -> Optional[Tuple[int, bytes, bytearray]]:
    """Number, header and payload of the next frame, or None when the other side is gone."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    number, header_size, payload_size = HEAD.unpack(head)
    header = stream.read(header_size)
    payload = bytearray(payload_size)  # writable: some estimators insist
    view, done = memoryview(payload), 0
    while done < payload_size:
        n = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not n:
            return None
        done += n
    return number, header, payload
