"""Read run parameters: check the given values against the declarations of the flow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from aetherflow.errors import UsageError
from aetherflow.redaction import names_a_secret
from aetherflow.spec.flow import ParamSpec
from aetherflow.spec.suggest import did_you_mean
from aetherflow.spec.yaml_scalars import scalar_value

_CODE = "AF560"


class UnfitValue(ValueError):
    """A value is not what its parameter is declared as.

    Attributes:
        wanted: what it must be; the message also says what it is, if that is short.
    """

    def __init__(self, wanted: str, shown: str = "") -> None:
        super().__init__(f"{wanted}, not {shown}" if shown else wanted)
        self.wanted = wanted


def described(name: str, error: UnfitValue) -> str:
    """Return what a parameter must be, and what it is unless it is named like a secret."""
    return error.wanted if names_a_secret(name) else str(error)


def read_params(
    specs: Mapping[str, ParamSpec], given: Mapping[str, Any], *, require: bool = True
) -> dict[str, Any]:
    """Return a value for every declared parameter: as given, else its default, else null.

    Dates and times become text in ISO 8601, as they are stored. Texts are converted to the declared type.

    Raises:
        UsageError: unknown, missing or unfit parameters; all of them are named.
    """
    problems: list[str] = []
    for name in given:
        if name not in specs:
            known = did_you_mean(name, specs) or (
                f"it has {', '.join(specs)}" if specs else "it declares none"
            )
            problems.append(f"the flow has no parameter {name!r}: {known}")
    values: dict[str, Any] = {}
    for name, spec in specs.items():
        value = given.get(name)
        if value is None:  # null in a scheduler file means the same as no value
            value = spec.default
        if value is None:
            if spec.required and require:
                problems.append(_missing(name, spec))
            values[name] = None
            continue
        try:
            values[name] = convert(spec, value)
        except UnfitValue as error:
            problems.append(f"the parameter {name!r} must be {described(name, error)}")
    if problems:
        raise UsageError("; ".join(problems), code=_CODE)
    return values


def require_params(specs: Mapping[str, ParamSpec], params: Mapping[str, Any]) -> None:
    """Check that every required parameter has a value, of those that `read_params` returned.

    Raises:
        UsageError: some have none; all of them are named.
    """
    if missing := [
        _missing(name, spec) for name, spec in specs.items() if spec.required and params[name] is None
    ]:
        raise UsageError("; ".join(missing), code=_CODE)


def _missing(name: str, spec: ParamSpec) -> str:
    return f"the parameter {name!r} is required ({spec.type}): --param {name}=VALUE"


def convert(spec: ParamSpec, value: Any) -> Any:
    """Return the value as the declared type.

    Raises:
        UnfitValue: it has another type; the message says what is needed.
    """
    converted = _CONVERSIONS[spec.type](value)
    try:
        msgspec.json.encode(converted)  # stored as UTF-8: other text would come back changed
    except UnicodeEncodeError:
        raise UnfitValue("text in UTF-8", repr(value)) from None
    if not spec.enum:
        return converted
    for option in spec.enum:
        if _string(_as_type(spec, option)) == _string(converted):
            return option if spec.type == "enum" else converted
    raise UnfitValue(f"one of {', '.join(map(_string, spec.enum))}", repr(value))


def _as_type(spec: ParamSpec, option: Any) -> Any:
    try:
        return _CONVERSIONS[spec.type](option)
    except UnfitValue:
        return option


def _string(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _scalar(text: str) -> Any:
    """Return what YAML reads a text as: a number such as 0x1F, which Python spells otherwise."""
    try:
        return scalar_value(text.strip())
    except ValueError:
        return text


def _whole(text: str) -> int:
    number = _scalar(text)
    return number if type(number) is int else int(text)


def _finite(text: str) -> float:
    number = _scalar(text)
    number = float(number if type(number) in (int, float) else text)
    if not math.isfinite(number):  # runs are stored as JSON, which has neither infinity nor NaN
        raise ValueError(text)
    return number


def _parsed(parse: Callable[[str], Any], wanted: str) -> Callable[[Any], Any]:
    """Return a conversion by way of the text of a value: `True` is no whole number here."""

    def convert_text(value: Any) -> Any:
        try:
            return parse(str(value))
        except (ValueError, KeyError):
            raise UnfitValue(wanted, repr(value)) from None

    return convert_text


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        scalar = _scalar(value)  # a number or truth that a file spells otherwise than JSON: 007, True
        if isinstance(scalar, bool) or (isinstance(scalar, int | float) and math.isfinite(scalar)):
            return scalar
        raise UnfitValue(f"JSON ({error})") from None


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "int": _parsed(_whole, "a whole number"),
    "float": _parsed(_finite, "a number"),
    "bool": _parsed(lambda text: _TRUTH[text.lower()], "true or false"),
    "date": _parsed(lambda text: date.fromisoformat(text).isoformat(), "a date such as 2026-01-31"),
    "datetime": _parsed(
        lambda text: datetime.fromisoformat(text).isoformat(), "a time such as 2026-01-31T22:00:00+01:00"
    ),
    "json": _json,
    "enum": lambda value: value,
}
