"""What `fitq_capture` and `fitq_scores` watch methods with. Standard library only, any Python ≥ 3.6."""

import types
from typing import Any


class Watched(object):
    """Stands in a class in the place of its method, or of what decides whether there is one, and hands that
    out. `watcher.expect(instance)` is told that somebody has looked it up, two frames above."""

    def __init__(self, method: Any, watcher: Any) -> None:
        self._method, self._watcher = method, watcher
        self.__doc__ = method.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        found = self._method.__get__(instance, owner)
        if instance is not None:
            self._watcher.expect(instance)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)


def first_argument(frame: types.FrameType) -> Any:
    """Of a frame that has just begun, and of a method: the estimator."""
    code = frame.f_code
    return frame.f_locals[code.co_varnames[0]] if code.co_argcount else None
