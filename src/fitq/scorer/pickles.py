"""Reading a model file without unpickling it: which names it would import, and which scikit-learn wrote it.

A pickle is a program for a small stack machine. Here that program is followed with stand-ins in place of
objects: nothing is imported and nothing is called. joblib writes the bytes of arrays between the opcodes,
right after the opcode that completes a `NumpyArrayWrapper`; they are stepped over as joblib would read them.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import math
import pickletools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

#: More than this no file is read, however small it is while compressed.
MOST_BYTES = 8_000_000_000
_MOST_OPCODES = 50_000_000
#: Until 0.20 scikit-learn came with a joblib of its own.
_WRAPPERS = tuple(
    (m, "NumpyArrayWrapper") for m in ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")
)
_HAS_OBJECTS = 1  #: in the flags of a numpy dtype


class Unreadable(Exception):
    """Not a pickle that could be followed to its end."""


class Global(NamedTuple):
    """A name that would be imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Made:
    """An object that would be made by calling something."""

    by: Any
    arguments: Any
    state: Any = None


@dataclass
class Contents:
    """What a file would do when it is loaded."""

    globals: set[Global] = field(default_factory=set)
    sklearn_versions: set[str] = field(default_factory=set)
    strange: set[str] = field(default_factory=set)  #: opcodes that models do not need


def read_pickle(path: Path) -> Contents:
    """Follow a joblib or pickle file, compressed or not.

    Raises:
        Unreadable: it is none, or not one that can be followed.
    """
    contents = Contents()
    _follow(path, contents)
    return contents


def sklearn_that_wrote(path: Path) -> str:
    """The version of scikit-learn that a model file names; empty if none can be read in it."""
    contents = Contents()
    with contextlib.suppress(Unreadable):
        _follow(path, contents)
    return max(contents.sklearn_versions, key=_in_order, default="")


def _follow(path: Path, contents: Contents) -> None:
    try:
        with _opened(path) as file:
            _Machine(file, contents).run()
    except Unreadable:
        raise
    except Exception as exc:  # any byte may be wrong, and every part of the machine may stumble over it
        raise Unreadable(f"{type(exc).__name__}: {exc}") from exc


