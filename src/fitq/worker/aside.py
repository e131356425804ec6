"""Work that may be left to itself when nobody wants its result any more, such as a read that hangs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from fitq.environments.tool import Interrupted

T = TypeVar("T")
_LOOK_SECONDS = 0.25


class Aside(Generic[T]):
    """Enters a context in a thread of its own, so that whoever waits for that can go away.

    Example:
        >>> entered = Aside(lambda unwanted: inputs.held(backend, wanted, unwanted))
        >>> with entered.unless(run_was_canceled) as found:
        ...     use(found)
    """

    def __init__(self, make: Callable[[Callable[[], bool]], AbstractContextManager[T]]) -> None:
        """
        Args:
            make: the context; its argument tells, at any time, whether it is unwanted.
        """
        self._make = make
        self._unwanted, self._deciding = threading.Event(), threading.Lock()
        self._stack = contextlib.ExitStack()
        self._found: list[T] = []
        self._raised: list[BaseException] = []

    @contextlib.contextmanager
    def unless(self, is_over: Callable[[], bool]) -> Iterator[T]:
        """Inside, it is entered.

        Raises:
            Interrupted: `is_over` came first. What is still going on ends when it next asks, and is undone.
        """
        thread = threading.Thread(target=self._enter, name="aside", daemon=True)
        thread.start()
        while thread.is_alive() and not is_over():
            thread.join(_LOOK_SECONDS)
        with self._deciding:
            if not self._found and not self._raised:
                self._unwanted.set()
                raise Interrupted
        if self._raised:
            raise self._raised[0]
        with self._stack:
            yield self._found[0]

    def _enter(self) -> None:
        stack = contextlib.ExitStack()
        try:
            found = stack.enter_context(self._make(self._unwanted.is_set))
        except BaseException as exc:
            self._raised.append(exc)
            return
        with self._deciding:
            if not self._unwanted.is_set():
                self._found.append(found)
                self._stack = stack
                return
        stack.close()
