"""Compile the parts of a condition to functions, and raise an error when one cannot be decided."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from aetherflow.language.comparison import contains, equal, ordered, truth
from aetherflow.language.reference import NoValue, kind_of, reader
from aetherflow.language.seen import Noting
from aetherflow.language.template_error import ConditionError

Evaluate = Callable[[Mapping[str, Any]], Any]
Kind = Literal["path", "literal", "list", "group"]

_ORDERINGS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Operand(msgspec.Struct, frozen=True, eq=False):
    """A part of a condition: how to get its value, and how errors call it."""

    kind: Kind
    name: str
    read: Evaluate


def constant(kind: Kind, name: str, value: Any) -> Operand:
    """Return a part that always has the same value."""
    return Operand(kind, name, lambda _: value)


def path(name: str, parts: tuple[str, ...]) -> Operand:
    """Return what reads a path; it is null where the path leads nowhere."""
    look = reader(parts)

    def read(scope: Mapping[str, Any]) -> Any:
        value, is_missing = None, False
        try:
            value = look(scope)
        except NoValue:
            is_missing = True
        if isinstance(scope, Noting):
            scope.note(parts, value, is_missing=is_missing)
        return value

    return Operand("path", name, read)


def group(read: Evaluate) -> Operand:
    """Combine parts to a new part."""
    return Operand("group", "the part in parentheses", read)


def negated(part: Operand) -> Operand:
    """Return `not` of a part."""
    read = part.read
    return group(lambda scope: not truth(read(scope)))


def any_of(parts: Sequence[Operand]) -> Operand:
    """Return `or` of the parts, evaluated up to the first that is true; a single part is itself."""
    if len(parts) == 1:
        return parts[0]
    reads = [part.read for part in parts]
    return group(lambda scope: any(truth(read(scope)) for read in reads))


def all_of(parts: Sequence[Operand]) -> Operand:
    """Return `and` of the parts, evaluated up to the first that is false; a single part is itself."""
    if len(parts) == 1:
        return parts[0]
    reads = [part.read for part in parts]
    return group(lambda scope: all(truth(read(scope)) for read in reads))


def compared(symbol: str, left: Operand, right: Operand) -> Operand:
    """Return the comparison of two parts."""
    one, other = left.read, right.read
    match symbol:
        case "==":
            return group(lambda scope: equal(one(scope), other(scope)))
        case "!=":
            return group(lambda scope: not equal(one(scope), other(scope)))
        case "in" | "not in":
            return _membership(symbol, left, right)
        case _:
            return _ordering(symbol, left, right)


def _ordering(symbol: str, left: Operand, right: Operand) -> Operand:
    one, other, compare = left.read, right.read, _ORDERINGS[symbol]

    def read(scope: Mapping[str, Any]) -> Any:
        values = one(scope), other(scope)
        pair = ordered(*values)
        if pair is None:
            raise _undecidable(symbol, (left, right), values, scope)
        return compare(*pair)

    return group(read)


def _membership(symbol: str, left: Operand, right: Operand) -> Operand:
    one, other, wanted = left.read, right.read, symbol == "in"

    def read(scope: Mapping[str, Any]) -> Any:
        values = one(scope), other(scope)
        found = contains(values[1], values[0])
        if found is None:
            raise _undecidable(symbol, (left, right), values, scope)
        return found is wanted

    return group(read)


def _undecidable(
    symbol: str, sides: tuple[Operand, Operand], values: tuple[Any, Any], scope: Mapping[str, Any]
) -> ConditionError:
    """Return the error that names the two sides and their kinds; `Condition.saw` has their values."""
    named = list(zip(sides, values, strict=True))
    for side, value in reversed(named) if symbol.endswith("in") else named:
        if value is None:
            return ConditionError(
                f"{side.name} is null{_why_null(side, scope)} and cannot be compared with {symbol}",
                hint=f"test it first: {side.name} != null and ..." if side.kind == "path" else "",
            )
    left, right = (f"{side.name} ({kind_of(value)})" for side, value in named)
    return ConditionError(
        f"{left} and {right} cannot be compared with {symbol}",
        hint="< <= > >= compare two numbers or two texts; in looks into a list, a mapping or a text",
    )


def _why_null(side: Operand, scope: Mapping[str, Any]) -> str:
    """Return why a part is null, in brackets, if nothing is there at all."""
    noting = Noting(scope)
    side.read(noting)
    return "".join(seen.why_missing for seen in noting.seen.values())
