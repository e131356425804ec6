"""Keeps the figures that a script shows, or leaves open, where nobody can look at a window.

Runs draw with Agg, and its `plt.show()` only warns. Where capture is on, `show` writes each open figure that
is new or was changed since it was last shown, and says nothing; at exit so are figures that were never shown,
unless the script left a picture in its outputs.

    <FITQ_RUN_FOLDER>/captured/figure-1.png, figure-2.png, …

A script finds its figures as open after `show` as before. Nothing here raises. Any Python ≥ 3.6.
"""

import atexit
import functools
import hashlib
import importlib.machinery
import io
import os
import sys
import time
import warnings
from typing import Any, Optional

_PYPLOT = "matplotlib.pyplot"
_FIGURES = 50  #: kept of one run
_FIGURE_BYTES = 20000000
_SECONDS_AT_EXIT = 10.0  #: for figures that nobody asked to see
_PICTURES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".eps", ".webp", ".gif")


def install(folder: str, outputs: Optional[str]) -> None:
    """Keep figures of this process from now on; processes that it starts do not."""
    figures = Figures(folder, outputs)
    if _PYPLOT in sys.modules:
        figures.watch(sys.modules[_PYPLOT])
    else:
        sys.meta_path.insert(0, _Waiting(figures))


class _Waiting(object):
    """A finder that finds one module, and has its `show` replaced when it was loaded."""

    def __init__(self, figures: "Figures") -> None:
        self._figures = figures

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _PYPLOT:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            loader = spec.loader  # type: Any
            usual = loader.exec_module

            def exec_module(module: Any) -> None:
                usual(module)
                self._figures.watch(module)

            loader.exec_module = exec_module
        return spec


class Figures(object):
    """The figures of one process."""

    def __init__(self, folder: str, outputs: Optional[str]) -> None:
        self._folder, self._outputs, self._pid = folder, outputs, os.getpid()
        self._count = 0
        self._shown = {}  # type: dict[int, str]  # number of a figure → hash of the picture that was kept

    def watch(self, pyplot: Any) -> None:
        """Stand in the place of `show`."""
        try:
            self._pyplot, usual = pyplot, pyplot.show
            atexit.register(self.at_exit)
        except Exception:
            return

        @functools.wraps(usual)
        def show(*given: Any, **named: Any) -> Any:
            if os.getpid() != self._pid or not self._is_agg():
                return usual(*given, **named)
            self.keep(time.time() + 3600)
            return None

        pyplot.show = show

    def _is_agg(self) -> bool:
        """Not where a script chose a backend that shows, or writes, in its own way."""
        try:
            return str(self._pyplot.get_backend()).lower() == "agg"
        except Exception:
            return False

    def keep(self, until: float, may_have_been_shown: bool = True) -> None:
        """Write the open figures whose picture is new."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                current = self._pyplot.get_fignums()
                for number in current:
                    if time.time() < until and (may_have_been_shown or number not in self._shown):
                        self._keep(number)
        except Exception:
            pass

    def _keep(self, number: int) -> None:
        if self._count >= _FIGURES:
            return
        picture = io.BytesIO()
        manager = sys.modules["matplotlib._pylab_helpers"].Gcf.figs[number]
        manager.canvas.figure.savefig(picture, format="png")
        data = picture.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        if self._shown.get(number) == digest or len(data) > _FIGURE_BYTES:
            return
        self._shown[number] = digest
        self._count += 1
        if not os.path.isdir(self._folder):
            os.makedirs(self._folder)
        with open(os.path.join(self._folder, "figure-%d.png" % self._count), "wb") as file:
            file.write(data)

    def at_exit(self) -> None:
        """Keep what was drawn and neither shown nor saved."""
        if os.getpid() == self._pid and self._is_agg() and not _has_picture(self._outputs):
            self.keep(time.time() + _SECONDS_AT_EXIT, may_have_been_shown=False)


def _has_picture(outputs: Optional[str]) -> bool:
    return any(
        name.lower().endswith(_PICTURES) for _, _, names in os.walk(outputs or os.devnull) for name in names
    )
