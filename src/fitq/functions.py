"""Training functions as their signature describes them: what they are called with, checked and shown.

How a function becomes one is the decorator's business: `signature.py`.
"""

from __future__ import annotations

import msgspec

from fitq.errors import InvalidParameters, Unavailable
from fitq.names import check_name, did_you_mean
from fitq.records import FunctionRecord, JsonScalar, Parameter
from fitq.signature import facts_of

_ACCEPTS: dict[str, tuple[type, ...]] = {
    "float": (float, int),
    "int": (int,),
    "str": (str,),
    "bool": (bool,),
    "any": (str, int, float, bool, type(None)),
}


def described(target: object) -> FunctionRecord | None:
    """What a decorated function is; None of any other.

    Raises:
        InvalidRequest: it cannot be called so, or there can be no such pool or secret.
    """
    facts = facts_of(target)
    if facts is None:
        return None
    check_name("pool", facts["pool"])
    check_name("function", facts["name"])
    for secret in facts["secrets"]:
        check_name("secret", secret)
    return msgspec.convert(facts, type=FunctionRecord)


def on_its_way(name: str, pool: str) -> Unavailable:
    """What is said of a function that was published and that nobody can run yet."""
    return Unavailable(
        f"Function {name!r} was published, and no worker of pool {pool!r} has taken it over yet.",
        hint="Its environment may have to be built first; try again. Workers: fitq pools list",
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
