"""Each program as one process: from settings to a running server, and how it ends.

`services/*/main.py` and the commands `fitq api`, `fitq worker`, `fitq scoring` all start here.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitq import formats, logs
from fitq.backend import open_backend, open_objects
from fitq.credentials import hide_this_process
from fitq.errors import FitqError, InvalidRequest, Unavailable
from fitq.forks import keep_forks
from fitq.heartbeat import Heartbeat
from fitq.settings import Settings, variable
from fitq.store.keys import ObjectKeys
from fitq.store.protocols import ObjectStore

if TYPE_CHECKING:  # workers and schedulers do without a web server
    import uvicorn

    from fitq.scoring.peers import Peers

#: For requests that have begun when SIGTERM comes.
_SHUTDOWN_SECONDS = 25
#: After SIGTERM, until no process of API or scoring is left. Whoever kills has to wait for longer.
STOP_SECONDS = _SHUTDOWN_SECONDS + 3


def run_api(settings: Settings) -> None:
    """Control plane and dashboard, until SIGTERM or SIGINT."""
    from fitq.api.app import create_app
    from fitq.dashboard.pages import routes

    _begin("api", settings)
    _need_token(settings)
    backend = open_backend(settings)
    _check_format(settings, backend.objects, formats.agree)
    app = create_app(backend, settings, routes(backend, settings))
    server = _server(app, settings, settings.url)
    app.state.is_stopping = lambda: server.should_exit
    _serve(server, settings.api_host, settings.api_port, "api_port")


def run_scoring(settings: Settings) -> None:
    """Scoring, as one process or several on one port, until SIGTERM or SIGINT."""
    from fitq.scoring.peers import Peers
    from fitq.scoring.warm import wanted

    _begin("scoring", settings)
    _need_token(settings)
    wanted(settings.warm_models)  # a name that cannot be one is said now
    _check_format(settings, open_objects(settings), _known)
    host, port, count = settings.scoring_host, settings.scoring_port, settings.scoring_processes
    if count < 1:
        raise InvalidRequest(f"{variable('scoring_processes')} is {count}.", hint="Give 1 or more.")
    with tempfile.TemporaryDirectory(prefix="fitq-scoring-") as folder:
        if count == 1:
            _score(settings, Peers(Path(folder)), _bind(host, port, "scoring_port"))
            return
        _bind(host, port, "scoring_port").close()  # free, and not only for whoever shares it
        with _bind(host, port, "scoring_port", shared=True):  # ours, also while no process listens
            keep_forks(
                count,
                lambda number: _score(
                    settings,
                    Peers(Path(folder), number, count),
                    _bind(host, port, "scoring_port", shared=True),
                ),
                stop_seconds=STOP_SECONDS,
            )


def _score(settings: Settings, peers: Peers, listening: socket.socket) -> None:
    """One process of scoring."""
    from fitq.onewrite import OneWriteProtocol
    from fitq.scoring.app import create_app

    app = create_app(settings, open_objects(settings), peers, lambda: server.should_exit)
    # nothing here asks for the address or the scheme that a proxy saw
    server = _server(app, settings, settings.scoring_url, OneWriteProtocol, proxy_headers=False)
    server.run(sockets=[listening, *peers.listen()])


def run_worker(settings: Settings) -> None:
    """One worker process of one pool, until SIGTERM or SIGINT."""
    from fitq.worker.main import build
    from fitq.worker.vault import take_from

    _begin("worker", settings)
    secrets = take_from(os.environ)
    _check_format(settings, open_objects(settings), formats.agree)
    build(settings, secrets).run()


def run_scheduler(settings: Settings) -> None:
    """One scheduler, until SIGTERM or SIGINT. Several may run; one leads."""
    from fitq.scheduler.main import Scheduler

    _begin("scheduler", settings)
    backend = open_backend(settings)
    _check_format(settings, backend.objects, formats.agree)
    Scheduler(backend, settings.lease_seconds, Heartbeat(settings.heartbeat)).run()


def exit_code_of(program: Callable[[Settings], None], settings: Settings | Mapping[str, str]) -> int:
    """Run a program with its settings, or with the variables that hold them; a refusal, of a bad setting
    too, becomes one sentence and exit code 2 or 3."""
    try:
        program(settings if isinstance(settings, Settings) else Settings.from_environment(settings))
    except FitqError as exc:
        logs.get_logger(__name__).error("program_refused", error=exc.message, hint=exc.hint)
        return 3 if exc.status == 503 else 2
    return 0


def _begin(program: str, settings: Settings) -> None:
    hide_this_process()
    logs.configure(program, level=settings.log_level, format=settings.log_format)


def _check_format(
    settings: Settings, objects: ObjectStore, look: Callable[[ObjectStore, ObjectKeys], object]
) -> None:
    """Stop before anything is written where a newer version has been at work."""
    try:
        look(objects, ObjectKeys(settings.workspace))
    except Unavailable as exc:  # nothing can be written either, and whoever waits for it says so
        logs.get_logger(__name__).warning("format_not_checked", error=exc.message)


def _known(objects: ObjectStore, keys: ObjectKeys) -> None:
    """Scoring may only read."""
    if (found := formats.read(objects, keys)) is not None:
        formats.check(found)


def _need_token(settings: Settings) -> None:
    if not settings.token:
        raise InvalidRequest(
            f"{variable('token')} is not set: everybody could do everything.",
            hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


def _server(
    app: object, settings: Settings, url: str, protocol: Callable[..., Any] | None = None, **options: Any
) -> uvicorn.Server:
    import uvicorn

    from fitq.connections import BoundedProtocol, Limits, most_connections
    from fitq.draining import DrainingServer

    limits = Limits(settings.client_seconds, most_connections(), url)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI app; uvicorn's alias is not exported
        http=functools.partial(protocol or BoundedProtocol, limits=limits),  # type: ignore[arg-type]  # makes one
        ws="none",
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        **options,
    )
    return DrainingServer(config, limits)


def _serve(server: uvicorn.Server, host: str, port: int, setting: str) -> None:
    """Answer until SIGTERM, and then what has begun."""
    server.run(sockets=[_bind(host, port, setting)])


def _bind(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """An address to listen at, or a sentence instead of a traceback; `shared` with others that share it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as exc:
        taken = exc.errno == errno.EADDRINUSE
        raise InvalidRequest(
            f"Port {port} of {host} is already in use."
            if taken
            else f"Cannot listen on {host}:{port}: {exc}",
            hint=f"Stop what uses it, or set {variable(setting)} to another port.",
        ) from exc
    return bound
