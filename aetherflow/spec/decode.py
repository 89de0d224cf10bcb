"""Convert plain data to typed Structs; report every value that does not fit, with its place.

msgspec converts fast and stops at the first error, so only data that failed is walked a second time, along
the type, to report all of it in words.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as kinds

from aetherflow.errors import Diagnostic
from aetherflow.spec.convert import convert, type_info
from aetherflow.spec.document import Document, NodePath
from aetherflow.spec.duration import ACCEPTED
from aetherflow.spec.foreign_keys import foreign_key_hint, meant_key, missing_key_hint, unknown_key_hint
from aetherflow.spec.meant_values import meant_list, meant_mapping, meant_struct
from aetherflow.spec.missing_quotes import quotes_hint
from aetherflow.spec.spelling import alternatives, as_wanted, is_duration, wants_text
from aetherflow.spec.suggest import nearest, quoted, shown

T = TypeVar("T")

MANY_KEYS = 25
"""A hint lists the known keys of a mapping up to this number."""


def decode(document: Document, wanted: type[T], path: NodePath = ()) -> tuple[T | None, list[Diagnostic]]:
    """Convert the value at `path`, which must exist, to a type.

    Conversion is strict: the text "3" is not a number. A whole number is a valid float. Where a text is
    wanted, a scalar is the characters that the file has.

    Returns:
        The value and no diagnostics, or None and all diagnostics in the order of the file.
    """
    try:
        value = document.at(path)
        if not document.has_spellings:
            return convert(value, wanted), []
    except msgspec.ValidationError:
        pass  # it may fit with the characters of the file
    value = as_wanted(value, type_info(wanted), document.written, path)
    try:
        return convert(value, wanted), []
    except msgspec.ValidationError as error:
        diagnostics = explain(document, value, type_info(wanted), path)
        if not diagnostics:
            explainer = _Explainer(document)
            explainer.report(_path_of(error, path), "AF110", str(error).partition(" - at `")[0], "")
            diagnostics = explainer.diagnostics
        return None, sorted(diagnostics, key=lambda diagnostic: (diagnostic.line, diagnostic.column))


def explain(document: Document, value: Any, kind: kinds.Type, path: NodePath) -> list[Diagnostic]:
    """Return in words how the value at `path` differs from a type; nothing if it does not."""
    explainer = _Explainer(document)
    explainer.check(value, kind, path)
    return explainer.diagnostics


class _Explainer:
    """Walks a value along a type and notes where the two differ."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.diagnostics: list[Diagnostic] = []

    def report(self, path: NodePath, code: str, message: str, hint: str) -> None:
        """Add a diagnostic about the node at `path`."""
        self.diagnostics.append(self.document.diagnostic(path, code, message, hint))

    def check(self, value: Any, kind: kinds.Type, path: NodePath) -> None:
        """Compare a value with the type it should have."""
        annotated = kind
        kind, description = unwrapped(kind)
        if isinstance(value, dict | list) and wants_text(alternatives(annotated)):
            self.report(
                path,
                "AF115",
                f"{_subject(path)}: expected text, got {shown(value)}",
                quotes_hint(self.document, value, path),
            )
        elif isinstance(value, str) and is_duration(annotated):
            self.no_duration(value, path)
        elif isinstance(kind, kinds.UnionType):
            self.check_union(value, kind, path)
        elif not fits(value, kind):
            self.wrong_type(value, [kind], path)
        elif isinstance(kind, kinds.StructType):
            self.check_struct(value, kind, path)
        elif isinstance(kind, kinds.DictType | kinds.ListType):
            self.check_items(value, kind, path)
        elif isinstance(kind, kinds.LiteralType):
            self.check_literal(value, kind, path)
        elif isinstance(kind, kinds.StrType):
            self.check_text(value, kind, description, path)
        elif isinstance(kind, kinds.IntType | kinds.FloatType):
            self.check_range(value, kind, path)

    def check_items(self, value: Any, kind: kinds.DictType | kinds.ListType, path: NodePath) -> None:
        """Check how many items there are, and each of them."""
        self.check_length(value, kind, path)
        if isinstance(kind, kinds.DictType):
            for key, item in value.items():
                self.check(item, kind.value_type, (*path, key))
        else:
            for number, item in enumerate(value):
                self.check(item, kind.item_type, (*path, number))

    def check_union(self, value: Any, union: kinds.UnionType, path: NodePath) -> None:
        """Compare with the alternative that is of the value's own kind."""
        if value is None and union.includes_none:
            return
        options = [unwrapped(kind)[0] for kind in union.types if not isinstance(kind, kinds.NoneType)]
        fitting = [kind for kind in options if fits(value, kind)]
        if fitting:
            self.check(value, fitting[0], path)
        else:
            self.wrong_type(value, options, path)

    def check_struct(self, value: dict[str, Any], struct: kinds.StructType, path: NodePath) -> None:
        """Report unknown keys and missing keys, and check the values of the known ones."""
        fields = {field.encode_name: field for field in struct.fields}
        named = getattr(struct.cls, "called", "this mapping")
        suggested = set()
        for key in value if struct.forbid_unknown_fields else ():
            if key not in fields:
                free = [name for name in fields if name not in value]
                name = struct.cls.__name__
                suggestion = meant_key(name, key, free)
                suggested.add(suggestion)
                hint = f"did you mean {suggestion!r}?" if suggestion else foreign_key_hint(name, key)
                hint = hint or unknown_key_hint(name, _known_keys(fields))
                self.report((*path, key), "AF111", f"unknown key {quoted(key)} in {named}", hint)
                if suggestion:
                    kind, here = fields[suggestion].type, (*path, key)
                    self.check(as_wanted(value[key], kind, self.document.written, here), kind, here)
        for name, field in fields.items():
            if name in value:
                self.check(value[name], field.type, (*path, name))
            elif field.required and name not in suggested:
                hint = missing_key_hint(struct.cls.__name__, name) or f"add '{name}: {_example(field.type)}'"
                self.report(path, "AF112", f"missing key {name!r} in {named}", hint)

    def check_literal(self, value: Any, literal: kinds.LiteralType, path: NodePath) -> None:
        """Compare with the values that are allowed."""
        if value in literal.values:
            return
        allowed = [str(option) for option in literal.values]
        if len(allowed) == 1:
            message = f"{_subject(path)}: expected {allowed[0]}, got {shown(value)}"
            self.report(path, "AF113", message, f"write {allowed[0]}")
            return
        suggestion = nearest(str(value), allowed)
        hint = f"did you mean {suggestion!r}? " if suggestion else ""
        message = f"{_subject(path)}: {shown(value)} is not allowed"
        self.report(path, "AF113", message, f"{hint}allowed: {', '.join(allowed)}")

    def check_text(self, value: str, kind: kinds.StrType, description: str, path: NodePath) -> None:
        """Compare a text with its pattern and its length."""
        if kind.pattern is not None and not re.search(kind.pattern, value):
            expected = description or f"a text that matches {kind.pattern}"
            self.report(
                path, "AF113", f"{_subject(path)}: {quoted(value)} is not allowed", f"write {expected}"
            )
        self.check_length(value, kind, path)

    def check_length(
        self, value: Any, kind: kinds.ListType | kinds.DictType | kinds.StrType, path: NodePath
    ) -> None:
        """Compare the number of items or characters with its limits."""
        unit = "character" if isinstance(value, str) else "item"
        size, least, most = len(value), kind.min_length, kind.max_length
        if least is not None and size < least:
            message = f"{_subject(path)}: needs at least {_count(least, unit)}, has {size}"
            self.report(path, "AF113", message, f"add {_count(least - size, unit)}")
        if most is not None and size > most:
            message = f"{_subject(path)}: may have at most {_count(most, unit)}, has {size}"
            self.report(path, "AF113", message, "shorten it")

    def check_range(self, value: float, kind: kinds.IntType | kinds.FloatType, path: NodePath) -> None:
        """Compare a number with its limits; what is not a number at all (.nan) keeps none of them."""
        limits = (
            ("at least", kind.ge, operator.ge),
            ("more than", kind.gt, operator.gt),
            ("at most", kind.le, operator.le),
            ("less than", kind.lt, operator.lt),
        )
        for words, limit, keeps in limits:
            if limit is not None and not keeps(value, limit):
                message = f"{_subject(path)}: {shown(value)} is out of range"
                self.report(path, "AF113", message, f"write a number that is {words} {limit}")
                return

    def no_duration(self, value: str, path: NodePath) -> None:
        """Report a text that is no duration."""
        hint = _TEMPLATE if "{{" in value else f"write {ACCEPTED}"
        self.report(path, "AF116", f"{_subject(path)}: {quoted(value)} is no duration", hint)

    def wrong_type(self, value: Any, expected: list[kinds.Type], path: NodePath) -> None:
        """Report a value of another kind than expected."""
        words, hint = wrong_kind(value, expected)
        self.report(path, "AF110", f"{_subject(path)}: {words}", hint)


