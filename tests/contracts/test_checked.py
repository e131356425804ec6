"""What has a known SHA-256 arrives as it was kept, or is said not to have."""

from __future__ import annotations

import hashlib

import pytest

from fitq.errors import Unavailable
from fitq.store.checked import Altered, get_checked, open_checked
from fitq.store.protocols import ObjectStore

LARGE = bytes(range(256)) * 9000  # more than one piece of the real store


@pytest.mark.parametrize("content", [b"", b"small", LARGE])
def test_right_bytes_come_as_they_are(objects: ObjectStore, content: bytes) -> None:
    objects.put("k", content)
    assert get_checked(objects, "k", hashlib.sha256(content).hexdigest()) == content


@pytest.mark.parametrize("content", [b"", b"small"])
def test_wrong_bytes_of_one_piece_are_refused_before_any_is_seen(
    objects: ObjectStore, content: bytes
) -> None:
    objects.put("a/key", content)
    with pytest.raises(Altered, match="a/key"):
        open_checked(objects, "a/key", hashlib.sha256(b"other").hexdigest())


def test_wrong_bytes_of_many_pieces_never_come_as_a_whole(objects: ObjectStore) -> None:
    objects.put("k", LARGE)
    arrived = bytearray()

    def read() -> None:
        for piece in open_checked(objects, "k", hashlib.sha256(LARGE[::-1]).hexdigest()) or ():
            arrived.extend(piece)

    with pytest.raises(Unavailable):
        read()
    assert len(arrived) < len(LARGE)


def test_what_is_not_there_is_none_and_not_altered(objects: ObjectStore) -> None:
    assert open_checked(objects, "nothing", "0" * 64) is None
    assert get_checked(objects, "nothing", "0" * 64) is None
