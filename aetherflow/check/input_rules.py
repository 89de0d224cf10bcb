"""Check the rules over several inputs of a step (`__post_init__`) while some inputs are templates.

What a template gives is known only in a run. A rule is broken for certain if it is broken whatever the
templates give.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import product
from math import prod
from typing import Any, NoReturn

import msgspec
from msgspec import inspect as kinds

from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.spec.convert import convert_values, misfit, type_info
from aetherflow.spec.spelling import alternatives

_MOST_CASES = 64
_ONE_TEMPLATE = re.compile(r"\s*\{\{[^{}]*\}\}\s*")


class _Undecided(BaseException):
    """A rule depends on the value of a template; no plugin catches it by `except Exception`."""


def _asked(*_: object) -> NoReturn:
    raise _Undecided


class _Unknown:
    """What a template gives: something that is not null. Every other question about it has no answer yet."""

    __slots__ = ()
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __getattr__ = _asked
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = __str__ = __repr__ = __format__ = _asked
    __class__ = property(_asked)  # isinstance asks for it


def broken_rule(struct: type[msgspec.Struct], inputs: Mapping[str, Any], unknown: set[str]) -> str:
    """Return what is wrong with the inputs whatever their templates give; empty if that is not certain.

    `unknown` are the inputs that have a template. One that is nothing but a template may give null, too.
    """
    if not hasattr(struct, "__post_init__"):
        return ""
    given: list[list[tuple[str, Any]]] = []
    for field in _fields_of(struct):
        name = field.encode_name
        if name not in inputs:
            continue
        values: list[Any] = [_Unknown()]
        if name not in unknown:
            if misfit(inputs[name], field.type):
                return ""  # reported where this input is checked
            values = [convert_values(inputs[name], field.type)]
        elif _may_be_null(inputs[name], field.type):
            values.append(None)
        given.append([(field.name, value) for value in values])
    if prod(map(len, given)) > _MOST_CASES:
        return ""
    problems = [_problem(struct, dict(case)) for case in product(*given)]
    return problems[0] if all(problems) else ""


@cache
def _fields_of(struct: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a Struct: to read its annotations takes longer than to check a step."""
    return msgspec.structs.fields(struct)


def _may_be_null(value: object, wanted: Any) -> bool:
    takes = {type(one) for one, _ in alternatives(type_info(wanted))}
    is_template = isinstance(value, str) and _ONE_TEMPLATE.fullmatch(value) is not None
    return is_template and bool(takes & {kinds.NoneType, kinds.AnyType})


def _problem(struct: type[msgspec.Struct], values: dict[str, Any]) -> str:
    """Return why the Struct refuses these values; empty if it takes them, or a template decides."""
    try:
        struct(**values)
    except ValueError as error:
        return str(error)
    except BaseException as error:
        if is_our_cancellation(error):
            raise
    return ""
