"""Training functions: an ordinary typed function, made known by a decorator.

    @function(pool="default")
    def iris(run: RunContext, kernel: str = "rbf", penalty: float = 1.0) -> None: ...

The signature is the contract: command line, HTTP and dashboard show and check it. The decorator only
remembers the function; who runs it, and where, is the worker's business.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints, overload

from fitq.errors import InvalidParameters
from fitq.names import check_name, did_you_mean
from fitq.records import FunctionRecord, JsonScalar, Parameter

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__fitq_function__"
_TYPES: dict[object, str] = {float: "float", int: "int", str: "str", bool: "bool"}
_ACCEPTS: dict[str, tuple[type, ...]] = {
    "float": (float, int),
    "int": (int,),
    "str": (str,),
    "bool": (bool,),
    "any": (str, int, float, bool, type(None)),
}


@overload
def function(target: F) -> F: ...
@overload
def function(
    *, pool: str = ..., name: str | None = ..., secrets: Sequence[str] = ...
) -> Callable[[F], F]: ...
def function(
    target: Callable[..., Any] | None = None,
    *,
    pool: str = "default",
    name: str | None = None,
    secrets: Sequence[str] = (),
) -> Any:
    """Make a function known as a training function.

    Args:
        pool: whose workers run it.
        name: by which it is called; the function's own name with no argument.
        secrets: names of secrets that each of its runs finds as variables; its pool's workers have them.
    """
    if target is None:
        return lambda f: _mark(f, pool, name, secrets)
    return _mark(target, pool, name, secrets)


def _mark(target: F, pool: str, name: str | None, secrets: Sequence[str]) -> F:
    setattr(target, _MARK, describe(target, pool=pool, name=name, secrets=secrets))
    return target


def describe(
    target: Callable[..., Any], *, pool: str, name: str | None = None, secrets: Sequence[str] = ()
) -> FunctionRecord:
    """What a function's signature promises.

    Raises:
        TypeError: its first parameter does not take the run, or one cannot come from JSON.
    """
    title = name or target.__name__
    signature = list(inspect.signature(target).parameters.values())
    if not signature or signature[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise TypeError(f"training function {title!r} needs a first parameter that takes the run")
    hints = get_type_hints(target)
    return FunctionRecord(
        name=check_name("function", title),
        pool=check_name("pool", pool),
        parameters=[_parameter(p, hints.get(p.name, Any)) for p in signature[1:]],
        secrets=[check_name("secret", secret) for secret in secrets],
        description=inspect.cleandoc(target.__doc__ or ""),
        file=Path(sys.modules[target.__module__].__file__ or "").name
        if target.__module__ in sys.modules
        else "",
    )


def described(target: object) -> FunctionRecord | None:
    """The record that `function` left on a decorated function."""
    found = getattr(target, _MARK, None)
    return found if isinstance(found, FunctionRecord) else None


def _parameter(parameter: inspect.Parameter, hint: object) -> Parameter:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise TypeError(f"*{parameter.name} cannot be given from outside; name each parameter")
    choices: list[JsonScalar] = []
    if get_origin(hint) is Literal:
        choices = list(get_args(hint))
        hint = type(choices[0])
    required = parameter.default is inspect.Parameter.empty
    return Parameter(
        name=parameter.name,
        type=_TYPES.get(hint, "any"),
        required=required,
        default=None if required else parameter.default,
        choices=choices,
    )


def check_parameters(function: FunctionRecord, given: dict[str, JsonScalar]) -> dict[str, JsonScalar]:
    """The given parameters, if the function takes them; integers become floats where it says float.

    Raises:
        InvalidParameters: names every wrong, unknown or missing parameter.
    """
    known = {p.name: p for p in function.parameters}
    wrong = [f"{n!r} is unknown. {did_you_mean(n, known)}".strip() for n in given if n not in known]
    wrong += [f"{n!r} is missing" for n, p in known.items() if p.required and n not in given]
    wrong += [m for n, v in given.items() if n in known and (m := _complaint(known[n], v))]
    if wrong:
        raise InvalidParameters(
            f"Function {function.name!r} does not take these parameters: {_sentence(wrong)}",
            hint=f"It takes ({signature_text(function)}).",
            at=[n for n in (*given, *known) if any(m.startswith(repr(n)) for m in wrong)],
            expected=signature_text(function),
            got=given,
        )
    return {n: _widened(known[n], v) for n, v in given.items()}


def _sentence(parts: list[str]) -> str:
    """Parts as one sentence, of which the last may already end in a question mark."""
    text = "; ".join(parts)
    return text if text.endswith("?") else f"{text}."


def _widened(parameter: Parameter, value: JsonScalar) -> JsonScalar:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if parameter.type == "float" and is_number else value  # type: ignore[arg-type]  # an int, by the line above


def _complaint(parameter: Parameter, value: JsonScalar) -> str:
    if parameter.choices and value not in parameter.choices:
        return f"{parameter.name!r} must be one of {parameter.choices}, not {value!r}"
    accepted = _ACCEPTS[parameter.type]
    optional = value is None and not parameter.required and parameter.default is None
    wrong_bool = isinstance(value, bool) and parameter.type in ("int", "float")
    if optional or (isinstance(value, accepted) and not wrong_bool):
        return ""
    return f"{parameter.name!r} must be {parameter.type}, not {value!r}"


def signature_text(function: FunctionRecord) -> str:
    """`kernel: str = 'rbf', penalty: float = 1.0`."""
    return ", ".join(
        f"{p.name}: {p.type}" + ("" if p.required else f" = {p.default!r}") for p in function.parameters
    )


def parse_parameter(function: FunctionRecord, name: str, text: str) -> JsonScalar:
    """A parameter typed on a command line, as the type the function declares; text if unknown."""
    kind = next((p.type for p in function.parameters if p.name == name), "str")
    try:
        if kind == "int":
            return int(text)
        if kind == "float":
            return float(text)
    except ValueError:
        return text  # the check names it, with the type it should have
    if kind == "bool" and text.lower() in ("true", "false", "1", "0", "yes", "no"):
        return text.lower() in ("true", "1", "yes")
    return text
