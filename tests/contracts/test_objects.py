"""What every `ObjectStore` promises."""

from __future__ import annotations

import io
import threading

from fitq.store.protocols import ObjectStore


def test_bytes_come_back(objects: ObjectStore) -> None:
    objects.put("a/b.bin", b"\x00\xffdata")
    assert objects.get("a/b.bin") == b"\x00\xffdata"
    assert objects.size("a/b.bin") == 6
    pieces = objects.open("a/b.bin")
    assert pieces is not None
    assert b"".join(pieces) == b"\x00\xffdata"


def test_a_file_is_kept_whole(objects: ObjectStore) -> None:
    content = bytes(range(256)) * 9000  # more than one piece
    objects.put("big", io.BytesIO(content), len(content))
    assert objects.get("big") == content


def test_an_empty_object_is_there(objects: ObjectStore) -> None:
    objects.put("empty", b"")
    assert objects.get("empty") == b""
    assert objects.size("empty") == 0


def test_what_is_not_there_is_none(objects: ObjectStore) -> None:
    assert objects.get("nothing") is None
    assert objects.open("nothing") is None
    assert objects.size("nothing") is None
    assert objects.get_range("nothing", 0, 10) is None


def test_a_put_replaces(objects: ObjectStore) -> None:
    objects.put("k", b"one")
    objects.put("k", b"two")
    assert objects.get("k") == b"two"


def test_a_range_is_cut_at_the_end(objects: ObjectStore) -> None:
    objects.put("k", b"0123456789")
    assert objects.get_range("k", 3, 4) == b"3456"
    assert objects.get_range("k", 8, 100) == b"89"
    assert objects.get_range("k", 10, 5) == b""
    assert objects.get_range("k", 50, 5) == b""


def test_put_if_absent_never_replaces(objects: ObjectStore) -> None:
    assert objects.put_if_absent("once", b"first")
    assert not objects.put_if_absent("once", b"second")
    assert objects.get("once") == b"first"


def test_of_many_racing_writers_one_wins(objects: ObjectStore) -> None:
    for round_number in range(5):
        key, won, barrier = f"race/{round_number}", [], threading.Barrier(6)

        def race(n: int, key: str = key, won: list[int] = won, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            if objects.put_if_absent(key, str(n).encode()):
                won.append(n)

        threads = [threading.Thread(target=race, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert objects.get(key) == str(won[0]).encode()


def test_listing_is_in_key_order(objects: ObjectStore) -> None:
    for key in ("p/b/2", "p/a", "p/b/1", "q/x", "pp"):
        objects.put(key, b"x" * len(key))
    assert [(o.key, o.size_bytes) for o in objects.list("p/")] == [("p/a", 3), ("p/b/1", 5), ("p/b/2", 5)]
    assert list(objects.list("none/")) == []
    assert objects.list_folders("p/") == ["b"]
    assert objects.list_folders("none/") == []


def test_names_survive(objects: ObjectStore) -> None:
    key = "runs/r/attempts/1/outputs/Größe & form+1 (é).txt"
    objects.put(key, b"x")
    assert objects.get(key) == b"x"
    assert objects.put_if_absent(key + "2", b"y")
    assert [o.key for o in objects.list("runs/r/")] == [key, key + "2"]


def test_deleting_twice_is_fine(objects: ObjectStore) -> None:
    objects.put("k", b"x")
    objects.delete("k")
    objects.delete("k")
    assert objects.get("k") is None


def test_a_living_store_answers(objects: ObjectStore) -> None:
    objects.ensure_bucket()
    objects.ping("not-there")
    objects.put("k", b"")
    objects.ping("k")


def test_a_put_over_what_was_read_replaces_it_once(objects: ObjectStore) -> None:
    objects.put("k", b"one")
    read = objects.get_tagged("k")
    assert read is not None
    assert read.data == b"one"
    assert objects.put_if_same("k", b"two", read.tag)
    assert not objects.put_if_same("k", b"three", read.tag)
    assert objects.get("k") == b"two"


def test_a_put_over_what_is_gone_changes_nothing(objects: ObjectStore) -> None:
    objects.put("k", b"one")
    read = objects.get_tagged("k")
    assert read is not None
    objects.delete("k")
    assert not objects.put_if_same("k", b"two", read.tag)
    assert objects.get_tagged("k") is None


def test_of_many_writers_over_the_same_bytes_one_wins(objects: ObjectStore) -> None:
    objects.put("n", b"start")
    for _ in range(5):
        read, won, barrier = objects.get_tagged("n"), [], threading.Barrier(6)
        assert read is not None

        def race(
            n: int, tag: str = read.tag, won: list[int] = won, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait()
            if objects.put_if_same("n", f"{tag} {n}".encode(), tag):
                won.append(n)

        threads = [threading.Thread(target=race, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
