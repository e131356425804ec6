"""Logs as events with fields. Programs call `configure` once; library code only calls `get_logger`."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import structlog
from structlog.typing import FilteringBoundLogger

get_logger = structlog.get_logger


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what stderr is at the moment: whoever replaced it meanwhile gets the lines."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)  # its own would keep the stderr of now

    @property
    def stream(self) -> Any:
        return sys.stderr


class _Sink(NamedTuple):
    """Where lines go that are written without structlog, and in which words."""

    program: str
    handler: logging.StreamHandler[Any]
    format: str
    is_told: bool  #: whether events of level info are wanted


_sink: _Sink | None = None


def configure(program: str, *, level: str = "info", format: str = "text") -> None:
    """Send our events and other libraries' records to stderr, as lines for people or as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if format == "json" else _unchanged,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # the default prints local variables: rows and secrets among them
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line per request is ours to write; these repeat it.
    for noisy in ("uvicorn.access", "httpx2", "httpcore2", "urllib3", "sse_starlette"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(program=program)
    global _sink
    is_told = logging.getLevelName(level.upper()) <= logging.INFO
    _sink = None if sys.stderr.isatty() else _Sink(program, handler, format, is_told)


def tell(event: str, told: Iterable[tuple[float, dict[str, Any]]]) -> None:
    """Many events of one kind, as `get_logger().info(event, **fields)` writes them, but in one write.

    Args:
        told: for each its time, in seconds since 1970, and its fields.
    """
    if _sink is None:
        for _, fields in told:
            get_logger(__name__).info(event, **fields)
    elif _sink.is_told:
        line = _json_line if _sink.format == "json" else _text_line
        text = "".join([line(at, event, fields, _sink.program) for at, fields in told])
        with _sink.handler.lock or contextlib.nullcontext():
            _sink.handler.stream.write(text)
            _sink.handler.flush()


def _text_line(at: float, event: str, fields: dict[str, Any], program: str) -> str:
    # asked of a million values a minute: a call for each would show
    shown = " ".join(
        [f"{k}={v!r}" if type(v) is str and (" " in v or "=" in v) else f"{k}={v}" for k, v in fields.items()]
    )
    return f"{_iso(at)} [info     ] {event:<30} {shown} program={program}\n"


def _json_line(at: float, event: str, fields: dict[str, Any], program: str) -> str:
    told = {**fields, "program": program, "event": event, "level": "info", "timestamp": _iso(at)}
    return json.dumps(told) + "\n"


def _iso(at: float) -> str:
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1_000_000):06d}Z"


@functools.lru_cache(maxsize=4)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _unchanged(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return event


__all__ = ["FilteringBoundLogger", "configure", "get_logger", "tell"]
