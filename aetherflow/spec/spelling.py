"""Walk plain data along a type: a text gets the characters of a scalar, a duration its seconds. Pure.

YAML reads `3.10`, `007` and `true` as numbers and truth. Where a type wants a text, the characters that were
written are the value. A union takes a scalar as it is when one of its kinds fits, and as text otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeGuard

from msgspec import inspect as kinds

from aetherflow.spec.duration import parse_duration
from aetherflow.spec.yaml_scalars import json_text

NodePath = tuple[str | int, ...]
Options = list[tuple[kinds.Type, dict[str, Any]]]
Written = Callable[[NodePath, Any], str]
"""Returns the characters of the scalar at a path."""

IS_DURATION = {"duration": True}
"""`Meta(extra=...)` of a number that may be written as a duration."""
IS_PATH = {"path": True}
"""`Meta(extra=...)` of a text that is a path below the artifacts of a job, or absolute."""
AS_DURATION = {"format": "duration"}
"""Its `Meta(extra_json_schema=...)`, by which `steps show` names it."""
NUMBERS_AS_WRITTEN = {"as_written": (int, float)}
"""`Meta(extra=...)` of a place of any type: a number that JSON would write otherwise is the text of it."""
SCALARS_AS_WRITTEN = {"as_written": (int, float, bool)}
"""The same for numbers and truth: what is read again along a type that another file declares."""
TEXTS_ONLY = {"texts_only": True}
"""`Meta(extra=...)` of a text that a number or truth must not become: it would mean something else."""
JSON_AS_TEXT = {"json": True}
"""`Meta(extra=...)` of a text: a template may give a mapping or list, which is written as JSON."""

_MAPPINGS = (kinds.StructType, kinds.TypedDictType, kinds.DataclassType, kinds.DictType)
_LISTS = (kinds.ListType, kinds.SetType, kinds.FrozenSetType, kinds.VarTupleType, kinds.TupleType)
_PARSED = (
    kinds.DateType
    | kinds.DateTimeType
    | kinds.TimeType
    | kinds.TimeDeltaType
    | kinds.UUIDType
    | kinds.DecimalType
    | kinds.BytesType
)
_NATIVE: dict[type[kinds.Type], tuple[type, ...]] = {
    kinds.IntType: (int,),
    kinds.FloatType: (int, float),
    kinds.BoolType: (bool,),
    kinds.NoneType: (type(None),),
    kinds.DecimalType: (int,),
}


def as_wanted(value: Any, kind: kinds.Type, written: Written, path: NodePath = ()) -> Any:
    """Return plain data as a type wants it; what needs no change is shared, nothing is changed in place.

    What does not fit stays as it is, for the conversion to report.
    """
    return _as_wanted(value, alternatives(kind), written, path)


def _as_wanted(value: Any, options: Options, written: Written, path: NodePath) -> Any:
    match value:
        case str():
            return _read_text(value, options)
        case dict() | list() if written is unwritten and _is_json(options):
            return json.dumps(value, ensure_ascii=False)
        case dict():
            return _pairs(value, options, written, path)
        case list():
            return _items(value, options, written, path)
        case _:
            return _scalar(value, options, written, path)


def unwritten(_path: NodePath, value: Any) -> str:
    """Return a scalar that no file holds as a text: as JSON writes it."""
    return json_text(value)


_alternatives: dict[int, tuple[kinds.Type, Options]] = {}
_fields: dict[int, tuple[kinds.Type, dict[str, Options]]] = {}
"""What the types of inputs are made of, by their ids: a flow has thousands of steps and a dozen types.

