"""Describe the fields of a Struct for people: types in words, defaults, and what its docstring says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as kinds

from aetherflow.spec.decode import unwrapped
from aetherflow.spec.json_schema import described

Field = dict[str, Any]
"""`name`, `type`, `required`; where there are some, `default` (as JSON), `description`, inner `fields`, and
`one_of`: this field and others, of which one is required."""


def fields_of(struct: type[Any]) -> list[Field]:
    """Return the fields of a Struct, with those of inner Structs in `fields`; none for any other type."""
    if not issubclass(struct, msgspec.Struct):
        return []
    schema = msgspec.json.schema(struct)
    structs = {found.__name__: found for found in _structs(kinds.type_info(struct), set())}
    return _Reader(schema.get("$defs", {}), structs).fields(schema, ())


class _Reader(msgspec.Struct, frozen=True):
    """Reads a JSON Schema together with the docstrings of the Structs that it was made from."""

    definitions: dict[str, Any]
    structs: dict[str, type[Any]]

    def fields(self, form: dict[str, Any], outer: tuple[str, ...]) -> list[Field]:
        """Return the fields of a form; one that is within itself, as `outer` names it, has none there."""
        name = str(form.get("$ref", "")).rpartition("/")[2]
        if not name or name in outer:
            return []
        form = self.definitions[name]
        struct = self.structs.get(name)
        attributes = described(struct)[1] if struct else {}
        fields = [
            self._field(key, part, attributes.get(key, ""), (*outer, name), required=form.get("required", ()))
            for key, part in form.get("properties", {}).items()
        ]
        for names in getattr(struct, "needs_one_of", ()):
            for field in fields:
                if field["name"] in names:
                    field["one_of"] = list(names)
        return fields

    def _field(
        self, key: str, part: dict[str, Any], about: str, outer: tuple[str, ...], *, required: list[str]
    ) -> Field:
        entry: Field = {"name": key, "type": _type_text(part), "required": key in required}
        if "default" in part:
            entry["default"] = msgspec.json.encode(part["default"]).decode()
        options = [one.get("items") or one for one in part.get("anyOf", [part])]
        inner = [found for option in options if (found := self.fields(option, outer))]
        about = about or part.get("description", "") or next(filter(None, map(self._about, options)), "")
        if about:
            entry["description"] = about
        return entry | {"fields": inner[-1]} if inner else entry

    def _about(self, form: dict[str, Any]) -> str:
        """Return what the docstring of a Struct says of it."""
        name = str(form.get("$ref", "")).rpartition("/")[2]
        return described(self.structs[name])[0] if name in self.structs else ""


def _structs(annotated: kinds.Type, seen: set[type[Any]]) -> Iterator[type[Any]]:
    """Yield the Structs in a type."""
    kind, _ = unwrapped(annotated)
    match kind:
        case kinds.StructType() if kind.cls not in seen:
            seen.add(kind.cls)
            yield kind.cls
            for field in kind.fields:
                yield from _structs(field.type, seen)
        case kinds.UnionType():
            for option in kind.types:
                yield from _structs(option, seen)
        case kinds.ListType() | kinds.SetType() | kinds.FrozenSetType() | kinds.VarTupleType():
            yield from _structs(kind.item_type, seen)
        case kinds.DictType():
            yield from _structs(kind.value_type, seen)


def _type_text(form: dict[str, Any]) -> str:
    """Return a JSON Schema as a few words."""
    if "anyOf" in form:
        return " or ".join(_type_text(option) for option in form["anyOf"])
    if form.get("format") == "duration":
        return "duration"
    if "enum" in form:
        return " | ".join(map(str, form["enum"]))
    if "$ref" in form:
        return "mapping"
    if form.get("type") == "array":
        return f"list of {_type_text(form['items'])}" if form.get("items") else "list"
    return {"string": "text", "object": "mapping"}.get(
        form.get("type", ""), str(form.get("type", "anything"))
    )
