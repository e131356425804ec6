"""Training functions: an ordinary typed function, made known by a decorator.

    @function(pool="default")
    def iris(run: RunContext, kernel: str = "rbf", penalty: float = 1.0) -> None: ...

The signature is the contract: command line, HTTP and dashboard show and check it. The decorator only
remembers what the function is; who runs it, and where, is the worker's business.

This file is standard library only and runs on Python 3.6 and later: functions are also listed and called
inside the environments that they ask for.
"""

import inspect
import math
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, TypeVar, get_type_hints, overload

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__fitq_function__"
_TYPES = {float: "float", int: "int", str: "str", bool: "bool"}  # type: Dict[object, str]


@overload
def function(target: F) -> F: ...
@overload
def function(
    *, pool: str = ..., name: Optional[str] = ..., secrets: Sequence[str] = ...
) -> Callable[[F], F]: ...
def function(
    target: Optional[Callable[..., Any]] = None,
    *,
    pool: str = "default",
    name: Optional[str] = None,
    secrets: Sequence[str] = (),
) -> Any:
    """Make a function known as a training function.

    Args:
        pool: whose workers run it.
        name: by which it is called; the function's own name with no argument.
        secrets: names of secrets that each of its runs finds as variables; its pool's workers have them.

    Raises:
        TypeError: its first parameter does not take the run, or one cannot come from JSON.
    """
    if target is None:
        return lambda f: _mark(f, pool, name, secrets)
    return _mark(target, pool, name, secrets)


def _mark(target: F, pool: str, name: Optional[str], secrets: Sequence[str]) -> F:
    setattr(target, _MARK, _facts(target, pool, name, secrets))
    return target


def facts_of(target: object) -> Optional[Dict[str, Any]]:
    """What the decorator remembered of a function, in the fields of a FunctionRecord; None of any other."""
    found = getattr(target, _MARK, None)
    return found if isinstance(found, dict) else None


def _facts(
    target: Callable[..., Any], pool: str, name: Optional[str], secrets: Sequence[str]
) -> Dict[str, Any]:
    title = name or target.__name__
    signature = list(inspect.signature(target).parameters.values())
    if not signature or signature[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise TypeError("training function %r needs a first parameter that takes the run" % title)
    hints = get_type_hints(target)
    module = sys.modules.get(target.__module__)
    return {
        "name": title,
        "pool": pool,
        "parameters": [_parameter(p, hints.get(p.name, Any)) for p in signature[1:]],
        "secrets": list(secrets),
        "description": inspect.cleandoc(target.__doc__ or ""),
        "file": Path(getattr(module, "__file__", None) or "").name,
    }


def _parameter(parameter: inspect.Parameter, hint: Any) -> Dict[str, Any]:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise TypeError("*%s cannot be given from outside; name each parameter" % parameter.name)
    choices = _choices(hint)
    required = parameter.default is inspect.Parameter.empty
    return {
        "name": parameter.name,
        "type": _TYPES.get(type(choices[0]) if choices else hint, "any"),
        "required": required,
        "default": None if required else _plain(parameter.name, parameter.default),
        "choices": choices,
    }


def _choices(hint: Any) -> List[Any]:
    """The values of a Literal, also of the one that typing_extensions has for old Pythons."""
    if type(hint).__name__ == "_Literal":
        return list(hint.__values__)
    if str(getattr(hint, "__origin__", "")).endswith(".Literal"):
        return list(hint.__args__)
    return []


def _plain(name: str, default: Any) -> Any:
    if default is not None and not isinstance(default, (str, int, float)):
        raise TypeError(
            "the default of %s is a %s; give a number, a text, True, False or None"
            % (name, type(default).__name__)
        )
    # JSON has no NaN and no infinity; who calls without the parameter gets them all the same
    return None if isinstance(default, float) and not math.isfinite(default) else default