def _in_order(version: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", version)]


# ---------------------------------------------------------------- compressed files


def _opened(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if start.startswith(b"BZ"):
        return bz2.open(path)
    if start.startswith((b"\xfd7zXZ", b"\x5d\x00")):
        return lzma.open(path)
    if start.startswith(b"\x78"):
        return _Zlib(path)
    return path.open("rb")


class _Zlib:
    """A file that zlib wrote, piece by piece."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._inflate = zlib.decompressobj()
        self._held = b""

    def __enter__(self) -> _Zlib:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        pieces, missing = [self._held[:size]], size - len(self._held)
        self._held = self._held[size:]
        while missing > 0:
            waiting = self._inflate.unconsumed_tail or self._file.read(1 << 16)
            piece = self._inflate.decompress(waiting, 1 << 20)
            if not piece and not waiting:
                break
            pieces.append(piece[:missing])
            self._held = piece[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def readline(self) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (byte := self.read(1)):
            line += byte
        return line


class _Counted:
    """Sequential reading with a limit, and what `pickletools` wants to know of a file."""

    def __init__(self, file: Any) -> None:
        self._file, self.done = file, 0

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self._count(len(data))
        return data

    def readline(self) -> bytes:
        line: bytes = self._file.readline()
        self._count(len(line))
        return line

    def tell(self) -> int:
        return self.done

    def skip(self, size: int) -> None:
        while size > 0:
            piece = self.read(min(size, 1 << 20))
            if not piece:
                raise Unreadable("An array is cut short.")
            size -= len(piece)

    def _count(self, size: int) -> None:
        self.done += size
        if self.done > MOST_BYTES:
            raise Unreadable("It is larger than any model that is read here.")


# ---------------------------------------------------------------- the machine

_MARK = object()


class _Machine:
    """One pickle, followed from its first opcode to STOP."""

    def __init__(self, file: Any, contents: Contents, *, by_joblib: bool = True) -> None:
        self._file = file if isinstance(file, _Counted) else _Counted(file)
        self._contents, self._by_joblib = contents, by_joblib
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> None:
        for count, (opcode, argument, _) in enumerate(self._opcodes()):
            if count > _MOST_OPCODES:
                raise Unreadable("It is longer than any model that is read here.")
            self._step(opcode, argument)

    def _opcodes(self) -> Iterator[tuple[Any, Any, int | None]]:
        return iter(pickletools.genops(self._file))  # type: ignore[arg-type]  # it reads and tells

    def _step(self, opcode: Any, argument: Any) -> None:
        do = getattr(self, f"_do_{opcode.name.lower()}", None)
        if do is not None:
            do(argument)
        elif opcode.name in _CONSTANTS:
            self._stack.append(argument)
        elif opcode.name not in _NOTHING:
            self._contents.strange.add(opcode.name)
            raise Unreadable(f"It uses {opcode.name}, which no model needs.")

    def _pop(self) -> Any:
        return self._stack.pop()

    def _to_mark(self) -> list[Any]:
        for at in range(len(self._stack) - 1, -1, -1):
            if self._stack[at] is _MARK:
                found = self._stack[at + 1 :]
                del self._stack[at:]
                return found
        raise Unreadable("A mark is missing.")

    # constants and containers

    def _do_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _do_none(self, _: Any) -> None:
        self._stack.append(None)

    def _do_newtrue(self, _: Any) -> None:
        self._stack.append(True)

    def _do_newfalse(self, _: Any) -> None:
        self._stack.append(False)

    def _do_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append({})

    _do_empty_set = _do_empty_list

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._to_mark()))

    _do_frozenset = _do_tuple

    def _do_tuple1(self, _: Any) -> None:
        self._stack[-1:] = [tuple(self._stack[-1:])]

    def _do_tuple2(self, _: Any) -> None:
        self._stack[-2:] = [tuple(self._stack[-2:])]

    def _do_tuple3(self, _: Any) -> None:
        self._stack[-3:] = [tuple(self._stack[-3:])]

    def _do_list(self, _: Any) -> None:
        self._stack.append(self._to_mark())

    def _do_dict(self, _: Any) -> None:
        items, made = self._to_mark(), dict[Any, Any]()
        self._stack.append(made)
        self._set(made, items)

    def _do_append(self, _: Any) -> None:
        self._pop()  # what lists hold is not needed, and may be a lot

    def _do_appends(self, _: Any) -> None:
        self._to_mark()

    _do_additems = _do_appends

    def _do_setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._set(self._stack[-1], [key, value])

    def _do_setitems(self, _: Any) -> None:
        items = self._to_mark()
        self._set(self._stack[-1], items)

    def _set(self, target: Any, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if key == "_sklearn_version" and isinstance(value, str):
                self._contents.sklearn_versions.add(value)
            if isinstance(target, dict) and isinstance(key, str):
                target[key] = value

    # stack and memo

    def _do_pop(self, _: Any) -> None:
        self._pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_put(self, argument: Any) -> None:
        self._memo[int(argument)] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_get(self, argument: Any) -> None:
        self._stack.append(self._memo[int(argument)])

    _do_binget = _do_long_binget = _do_get

    # names and objects

    def _import(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Unreadable("A name that it imports is not written in it.")
        found = Global(module, name)
        self._contents.globals.add(found)
        self._stack.append(found)

    def _do_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._import(module, name)

    def _do_stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._import(module, name)

    def _do_inst(self, argument: str) -> None:
        arguments = tuple(self._to_mark())
        self._do_global(argument)
        self._stack.append(Made(self._pop(), arguments))

    def _do_obj(self, _: Any) -> None:
        by, *arguments = self._to_mark()
        self._stack.append(Made(by, tuple(arguments)))

    def _do_reduce(self, _: Any) -> None:
        arguments, by = self._pop(), self._pop()
        self._stack.append(Made(by, arguments))

    _do_newobj = _do_reduce

    def _do_newobj_ex(self, _: Any) -> None:
        self._pop()
        self._do_reduce(None)

    def _do_build(self, _: Any) -> None:
        state, made = self._pop(), self._stack[-1]
        if isinstance(made, Made):
            known = isinstance(made.state, dict) and isinstance(state, dict)
            made.state = {**made.state, **state} if known else state
            if made.by in _WRAPPERS and self._by_joblib:
                self._step_over(made)

    def _do_stop(self, _: Any) -> None:
        self._pop()

    # arrays

    def _step_over(self, wrapper: Made) -> None:
        """Skip what joblib reads when it meets a wrapper: padding and bytes, or a pickle of objects.

        What is skipped here and read as opcodes there would be a way in; so what joblib itself never writes
        is not followed.
        """
        told, shape = wrapper.state, wrapper.state["shape"]
        if wrapper.arguments != () or any(type(n) is not int or n < 0 for n in shape):
            raise Unreadable("It holds an array that joblib did not write.")
        size = _item_bytes(told["dtype"])
        if size is None:  # joblib leaves these to pickle itself, which knows of no wrappers
            _Machine(self._file, self._contents, by_joblib=False).run()
            return
        if told.get("numpy_array_alignment_bytes") is not None:
            self._file.skip(self._file.read(1)[0])
        self._file.skip(size * math.prod(shape))


def _item_bytes(dtype: Any) -> int | None:
    """Bytes of one item of a pickled numpy dtype; None for one that holds objects.

    Raises:
        Unreadable: it is not as numpy writes it.
    """
    known = re.fullmatch(r"([biufcmMSUVO])([0-9]*)", str(dtype.arguments[0]))
    state = dtype.state or (3, "|", None, None, None, -1, -1, 0)
    if known is None or dtype.by != ("numpy", "dtype") or len(state) < 8:
        raise Unreadable("It holds an array of a kind that is not known here.")
    kind, digits, flags = known[1], known[2], int(state[7])
    if (kind == "O") != bool(flags & _HAS_OBJECTS) and not (kind == "O" and dtype.state is None):
        raise Unreadable("It holds an array that says of itself what is not so.")
    if kind == "O":
        return None
    if kind in "SUV" and int(state[5]) >= 0:
        return int(state[5])
    return int(digits or 1) * (4 if kind == "U" else 1)


_CONSTANTS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "FLOAT", "BINFLOAT",
}  # fmt: skip
_NOTHING = {"PROTO", "FRAME"}
