"""Remembers what `score` of an estimator answered to a script; a part of `fitq_capture`, in the same way.

A descriptor in the place of the method hands out the very method that was there. A profile function sees its
frame begin and return, and lives no longer than that. Standard library only, any Python ≥ 3.6.
"""

import importlib
import sys
import types
import weakref
from typing import Any, Callable, List, Optional, Set, Tuple

_watching = importlib.import_module("fitq_watching")
_EVENTS = 100000  #: of the profile function in a whole process: about 0.05 s
_KEPT = 20


class Scores(object):
    """What one process was told by `score`, the latest at the end."""

    def __init__(self, is_of_the_script: Callable[[types.FrameType], bool]) -> None:
        self._is_of_the_script = is_of_the_script
        self._watched: List[Tuple[Any, Any]] = []  # classes, and their own `score`
        self._codes: Set[types.CodeType] = set()
        self._expected: Optional[Tuple[Any, types.FrameType]] = None  # estimator, who looked its `score` up
        self._running: Optional[types.FrameType] = None
        self._told: List[Tuple[Any, float]] = []
        self._events = _EVENTS

    def watch(self, one: Any, packages: Tuple[str, ...]) -> None:
        """Put descriptors in place in a class and in those that it has `score` from."""
        for base in one.__mro__:
            method = vars(base).get("score")
            if isinstance(method, _watching.Watched):
                continue
            function = getattr(method, "fn", method)  # of `available_if`
            if isinstance(function, types.FunctionType) and base.__module__.partition(".")[0] in packages:
                base.score = _watching.Watched(method, self)
                self._watched.append((base, method))
                self._codes.add(function.__code__)

    def leave(self) -> None:
        """Take the descriptors away."""
        for one, method in self._watched:
            one.score = method
        self._watched = []

    def of(self, model: Any) -> List[float]:
        """What it answered."""
        return [score for found, score in self._told if found() is model]

    @property
    def is_watching(self) -> bool:
        """Whether the profile function is ours."""
        return self._expected is not None

    def expect(self, instance: Any) -> None:
        """Somebody has looked up `score`: its call may follow."""
        try:
            caller = sys._getframe(2)
            is_free = sys.getprofile() is None or self.is_watching and self._running is None
            if is_free and self._events > 0 and self._is_of_the_script(caller):
                self._expected = instance, caller
                sys.setprofile(self._on_event)
        except Exception:
            pass

    def resume(self) -> None:
        """Go on where `fit`, in the arguments of `score`, was watched meanwhile; else nothing is watched."""
        sys.setprofile(self._on_event if self.is_watching else None)

    def _stop(self) -> None:
        self._expected = self._running = None
        sys.setprofile(None)

    def _on_event(self, frame: types.FrameType, event: str, value: Any) -> None:
        self._events -= 1
        if self._expected is None or self._events <= 0:
            self._stop()
        elif self._running is None:
            if (
                event == "call"
                and frame.f_code in self._codes
                and _watching.first_argument(frame) is self._expected[0]
            ):
                self._running = frame
            elif event == "return" and frame is self._expected[1]:
                self._stop()
        elif event == "return" and frame is self._running:
            instance = self._expected[0]
            self._stop()
            self._keep(instance, value)

    def _keep(self, instance: Any, value: Any) -> None:
        try:
            self._told = self._told[1 - _KEPT :] + [(weakref.ref(instance), float(value))]
        except (TypeError, ValueError):  # it raised, or is no number
            pass