def unwrapped(kind: kinds.Type) -> tuple[kinds.Type, str]:
    """Return the type without its metadata, and the description that the metadata holds."""
    description = ""
    while isinstance(kind, kinds.Metadata):
        description = (kind.extra_json_schema or {}).get("description", description)
        kind = kind.type
    return kind, description


_TEMPLATE = "a template is not resolved here: write the value itself"

_KINDS: dict[type[kinds.Type], tuple[tuple[type, ...], str]] = {
    kinds.StrType: ((str,), "text"),
    kinds.BoolType: ((bool,), "true or false"),
    kinds.IntType: ((int,), "a whole number"),
    kinds.FloatType: ((float, int), "a number"),
    kinds.NoneType: ((type(None),), "nothing"),
    kinds.ListType: ((list,), "a list"),
    kinds.DictType: ((dict,), "a mapping"),
    kinds.StructType: ((dict,), "a mapping"),
}
"""What plain data a type takes, and how a message calls it."""


def fits(value: Any, kind: kinds.Type) -> bool:
    """Whether the value is of the kind of the type (text, mapping, list ...), regardless of its content."""
    if isinstance(kind, kinds.LiteralType):
        return type(value) in {type(option) for option in kind.values}
    return type(kind) not in _KINDS or type(value) in _KINDS[type(kind)][0]


