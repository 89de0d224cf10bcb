"""Every place of a file that takes a text or a duration, found by walking the Structs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as kinds

import aetherflow.spec
from aetherflow.registry import CONNECTORS, STEPS, Registry
from aetherflow.spec.convert import type_info
from aetherflow.spec.spelling import alternatives


class Place(msgspec.Struct, frozen=True):
    """A field, or what its lists and mappings hold.

    Attributes:
        struct: the Struct of the field.
        path: from the Struct to the place; 0 is an item of a list, "k" a value of a mapping.
        options: the types that the place takes.
    """

    struct: type[Any]
    path: tuple[str | int, ...]
    options: list[Any]

    @property
    def name(self) -> str:
        """How a test shows it: `ProcessInput.args.0`."""
        return ".".join([self.struct.__name__, *map(str, self.path)])


def structs() -> list[type[Any]]:
    """Return every Struct that a file is read to: flows, schedules, manifests ..., inputs, connectors."""
    registry = Registry()
    shipped = [registry.step_type(name).input_type for name in STEPS]
    for name in CONNECTORS:
        shipped += registry.connector_shapes(name).values()
    found: dict[type[Any], None] = {}
    for struct in [*_of_files(), *shipped]:
        if issubclass(struct, msgspec.Struct):
            found |= dict.fromkeys([struct, *_inside(type_info(struct))])
    return list(found)


def _of_files() -> Iterator[type[Any]]:
    for module in pkgutil.iter_modules(aetherflow.spec.__path__):
        for value in vars(importlib.import_module(f"aetherflow.spec.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and hasattr(value, "called"):
                yield value


def _inside(kind: kinds.Type) -> Iterator[type[Any]]:
    for option, _ in alternatives(kind):
        match option:
            case kinds.StructType():
                yield option.cls
                for field in option.fields:
                    yield from _inside(field.type)
            case kinds.ListType():
                yield from _inside(option.item_type)
            case kinds.DictType():
                yield from _inside(option.value_type)


def places() -> list[Place]:
    """Return every place in every Struct that is no mapping of known keys and no list."""
    return [
        Place(struct, path, options)
        for struct in structs()
        for field in type_info(struct).fields  # type: ignore[attr-defined]  # a Struct has fields
        for path, options in _scalars(field.type, (field.encode_name,))
    ]


def _scalars(
    kind: kinds.Type, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], list[Any]]]:
    options = alternatives(kind)
    scalars = [
        option
        for option in options
        if not isinstance(option[0], kinds.StructType | kinds.DictType | kinds.ListType)
    ]
    if scalars:
        yield path, scalars
    for option, marks in options:
        match option:
            case kinds.ListType():
                yield from _scalars(kinds.Metadata(option.item_type, extra=marks), (*path, 0))
            case kinds.DictType():
                yield from _scalars(kinds.Metadata(option.value_type, extra=marks), (*path, "k"))


def document_of(place: Place, written: str) -> str:
    """Return the YAML of a mapping of the Struct with these characters at the place."""
    lines = [f"{name}: {_least(kind)}" for name, kind in _needed(place.struct) if name != place.path[0]]
    choices: tuple[tuple[str, ...], ...] = getattr(place.struct, "needs_one_of", ())
    lines += [f"{names[-1]}: x" for names in choices if place.path[0] not in names]
    text = written
    for key in reversed(place.path[1:]):
        text = f"[{text}]" if key == 0 else f"{{k: {text}}}"
    return "\n".join([*lines, f"{place.path[0]}: {text}"]) + "\n"


def _needed(struct: type[Any]) -> Iterator[tuple[str, kinds.Type]]:
    for field in type_info(struct).fields:  # type: ignore[attr-defined]  # a Struct has fields
        if field.required:
            yield field.encode_name, field.type


def _least(kind: kinds.Type) -> str:
    """Return a value that a required field takes, as YAML."""
    option, _ = alternatives(kind)[0]
    match option:
        case kinds.LiteralType():
            return str(option.values[0])
        case kinds.StructType():
            return "{" + ", ".join(f"{name}: {_least(inner)}" for name, inner in _needed(option.cls)) + "}"
        case kinds.ListType():
            return f"[{_least(option.item_type)}]"
        case kinds.DictType():
            return "{}"
        case kinds.IntType() | kinds.FloatType():
            return "1"
        case kinds.BoolType():
            return "true"
        case _:
            return "x"
