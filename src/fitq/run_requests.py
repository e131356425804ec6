"""Rules of requests for a run: what is refused of one before anything of the platform is looked at."""

from __future__ import annotations

from fitq import offered_secrets
from fitq.errors import InvalidRequest
from fitq.names import INPUT_REFERENCE, check_name, did_you_mean
from fitq.records import RunRequest
from fitq.units import format_bytes

#: Of the variables that the platform sets, those that a run may set for itself.
_RUNS_OWN_CHOICE = ("FITQ_CAPTURE",)
#: Linux starts no process with a longer argument or variable (MAX_ARG_STRLEN); all of a kind together are
#: held to it, because they are also repeated in SM_… variables.
_WORDS_BYTES = 100 * 1024


def check_request(request: RunRequest) -> None:
    """Refuse a request that no platform could run.

    Raises:
        InvalidRequest: says which field, and what to send instead.
    """
    check_name("experiment", request.experiment)
    kinds = [k for k in ("function", "script", "command") if getattr(request, k) is not None]
    if len(kinds) != 1:
        raise InvalidRequest(
            f"A run needs exactly one of function, script or command; this has {kinds or 'none'}.",
            at="function",
            hint='Send {"function": "iris"} or {"snapshot": "…", "script": "train.py"}.',
        )
    _check_limits(request)
    for registration in request.register:
        check_name("model", registration.name)


def _check_limits(request: RunRequest) -> None:
    if request.timeout_seconds is not None and not request.timeout_seconds > 0:
        raise InvalidRequest("timeout_seconds must be more than 0.", at="timeout_seconds")
    if not 1 <= request.max_attempts <= 100:
        raise InvalidRequest("max_attempts must be 1 to 100.", at="max_attempts")
    for name in ("cpus", "memory_bytes"):
        asked = getattr(request.resources, name)
        if asked is not None and not asked > 0:
            raise InvalidRequest(f"{name} must be more than 0.", at=f"resources.{name}", got=asked)
    for name in request.environment_variables:
        if "=" in name or not name:
            raise InvalidRequest(f"{name!r} is not an environment variable.", at="environment_variables")
        if name.startswith("FITQ_") and name not in _RUNS_OWN_CHOICE:
            raise InvalidRequest(
                f"{name} is set by the platform.", at="environment_variables", hint="Use another name."
            )
    _check_words(request)
    _check_references(request)
    offered_secrets.check_names(request.secrets, request.environment_variables)


def _check_references(request: RunRequest) -> None:
    """`${{inputs.<name>}}` must name an input: an empty path would be found out hours later."""
    words = [request.command or "", *map(str, request.arguments)]
    named = [name for word in words for name in INPUT_REFERENCE.findall(word)]
    for name in named:
        if name not in request.inputs:
            known = did_you_mean(name, request.inputs)
            raise InvalidRequest(
                f"There is no input {name!r}. {known}".strip(),
                at="arguments",
                hint=f'Add "inputs": {{"{name}": "DATA:VERSION"}}, or --input {name}=DATA.',
            )


def _check_words(request: RunRequest) -> None:
    """What the run's process is started with must be something that a process can be started with."""
    variables = [f"{name}={value}" for name, value in request.environment_variables.items()]
    given = {
        "arguments": [str(a) for a in request.arguments],
        "command": [request.command or ""],
        "parameters": [f"--{k} {v}" for k, v in request.parameters.items()] if request.script else [],
        "environment_variables": variables,
    }
    for at, words in given.items():
        if any("\0" in word for word in words):
            raise InvalidRequest(f"{at} cannot hold a NUL character.", at=at)
        if sum(len(word.encode()) for word in words) > _WORDS_BYTES:
            raise InvalidRequest(
                f"{at} may have {format_bytes(_WORDS_BYTES)} in all.",
                at=at,
                hint="Put what is longer into a file of the snapshot.",
            )