def wrong_kind(value: Any, expected: list[kinds.Type]) -> tuple[str, str]:
    """Return message and hint for a value of another kind than one of these."""
    words = " or ".join(_description(kind) for kind in expected)
    return f"expected {words}, got {shown(value)}", _conversion(value, expected[0])


def _description(kind: kinds.Type) -> str:
    """Return the type in words."""
    if isinstance(kind, kinds.LiteralType):
        allowed = ", ".join(str(option) for option in kind.values)
        return f"one of {allowed}" if len(kind.values) > 1 else allowed
    return _KINDS[type(kind)][1] if type(kind) in _KINDS else "another kind of value"


def _conversion(value: Any, kind: kinds.Type) -> str:
    """Return what to do about a value of the wrong kind."""
    if value is None:
        is_container = isinstance(kind, kinds.StructType | kinds.DictType | kinds.ListType)
        deeper = "indent what belongs to it deeper than the key itself" if is_container else ""
        if isinstance(kind, kinds.StructType) and not any(field.required for field in kind.fields):
            deeper += ", write {} if nothing does"
        return f"{deeper or 'write a value after the colon'}, or remove the key"
    if isinstance(kind, kinds.StructType):
        return meant_struct(value, kind) or _known_keys([field.encode_name for field in kind.fields])
    if isinstance(kind, kinds.DictType):
        return meant_mapping(value)
    if isinstance(kind, kinds.ListType):
        return meant_list(value)
    if isinstance(value, dict | list):
        return ""
    return _scalar_conversion(value, kind)


def _scalar_conversion(value: Any, kind: kinds.Type) -> str:
    if isinstance(kind, kinds.BoolType):
        return "write true or false, without quotes"
    if isinstance(value, str) and "{{" in value:
        return _TEMPLATE
    if not isinstance(value, str):
        is_single = isinstance(kind, kinds.LiteralType) and len(kind.values) == 1
        return f"write {_example(kind)}" if is_single else ""
    if isinstance(kind, kinds.LiteralType) or _is_number(value):
        return "write the number, without quotes"
    return "write a number such as 300, without a unit"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _known_keys(names: Iterable[str]) -> str:
    keys = list(names)
    return f"known keys: {', '.join(keys)}" if 0 < len(keys) <= MANY_KEYS else ""


def _example(kind: kinds.Type) -> str:
    """Return what may follow a missing key."""
    kind, _ = unwrapped(kind)
    if isinstance(kind, kinds.LiteralType) and len(kind.values) == 1:
        return str(kind.values[0])
    return "..."


def _subject(path: NodePath) -> str:
    """Return the name of a node for a message: its key, or its number in the list under a key."""
    key = next((name for name in reversed(path) if isinstance(name, str)), "")
    if path and isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {quoted(key)}" if key else f"item {path[-1] + 1}"
    return quoted(key) if path else "the file"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def _path_of(error: msgspec.ValidationError, base: NodePath) -> NodePath:
    """Return where msgspec saw an error, as far as its text tells: keys of plain mappings are not in it."""
    place = str(error).partition(" - at `")[2].partition("[...]")[0]
    return (*base, *(key or int(number) for key, number in _PART.findall(place)))
