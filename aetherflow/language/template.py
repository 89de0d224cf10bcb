"""Templates: `{{PATH}}` and `{{PATH:DEFAULT}}` in the texts of a value, compiled once, rendered many times.

Dates may be calculated, `{{PATH - 1d:DEFAULT}}`, and formatted, `{{PATH - 1d | format: %Y%m%d}}`.

A text that is one token alone gives the value itself; inside longer text a value is written as text. What was
rendered is data: it is never scanned again. The default is the text between the first colon and the closing
braces, exactly; only when a space follows the opening braces, as in `{{ NAME: text }}`, is it stripped.
A default may hold balanced single braces: `{{NAME:{"a": 1}}}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aetherflow.language.dates import Calculation, calculated
from aetherflow.language.reference import (
    Lenient,
    MissingValue,
    NoValue,
    Reference,
    TextDiagnostic,
    missing,
    reader,
)
from aetherflow.language.scan import UNSUPPORTED, Part, scan
from aetherflow.redaction import names_a_secret

MAX_DEPTH = 200
"""How deep a value may be nested; rendering goes down as deep."""

Where = tuple[str | int, ...]
Render = Callable[[Mapping[str, Any]], Any]
Entry = tuple[Any, Any, Render | None]
"""The key of a mapping, the value as given, and how to render it; None where it is constant."""


class Template(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A value whose texts may hold tokens.

    Attributes:
        raw: the value as it was given.
        references: every token of it, in order.
    """

    raw: Any
    references: tuple[Reference, ...]
    _render: Render | None
    _entries: tuple[Entry, ...] | None

    @property
    def is_constant(self) -> bool:
        """Whether it holds no token: then it renders to `raw` itself."""
        return self._render is None

    def render(self, scope: Mapping[str, Any]) -> Any:
        """Return the value with all tokens replaced; what is constant is shared with `raw`, do not change it.

        Raises:
            MissingValue: a token without a default refers to what is not there, is null or is empty, and the
                scope is not `Lenient`.
        """
        return self.raw if self._render is None else self._render(scope)

    def render_text(self, scope: Mapping[str, Any]) -> str:
        """Return the rendered value as text, also where it is one token alone.

        Raises:
            MissingValue: as `render`.
        """
        return _as_text(self.render(scope))

    def render_present(self, scope: Mapping[str, Any]) -> Any:
        """Return a mapping without the entries that lack a value: the outputs that a skipped step has.

        Raises:
            MissingValue: as `render`, when the template is no mapping.
        """
        if self._entries is None:  # it is constant, or no mapping
            return self.render(scope)
        present = {}
        for key, value, render in self._entries:
            try:
                present[key] = value if render is None else render(scope)
            except MissingValue:
                continue
        return present


def compile_template(value: Any) -> tuple[Template, list[TextDiagnostic]]:
    """Compile a JSON-like value to a template, and return its problems."""
    references: list[Reference] = []
    problems: list[TextDiagnostic] = []
    if isinstance(value, dict):
        entries = _entries(value, (), references, problems)
        render = _mapping(entries)
        return Template(value, tuple(references), render, entries if render else None), problems
    render = _compile(value, (), references, problems)
    return Template(value, tuple(references), render, None), problems


def _compile(
    value: Any, where: Where, references: list[Reference], problems: list[TextDiagnostic]
) -> Render | None:
    """Return how to render a value, or None for one that is constant."""
    match value:
        case str() if "{" in value or "}}" in value:
            parts, wrong = scan(value, where)
            problems += wrong
            references += [part for part in parts if isinstance(part, Reference)]
            return _text(value, parts)
        case dict() | list() if len(where) >= MAX_DEPTH:
            hint = f"nest values at most {MAX_DEPTH} levels deep"
            problems.append(TextDiagnostic(UNSUPPORTED, where, 0, "AF401", hint))
        case dict():
            return _mapping(_entries(value, where, references, problems))
        case list():
            items = [
                (item, _compile(item, (*where, n), references, problems)) for n, item in enumerate(value)
            ]
            return _list(items)
        case _:
            pass
    return None


def _entries(
    value: dict[Any, Any], where: Where, references: list[Reference], problems: list[TextDiagnostic]
) -> tuple[Entry, ...]:
    entries = []
    for key, item in value.items():
        here = (*where, key)
        if isinstance(key, str) and "{{" in key:
            hint = "write the key as it is; only values are templates"
            problems.append(TextDiagnostic(f"a key cannot be a template: {key!r}", here, 0, "AF402", hint))
        entries.append((key, item, _compile(item, here, references, problems)))
    return tuple(entries)


def _mapping(entries: tuple[Entry, ...]) -> Render | None:
    if all(render is None for _, _, render in entries):
        return None
    return lambda scope: {key: value if render is None else render(scope) for key, value, render in entries}


def _list(items: list[tuple[Any, Render | None]]) -> Render | None:
    if all(render is None for _, render in items):
        return None
    return lambda scope: [value if render is None else render(scope) for value, render in items]


def _text(text: str, parts: list[Part]) -> Render | None:
    """Return how to render a text; one token and at most a line's end after it is a token alone.

    A YAML block (`|`) always ends a line, so its author cannot leave that end out.
    """
    match parts:
        case [Reference() as reference] | [Reference() as reference, "\n"]:
            return _token(reference)
    if not any(isinstance(part, Reference) for part in parts):
        plain = "".join(part for part in parts if isinstance(part, str))
        return None if plain == text else lambda _: plain
    pieces = [(part, None) if isinstance(part, str) else ("", _token(part)) for part in parts]
    return lambda scope: "".join(
        [text if render is None else _as_text(render(scope)) for text, render in pieces]
    )


def _token(reference: Reference) -> Render:
    read = reader(reference.path)
    if (calculation := reference.calculation) is not None:
        read = _calculated(reference, read, calculation)
    default = reference.default
    size = len(reference.path)

    def render(scope: Mapping[str, Any]) -> Any:
        try:
            value = read(scope)
        except NoValue as gap:
            return _absent(scope, reference, gap.node, gap.reached) if default is None else default
        if value is None or value == "":
            return _absent(scope, reference, value, size) if default is None else default
        return value

    return render


def _calculated(reference: Reference, read: Render, calculation: Calculation) -> Render:
    """Return how to read a date and calculate with it; nothing stays nothing, for the default.

    An instant of the run is moved in the zone of the run.
    """
    name = f"{{{{{reference.written}}}}}"
    show = not any(map(names_a_secret, reference.path))
    is_instant = reference.path[0] == "run"

    def render(scope: Mapping[str, Any]) -> Any:
        value = read(scope)
        if value is None or value == "":
            return value
        zone = scope["run"].get("timezone", "") if is_instant else ""
        return calculated(calculation, value, name, zone, show=show)

    return render


def _absent(scope: Mapping[str, Any], reference: Reference, node: Any, reached: int) -> str:
    error = missing(reference, node, reached)
    if not isinstance(scope, Lenient):
        raise error from None
    scope.on_missing(error)
    return ""


def _as_text(value: Any) -> str:
    """Return a value as part of longer text: texts as they are, JSON values as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return str(value)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
