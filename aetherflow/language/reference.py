"""References into the scope of a run: look up a path, and explain a missing value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import msgspec

from aetherflow.language.dates import Calculation
from aetherflow.language.template_error import TemplateError
from aetherflow.redaction import names_a_secret
from aetherflow.spec.suggest import did_you_mean

PATH = r"[^\W\d][\w-]*(?:\.\w[\w-]*)*"
"""A path as a regular expression: identifiers (numbers too, but not first) joined by dots."""

MAX_PARTS = 64
"""More parts than any real path has; what is prepared for a path grows with the square of its parts."""

_NAMES_SHOWN = 20
_LONGEST_INDEX = 9


class Reference(msgspec.Struct, frozen=True, gc=False):
    """One `{{PATH}}` of a template, or one path of a condition.

    Attributes:
        path: its parts, `("jobs", "probe", "outputs", "count")`.
        default: the text after the first colon, None without one.
        where: the keys and indexes that lead to the text inside the templated value; () for a condition.
        offset: where the path begins in that text, in characters.
        calculation: what is done with the value, which is a date; None: nothing.
    """

    path: tuple[str, ...]
    default: str | None
    where: tuple[str | int, ...]
    offset: int
    calculation: Calculation | None = None

    @property
    def written(self) -> str:
        """The path with its offsets and its format, as they are written in the flow."""
        return ".".join(self.path) + (self.calculation.written if self.calculation else "")


class TextDiagnostic(msgspec.Struct, frozen=True):
    """A diagnostic of a template or condition, with its place in the given value but without its file."""

    message: str
    where: tuple[str | int, ...]
    offset: int
    code: str
    hint: str = ""


class NoValue(KeyError):
    """The signal of `look_up` that a path leads nowhere; never shown to a person.

    Attributes:
        node: the last value that was reached.
        reached: how many parts of the path lead to it.
    """

    def __init__(self, node: Any, reached: int) -> None:
        super().__init__()
        self.node = node
        self.reached = reached


class MissingValue(TemplateError):
    """A template without a default refers to a value that is missing, null or an empty text."""

    default_code = "AF410"

    def __init__(self, message: str, *, reference: Reference, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reference = reference


class Lenient(dict[str, Any]):
    """A scope in which what is missing is an empty text (`AETHERFLOW_STRICT_TEMPLATES=false`).

    Attributes:
        on_missing: called with every missing value.
    """

    def __init__(self, scope: Mapping[str, Any], on_missing: Callable[[MissingValue], None]) -> None:
        super().__init__(scope)
        self.on_missing = on_missing


def look_up(scope: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at `path`: mappings by key, lists by number.

    Ids may hold dots, so at a mapping the longest joined key that exists is taken: `jobs.a.b.status` is the
    status of job `a.b` where there is one.

    Raises:
        NoValue: nothing is there.
    """
    return reader(path)(scope)


def reader(path: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """Return `look_up` for one path, prepared for many calls."""
    size = len(path)
    keys = [[(".".join(path[at:end]), end) for end in range(size, at, -1)] for at in range(size)]
    keys[0] = [(path[0], 1)]
    indexes = [int(p) if p.isascii() and p.isdecimal() and len(p) <= _LONGEST_INDEX else None for p in path]

    def read(scope: Mapping[str, Any]) -> Any:
        node: Any = scope
        at = 0
        while at < size:
            if isinstance(node, Mapping):
                for key, end in keys[at]:
                    if key in node:
                        node, at = node[key], end
                        break
                else:
                    raise NoValue(node, at)
            else:
                index = indexes[at]
                if index is None or not isinstance(node, list | tuple) or index >= len(node):
                    raise NoValue(node, at)
                node, at = node[index], at + 1
        return node

    return read


def missing(reference: Reference, node: Any, reached: int) -> MissingValue:
    """Return the error for a reference whose first `reached` parts lead to `node`, the last value found.

    It names keys, never values; of the environment it names only the variable that is most alike.
    """
    dotted = ".".join(reference.path)
    return MissingValue(
        f"{{{{{dotted}}}}} has no value: {_what_is_there(reference.path, node, reached)}",
        reference=reference,
        hint=_advice(reference, reached),
    )


def _advice(reference: Reference, reached: int) -> str:
    """Return what to do about a missing value; a secret has no default, nor has what is formatted."""
    path = reference.path
    first = "" if reached == len(path) else "correct the path"
    if path[0] == "env" and len(path) > 1:
        first = "set the variable before the run"
        if names_a_secret(path[-1]):
            return first
    if reference.calculation is not None and reference.calculation.format:
        return first or "what gives it must give a date"
    default = f"give a default: {{{{{reference.written}:DEFAULT}}}}"
    return f"{first}, or {default}" if first else default


def kind_of(value: Any) -> str:
    """Return what kind of JSON value this is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return "a text"


def _what_is_there(path: tuple[str, ...], node: Any, reached: int) -> str:
    place = ".".join(path[:reached])
    if reached == len(path):
        return "it is an empty text" if isinstance(node, str) else "it is null"
    if isinstance(node, list | tuple):
        return f"{place} is a list of {len(node)}, numbered from 0" if node else f"{place} is an empty list"
    if not isinstance(node, Mapping):
        return f"{place} is {kind_of(node)} and has no parts"
    suggestion = did_you_mean(path[reached], map(str, node))
    if place == "env":
        said = f"no environment variable {'.'.join(path[1:])!r} is set"
    elif not place:
        said = f"{path[0]!r} is not known here, only {_names(node)}" if node else "nothing is known here"
    else:
        said = f"{place} has {_names(node)}" if node else f"{place} is empty"
    return f"{said}; {suggestion}" if suggestion else said


def _names(node: Mapping[str, Any]) -> str:
    shown = ", ".join(map(str, islice(node, _NAMES_SHOWN)))
    return f"{shown} and {len(node) - _NAMES_SHOWN} more" if len(node) > _NAMES_SHOWN else shown
