"""Snapshots: what is packed, and that nothing hostile is ever unpacked."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fitq.errors import FitqError, InvalidRequest, TooLarge, UnsafeSnapshot
from fitq.snapshots import pack, read_members, unpack


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}")
    return folder


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    source = tree(tmp_path / "in", "train.py", "lib/a.py", "data/größe 1.csv")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    paths = unpack(io.BytesIO(pack(source).data), tmp_path / "out")
    assert sorted(paths) == ["data/größe 1.csv", "lib/a.py", "run.sh", "train.py"]
    assert (tmp_path / "out/lib/a.py").read_text() == "content of lib/a.py"
    assert os.access(tmp_path / "out/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out/train.py", os.X_OK)


def test_equal_folders_are_the_same_snapshot(tmp_path: Path) -> None:
    first = pack(tree(tmp_path / "a", "x.py", "y.py"))
    second = pack(tree(tmp_path / "b", "y.py", "x.py"))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("ignore_file", [".fitqignore", ".amlignore", ".gitignore"])
def test_ignore_files_are_honoured(tmp_path: Path, ignore_file: str) -> None:
    tree(tmp_path, "train.py", "data/big.csv", "data/keep.csv", "notes.log", "sub/deep.log")
    (tmp_path / ignore_file).write_text("*.log\ndata/*\n!data/keep.csv\n")
    assert pack(tmp_path).files == sorted([ignore_file, "data/keep.csv", "train.py"])


def test_the_first_ignore_file_wins(tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "b.py")
    (tmp_path / ".gitignore").write_text("a.py")
    (tmp_path / ".fitqignore").write_text("b.py")
    assert "a.py" in pack(tmp_path).files
    assert "b.py" not in pack(tmp_path).files


def test_our_own_tokens_and_history_never_travel(tmp_path: Path) -> None:
    tree(
        tmp_path,
        "train.py",
        ".fitq/config.json",
        ".azureml/config.json",
        ".git/config",
        ".venv/x",
        "a/__pycache__/b",
        "restored/secrets.json",
        "restored/config.json",
        "restored/objects/s3.json",
    )
    assert pack(tmp_path).files == ["train.py"]


def test_links_out_of_the_folder_are_left_out(tmp_path: Path) -> None:
    source = tree(tmp_path / "in", "real.py")
    (source / "inside.py").symlink_to("real.py")
    (source / "outside").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    packed = pack(source)
    assert packed.files == ["inside.py", "real.py"]
    assert packed.ignored == ["outside", "pipe"]


def test_a_folder_that_is_too_large_names_the_largest(tmp_path: Path) -> None:
    tree(tmp_path, "small.py")
    (tmp_path / "huge.csv").write_bytes(b"x" * 5000)
    with pytest.raises(TooLarge, match=r"huge\.csv"):
        pack(tmp_path, max_bytes=1000)
    with pytest.raises(TooLarge, match="2 files"):
        pack(tmp_path, max_files=1)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no folder"):
        pack(tmp_path / "nothing")


# --- hostile archives ---------------------------------------------------------------------------


def archive(*members: tarfile.TarInfo, content: bytes = b"evil") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, **facts: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


HOSTILE: dict[str, Callable[[], bytes]] = {
    "parent": lambda: archive(member("../evil")),
    "hidden parent": lambda: archive(member("a/../../evil")),
    "absolute": lambda: archive(member("/tmp/evil")),
    "backslash": lambda: archive(member("..\\evil")),
    "newline": lambda: archive(member("a\nb")),
    "empty name": lambda: archive(member("./")),
    "not utf-8": lambda: archive(member("\udcff.py")),
    "symlink": lambda: archive(member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "symlink inside": lambda: archive(member("link", type=tarfile.SYMTYPE, linkname="a")),
    "hard link": lambda: archive(member("link", type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "device": lambda: archive(member("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "fifo": lambda: archive(member("pipe", type=tarfile.FIFOTYPE)),
    "twice": lambda: archive(member("a"), member("a")),
    "twice in other words": lambda: archive(member("a"), member("./a")),
    "file then folder": lambda: archive(member("a"), member("a/b")),
    "folder then file": lambda: archive(member("a/b"), member("a")),
    "parent folder": lambda: archive(member("../d", type=tarfile.DIRTYPE)),
    "link then through it": lambda: archive(
        member("d", type=tarfile.SYMTYPE, linkname="/tmp"), member("d/evil")
    ),
    "empty": lambda: b"",
    "not gzip": lambda: b"hello",
    "gzip of noise": lambda: gzip.compress(os.urandom(3000)),
    "cut": lambda: archive(member("a"), content=os.urandom(5000))[:2000],
    "wrong checksum": lambda: archive(member("a"), content=b"x" * 100)[:-8] + b"\0" * 8,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing_outside(tmp_path: Path, kind: str) -> None:
    canary = tmp_path / "evil"
    inside = tmp_path / "in" / "deep"
    with pytest.raises(UnsafeSnapshot):
        unpack(io.BytesIO(HOSTILE[kind]()), inside)
    assert not canary.exists()
    outside = [p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "in")]
    assert outside == []


def test_a_bomb_is_noticed_while_it_goes_off() -> None:
    bomb = archive(member("zeros"), content=b"\0" * 50_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge):
        _read_all(bomb, max_bytes=1_000_000)


def test_too_many_members_are_refused() -> None:
    many = archive(*(member(f"f{n}") for n in range(50)))
    with pytest.raises(TooLarge, match="more than 20 files"):
        _read_all(many, max_files=20)


def test_a_lying_header_cannot_ask_for_memory() -> None:
    huge = member("x", type=tarfile.XHDTYPE)
    huge.size = 10**12
    data = gzip.compress(huge.tobuf() + b"\0" * 1024)
    with pytest.raises(FitqError):
        _read_all(data, max_bytes=1000)


def _read_all(data: bytes, **limits: int) -> None:
    for found in read_members(io.BytesIO(data), **limits):
        while found.content.read(1 << 16):
            pass
