"""Find what is wrong with the declaration of a run parameter, its default included."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from aetherflow.config.param_pattern import pattern_problem
from aetherflow.config.param_values import (
    UnfitValue,
    bound_of,
    convert,
    described,
    measure_of_bound,
)
from aetherflow.spec.flow import ParamSpec, ParamType

_DEFAULT = "AF560"
_DECLARATION = "AF563"
_INSTEAD: dict[ParamType, str] = {
    "date": "write today, yesterday or today-1d",
    "datetime": "where params.NAME is read, {{run.scheduled_at}} can be",
}
_WITH_PATTERN: tuple[ParamType, ...] = ("string", "list")
_WITHOUT_BOUNDS: tuple[ParamType, ...] = ("bool", "json", "enum")


class Misdeclared(msgspec.Struct, frozen=True):
    """One thing that is wrong: below which key of the declaration, and what to do."""

    where: tuple[str | int, ...]
    code: str
    message: str
    hint: str


def wrong_declarations(name: str, spec: ParamSpec) -> Iterator[Misdeclared]:
    """Yield what is wrong with a declaration; a default is checked against the rest if that is right."""
    found = [*_of_pattern(name, spec), *_of_bounds(name, spec)]
    alone = replace(spec, pattern=None, min=None, max=None) if found else spec
    found += _of_enum(name, alone)
    yield from found
    if spec.default is None or spec.default is msgspec.UNSET:
        return
    fitting = replace(alone, enum=[]) if any(one.where[0] == "enum" for one in found) else alone
    try:
        convert(fitting, spec.default)
    except UnfitValue as error:
        message = f"the default of the parameter {name!r} must be {described(name, error)}"
        has_template = isinstance(spec.default, str) and "{{" in spec.default
        hint = f"a default holds no templates; {_INSTEAD.get(spec.type, 'write the value')}"
        yield Misdeclared(
            ("default",), _DEFAULT, message, hint if has_template else "correct it, or the type"
        )


def _of_pattern(name: str, spec: ParamSpec) -> Iterator[Misdeclared]:
    if spec.pattern is None:
        return
    if spec.type not in _WITH_PATTERN:
        message = f"the parameter {name!r} is of type {spec.type}, which has no pattern"
        yield Misdeclared(
            ("pattern",), _DECLARATION, message, f"a pattern is for {' and '.join(_WITH_PATTERN)}"
        )
    elif problem := pattern_problem(spec.pattern):
        message = f"the pattern of the parameter {name!r} {problem}"
        hint = "write a regular expression for the whole value, such as [a-z]{2}[0-9]+"
        yield Misdeclared(("pattern",), _DECLARATION, message, hint)


def _of_bounds(name: str, spec: ParamSpec) -> Iterator[Misdeclared]:
    bounds = {}
    for key, bound in (("min", spec.min), ("max", spec.max)):
        if bound is None:
            continue
        if spec.type in _WITHOUT_BOUNDS:
            message = f"the parameter {name!r} is of type {spec.type}, which has no {key}"
            yield Misdeclared((key,), _DECLARATION, message, f"remove {key}, or list the values in enum")
            continue
        try:
            bounds[key] = measure_of_bound(spec.type, bound_of(spec.type, bound))
        except UnfitValue as error:
            message = f"{key} of the parameter {name!r} must be {error}"
            yield Misdeclared((key,), _DECLARATION, message, "correct it, or the type")
    if len(bounds) == 2:  # noqa: PLR2004 - both
        try:
            is_empty = bounds["min"] > bounds["max"]
        except TypeError:
            message = f"min and max of the parameter {name!r}: one has an offset, the other one has none"
            yield Misdeclared(("max",), _DECLARATION, message, "write both with an offset, or both without")
        else:
            if is_empty:
                message = f"the parameter {name!r} can have no value: min is more than max"
                yield Misdeclared(("min",), _DECLARATION, message, "swap the two, or correct one")


def _of_enum(name: str, spec: ParamSpec) -> Iterator[Misdeclared]:
    if spec.type == "enum" and not spec.enum:
        message = f"the parameter {name!r} is of type enum, but lists no values"
        yield Misdeclared(("type",), _DECLARATION, message, "add enum: [a, b]")
    plain = replace(spec, enum=[], type="string" if spec.type == "list" else spec.type)
    if spec.type == "list":
        plain = replace(plain, min=None, max=None)
    for number, option in enumerate(spec.enum):
        try:
            convert(plain, option)
        except UnfitValue as error:
            message = f"an entry of enum of the parameter {name!r} must be {described(name, error)}"
            yield Misdeclared(("enum", number), _DECLARATION, message, "correct it, or the type")
