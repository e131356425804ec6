"""How a script's process ends when it is a fork: as Python would end it, without what nobody notices.

When Python ends it takes every module apart. In a fork this first copies nearly all the memory that it has
from its parent: 80 ms of a processor, for objects whose end nobody can see. So `end` does in Python's own
order what a script can notice (threads waited for, `atexit`, its modules and so its objects deleted, files
closed, streams flushed, the exit code) and leaves the rest to the kernel. Wherever it cannot be sure to do
the same it returns, and the interpreter ends as it always does.

Standard library only, any Python ≥ 3.6.
"""

import atexit
import ctypes
import faulthandler
import gc
import itertools
import os
import sys
import threading
import types
import weakref
from typing import Any, Dict, FrozenSet, List, Optional

#: Python sets these of `sys` to None before it deletes modules.
_SPECIAL = (
    "path argv ps1 ps2 last_type last_value last_traceback last_exc path_hooks path_importer_cache meta_path"
).split()


class Ending:
    """Made by the warm parent: what is there now is nobody's, what comes later is the script's."""

    def __init__(self) -> None:
        self._modules = frozenset(sys.modules) - {"__main__"}
        self._last = list(sys.modules)[-1]
        self._loaded = _libraries_loaded()

    def end(self, exit_code: int) -> None:
        """End this process with that code. Returns if only the interpreter knows how to.

        Nothing may hold on to the script's module any more.
        """
        try:
            self._end(exit_code)
        except Exception:
            pass  # something that was not foreseen here, and perhaps is there

    def _end(self, exit_code: int) -> None:
        if sys.version_info < (3, 7):
            return  # before, `threading._shutdown` can be called only once: the interpreter has to
        if _has_threads():
            return  # they are waited for, or cut off at a point that only the interpreter knows
        getattr(threading, "_shutdown")()  # noqa: B009  private; typeshed does not list it
        atexit._run_exitfuncs()
        if _has_threads() or not _flushed():
            return
        if gc.isenabled():
            gc.collect()  # also brings objects into the order in which the next one deletes them
        _forget_specials()
        _delete_modules(self._modules, self._last)
        if not _is_anything_left() and _flushed():
            self._leave(exit_code)

    def _leave(self, exit_code: int) -> None:
        loaded = _libraries_loaded()
        if loaded is not None and loaded == self._loaded:
            ctypes.CDLL(None).fflush(None)
            os._exit(exit_code & 0xFF)
        faulthandler.disable()
        ctypes.PyDLL(None).exit(exit_code)  # a library of the script's may have an end of its own


def code_of(exc: SystemExit) -> Optional[int]:
    """The exit code that it means; None where Python has something to print."""
    if exc.code is None:
        return 0
    return int(exc.code) if isinstance(exc.code, int) and abs(exc.code) < 1 << 31 else None


def _has_threads() -> bool:
    return len(sys._current_frames()) > 1


def _flushed() -> bool:
    """Whether stdout and stderr took everything, as far as there are such things."""
    for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None)):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            return False  # the interpreter meets it again, and says so
    return True


def _forget_specials() -> None:
    for name in _SPECIAL:
        if hasattr(sys, name):
            setattr(sys, name, None)
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__


def _new_modules(kept: FrozenSet[str], last: str) -> List[str]:
    """What the script imported, in order. Names up to the `last` of the parent's are not looked at: counting
    references to each would copy its page."""
    new = ["__main__"] if "__main__" in sys.modules else []
    names = reversed(list(sys.modules)) if sys.version_info < (3, 8) else reversed(sys.modules)
    later = itertools.takewhile(lambda name: name != last, names)
    return new + [name for name in later if name not in kept and name != "__main__"][::-1]


def _delete_modules(kept: FrozenSet[str], last: str) -> None:
    """First their names; then, last one first, the contents of those that something holds on to."""
    deleted: List["weakref.ref[Any]"] = []
    for name in _new_modules(kept, last):
        module = sys.modules[name]
        try:
            deleted.append(weakref.ref(module))
        except TypeError:
            pass  # an object in a module's place, such as cffi's
        sys.modules[name] = None  # type: ignore[assignment]  # as the interpreter does
        del module
    gc.collect()
    for reference in reversed(deleted):
        _clear_if_alive(reference())
    gc.collect()


def _clear_if_alive(module: Any) -> None:
    """Names with one underscore go first, as in the interpreter: what others may need goes last."""
    contents: Dict[str, Any] = module.__dict__ if isinstance(module, types.ModuleType) else {}
    for name in [n for n in contents if n[:1] == "_" and n[1:2] != "_"]:
        contents[name] = None
    for name in [n for n in contents if n != "__builtins__"]:
        contents[name] = None


def _is_anything_left() -> bool:
    """Whether an object of the script's lives on that would do something at its end.

    Those of the parent are frozen: the collector does not list them.
    """
    answers: Dict[type, bool] = {}
    for thing in gc.get_objects():
        kind = type(thing)  # never `isinstance`: a proxy would run code of its own
        kinds: List[type] = [kind, thing] if issubclass(kind, type) else [kind]
        for asked in kinds:
            if asked not in answers:
                answers[asked] = any("__del__" in vars(base) for base in asked.__mro__)
            if answers[asked]:
                return True
    return False


class _Loaded(ctypes.Structure):
    """The start of `struct dl_phdr_info`."""

    _fields_ = [
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("count", ctypes.c_uint16),
        ("loads", ctypes.c_ulonglong),
    ]


def _libraries_loaded() -> Optional[int]:
    """How many shared libraries were loaded so far; None where the system does not tell."""
    found = []  # type: List[int]

    def note(info: Any, size: int, _: Any) -> int:
        if size >= ctypes.sizeof(_Loaded):
            found.append(info.contents.loads)
        return 1  # the first one says it

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(kind(note), None)
    return found[0] if found else None
