"""Every way fitq says no, as one tree.

    FitqError
    ├── InvalidRequest            400  the request's JSON, a field or a name is wrong
    │   ├── InvalidParameters     400  a training function does not take these parameters
    │   ├── UnsafeSnapshot        400  a snapshot would leave its folder
    │   ├── InputRejected         400  rows do not fit the model's input schema
    │   ├── RequestIdTooLong      431  the caller's request id has more than 100 characters
    │   └── HeadTooLarge          431  the request's headers are over their limit
    ├── Unauthorized              401  no token, or not a valid one
    ├── Forbidden                 403  a valid token, but not for this
    ├── NotFound                  404  the thing named does not exist
    ├── MethodNotAllowed          405  the address exists, the verb does not
    ├── TooSlow                   408  a request did not arrive in time
    ├── Conflict                  409  the thing is in another state than the request assumes
    ├── Outdated                  412  the thing was changed since the revision that the request names
    ├── TooLarge                  413  a body, snapshot or answer is over its limit
    ├── UnsupportedMediaType      415  the body is in a format that is not understood here
    │   └── CompressedBody        415  the body says to be compressed
    ├── ModelUnusable             422  the file is not a model that fitq can serve
    ├── TooManyRequests           429  more requests wait for a model than may
    ├── RunFailed                  –   a run that was waited for did not complete (SDK only)
    ├── InternalError             500  our bug; the log has the trace
    ├── ScoringFailed             500  the model itself raised while predicting
    ├── Unavailable               503  wait and try again: a store is away, a model is loading
    ├── EnvironmentFailed         422  the packages cannot be had as they are asked for
    ├── EnvironmentPostponed      503  the packages cannot be had now: no index, no disk space
    ├── SecretUnavailable         422  the worker cannot give the run a secret that it names
    └── ModelUnhealthy            503  the model does not answer here as when it was registered

An error carries a stable `code`, an HTTP `status`, a `hint` that says what to do next, and any data
that helps (`expected`, `got`, `at`, …). `to_body` is the one error body of every program, and
`from_body` turns such a body back into the same class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self


class FitqError(Exception):
    """Something fitq refuses or cannot do."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    hint: str = ""

    def __init__(self, message: str | None = None, *, hint: str | None = None, **data: Any) -> None:
        self.message = message or (self.__doc__ or "").split("\n", 1)[0]
        if hint is not None:
            self.hint = hint
        self.data = data
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def to_body(self, request_id: str = "") -> dict[str, Any]:
        """The flat JSON body of an answer that is not 2xx."""
        body = {"message": self.message, "code": self.code, "hint": self.hint}
        return {**self.data, **body, "request_id": request_id}


class InvalidRequest(FitqError):
    """The request is not one that fitq understands."""

    code = "invalid_request"
    status = 400


class InvalidParameters(InvalidRequest):
    """The function does not take these parameters."""

    code = "invalid_parameters"


class UnsafeSnapshot(InvalidRequest):
    """The snapshot holds a member that may not be unpacked."""

    code = "unsafe_snapshot"
    hint = "A snapshot is a gzip tar of regular files and folders below its root."


class InputRejected(InvalidRequest):
    """The rows do not fit the model's input schema."""

    code = "input_rejected"


class RequestIdTooLong(InvalidRequest):
    """The request id is longer than 100 characters."""

    code = "request_id_too_long"
    status = 431


class HeadTooLarge(InvalidRequest):
    """The head of the request is over its limit."""

    code = "head_too_large"
    status = 431


class Unauthorized(FitqError):
    """A valid token is needed."""

    code = "unauthorized"
    status = 401
    hint = (
        "Send 'Authorization: Bearer <token>'; "
        "on this machine the token is in .fitq/config.json or FITQ_TOKEN."
    )


class Forbidden(FitqError):
    """This token does not open that."""

    code = "forbidden"
    status = 403


class NotFound(FitqError):
    """There is nothing by that name."""

    code = "not_found"
    status = 404


class MethodNotAllowed(FitqError):
    """Method not allowed"""

    code = "method_not_allowed"
    status = 405


class TooSlow(FitqError):
    """The request did not arrive in time."""

    code = "too_slow"
    status = 408


class Conflict(FitqError):
    """The thing is in another state than the request assumes."""

    code = "conflict"
    status = 409


class Outdated(FitqError):
    """The thing was changed since it was read."""

    code = "outdated"
    status = 412
    hint = "Read it again, and decide again."


class TooLarge(FitqError):
    """The body is over its limit."""

    code = "too_large"
    status = 413


class UnsupportedMediaType(FitqError):
    """Expects Content-Type to be application/json"""

    code = "unsupported_media_type"
    status = 415


class CompressedBody(UnsupportedMediaType):
    """A compressed body is not read."""

    code = "compressed_body"
    hint = "Send it as it is, without Content-Encoding."

    @classmethod
    def of(cls, coding: str) -> Self:
        """With what the request says of its body."""
        place = {"at": "header content-encoding", "expected": "identity, or no such header"}
        return cls(got=coding[:100], **place)


class ModelUnusable(FitqError):
    """The file is not a model that fitq can serve."""

    code = "model_unusable"
    status = 422


class TooManyRequests(FitqError):
    """More requests wait than may."""

    code = "too_many_requests"
    status = 429
    hint = "Send fewer at once. The header Retry-After says when to try again."


class RunFailed(FitqError):
    """The run did not complete."""

    code = "run_failed"


class InternalError(FitqError):
    """An unexpected error occurred on our side."""

    code = "internal_error"
    hint = "The server's log has the details under this request_id."


class ScoringFailed(FitqError):
    """The model raised while predicting."""

    code = "scoring_failed"


class Unavailable(FitqError):
    """A part of the platform is not reachable at the moment."""

    code = "unavailable"
    status = 503
    hint = "Nothing was lost. Try again in a few seconds."


class EnvironmentFailed(FitqError):
    """The environment cannot be built as it is asked for."""

    code = "environment_failed"
    status = 422


class EnvironmentPostponed(FitqError):
    """The environment cannot be built here at the moment."""

    code = "environment_postponed"
    status = 503


class SecretUnavailable(FitqError):
    """The worker cannot give the run a secret that it names."""

    code = "secret_unavailable"
    status = 422


class ModelUnhealthy(FitqError):
    """The model does not answer here as it did when it was registered."""

    code = "model_unhealthy"
    status = 503


def _tree(base: type[FitqError]) -> list[type[FitqError]]:
    """The classes drawn above; a client's own subclasses, Azure's names for them, never travel."""
    ours = (child for child in base.__subclasses__() if child.__module__ == __name__)
    return [base, *(found for child in ours for found in _tree(child))]


def from_body(status: int, body: Mapping[str, Any]) -> FitqError:
    """The error that an HTTP answer carries, as the class its `code` names.

    Args:
        status: HTTP status, used when the body has no code that we know.
        body: the decoded JSON body; anything with a `message`.
    """
    kinds = {kind.code: kind for kind in _tree(FitqError)}
    by_status = {kind.status: kind for kind in reversed(_tree(FitqError))}
    kind = kinds.get(str(body.get("code"))) or by_status.get(status, FitqError)
    data = {k: v for k, v in body.items() if k not in ("message", "hint", "code")}
    message = str(body.get("message") or f"The server answered {status}.")
    return kind(message, hint=str(body.get("hint") or ""), **data)