Such a type has no hash. Each entry has the type itself, so that its id stays its own.
"""


def alternatives(kind: kinds.Type) -> Options:
    """Return the types that a type allows, each with what its `Meta(extra=...)` say."""
    known = _alternatives.get(id(kind))
    if known is None:
        known = _alternatives[id(kind)] = kind, _alternatives_of(kind, {})
    return known[1]


def _alternatives_of(kind: kinds.Type, marks: dict[str, Any]) -> Options:
    while isinstance(kind, kinds.Metadata):
        marks = marks | (kind.extra or {})
        kind = kind.type
    if isinstance(kind, kinds.UnionType):
        return [one for option in kind.types for one in _alternatives_of(option, marks)]
    return [(kind, marks)]


def _options_of_fields(kind: Any) -> dict[str, Options]:
    known = _fields.get(id(kind))
    if known is None:
        known = kind, {field.encode_name: alternatives(field.type) for field in kind.fields}
        _fields[id(kind)] = known
    return known[1]


def is_duration(kind: kinds.Type) -> bool:
    """Whether one of the types that a type allows is a duration."""
    return any(marks.get("duration") for _, marks in alternatives(kind))


def is_path(kind: kinds.Type) -> bool:
    """Whether one of the types that a type allows is a path below the artifacts of a job."""
    return any(marks.get("path") for _, marks in alternatives(kind))


def is_no_duration(value: Any, kind: kinds.Type) -> TypeGuard[str]:
    """Whether a value is a text without templates that is no duration, where a type wants one."""
    is_text = isinstance(value, str) and "{{" not in value and is_duration(kind)
    return is_text and as_wanted(value, kind, unwritten) is value


def misplaced(value: Any, kind: kinds.Type, path: NodePath = ()) -> Iterator[NodePath]:
    """Yield the paths of mappings and lists where a type wants a text and nothing else."""
    if isinstance(value, dict | list):
        yield from _misplaced(value, alternatives(kind), path)


def _misplaced(value: dict[str, Any] | list[Any], options: Options, path: NodePath) -> Iterator[NodePath]:
    if wants_text(options):
        yield path
        return
    for key, item, inner in _children(value, options):
        if isinstance(item, dict | list):
            yield from _misplaced(item, inner, (*path, key))


def wants_text(options: Options) -> bool:
    """Whether alternatives are text, or text or nothing."""
    named = {type(kind) for kind, _ in options} - {kinds.NoneType}
    return named == {kinds.StrType}


def _is_json(options: Options) -> bool:
    return wants_text(options) and any(marks.get("json") for _, marks in options)


def _children(value: Any, options: Options) -> list[tuple[Any, Any, Options]]:
    """Return key, value and types of what a mapping or list holds; nothing where the type is not clear."""
    if isinstance(value, dict):
        for kind, _ in _containers(options, _MAPPINGS):
            if isinstance(kind, kinds.DictType):
                inner = alternatives(kind.value_type)
                return [(key, item, inner) for key, item in value.items()]
            fields = _options_of_fields(kind)
            return [(key, item, fields[key]) for key, item in value.items() if key in fields]
        return []
    for kind, _ in _containers(options, _LISTS):
        if isinstance(kind, kinds.TupleType):
            both = enumerate(zip(value, kind.item_types, strict=False))
            return [(n, item, alternatives(one)) for n, (item, one) in both]
        inner = alternatives(kind.item_type)
        return [(n, item, inner) for n, item in enumerate(value)]
    return []


def _containers(options: Options, wanted: tuple[type, ...]) -> list[tuple[Any, dict[str, Any]]]:
    """Return the one alternative of these types; nothing if there are several."""
    if len(options) == 1:
        return options if isinstance(options[0][0], wanted) else []
    fitting = [option for option in options if isinstance(option[0], wanted)]
    return fitting if len(fitting) == 1 else []


def _pairs(value: dict[str, Any], options: Options, written: Written, path: NodePath) -> Any:
    changed = {}
    for key, item, inner in _children(value, options) or _any_children(value, options):
        found = _as_wanted(item, inner, written, (*path, key))
        if found is not item:
            changed[key] = found
    return {**value, **changed} if changed else value


def _items(value: list[Any], options: Options, written: Written, path: NodePath) -> Any:
    changed = {
        number: found
        for number, item, inner in _children(value, options) or _any_children(value, options)
        if (found := _as_wanted(item, inner, written, (*path, number))) is not item
    }
    return [changed.get(number, item) for number, item in enumerate(value)] if changed else value


def _any_children(value: Any, options: Options) -> list[tuple[Any, Any, Options]]:
    """Return what a mapping or list of any type holds; it is marked as its container is."""
    for kind, marks in options:
        if isinstance(kind, kinds.AnyType) and marks.get("as_written"):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            return [(key, item, [(kind, marks)]) for key, item in pairs]
    return []


def _read_text(value: str, options: Options) -> Any:
    """Return the seconds of a text that is a duration, where a type wants one and no text."""
    for kind, marks in options:
        if marks.get("duration") and not any(isinstance(other, kinds.StrType) for other, _ in options):
            try:
                seconds = parse_duration(value)
            except ValueError:
                return value
            is_whole = isinstance(kind, kinds.IntType) and seconds == int(seconds)
            return int(seconds) if is_whole else seconds
    return value


def _scalar(value: Any, options: Options, written: Written, path: NodePath) -> Any:
    if any(_takes(kind, value) for kind, _ in options):
        return value
    if any(isinstance(kind, kinds.AnyType | kinds.RawType | kinds.CustomType) for kind, _ in options):
        lossy = next((marks["as_written"] for _, marks in options if "as_written" in marks), ())
        if type(value) not in lossy:
            return value
        text = written(path, value)
        return value if text == json_text(value) else text
    text = written(path, value)
    if value is None and not text:
        return value  # nothing at all is no text
    return text if any(_takes_text(kind, marks, text) for kind, marks in options) else value


def _takes(kind: kinds.Type, value: Any) -> bool:
    """Whether a type takes a scalar as it is."""
    if isinstance(kind, kinds.LiteralType):
        return any(type(value) is type(one) and value == one for one in kind.values)
    if isinstance(kind, kinds.EnumType):
        return any(type(value) is type(one.value) and value == one.value for one in kind.cls)
    return type(value) in _NATIVE.get(type(kind), ())


def _takes_text(kind: kinds.Type, marks: dict[str, Any], text: str) -> bool:
    """Whether a type takes a text in the place of a scalar that it does not take."""
    if isinstance(kind, kinds.LiteralType):
        return text in kind.values
    if isinstance(kind, kinds.EnumType):
        return any(text == one.value for one in kind.cls)
    return isinstance(kind, kinds.StrType | _PARSED) and not marks.get("texts_only")
