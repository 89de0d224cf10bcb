"""Write Structs as JSON Schema (draft-07), so that an editor completes and checks a file as it is typed.

Descriptions come from the «Attributes:» of the docstrings. A text may be written as a number or a truth
value, and a duration as a text. The inputs of steps are laxer than other keys: a template may stand wherever
something else than a text is wanted, and a number or truth value may be a text.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import inspect as kinds

from aetherflow.spec.decode import unwrapped
from aetherflow.spec.duration import PATTERN as DURATION
from aetherflow.spec.spelling import is_duration

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
_TEMPLATE = r"\{\{"
_TEXTS = {
    kinds.IntType: r"^[-+]?[0-9]+$",
    kinds.FloatType: r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$",
    kinds.BoolType: r"^([01]|[tT][rR][uU][eE]|[fF][aA][lL][sS][eE])$",
}
_NAMES: Mapping[type[kinds.Type], str] = {
    kinds.StrType: "string",
    kinds.BoolType: "boolean",
    kinds.IntType: "integer",
    kinds.FloatType: "number",
    kinds.NoneType: "null",
}
_LIMITS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n     .*)*)", re.MULTILINE)

_ALIAS = re.compile(r"also `(\w+)`")


class Definitions:
    """The `definitions` of one schema, while it is written."""

    def __init__(self) -> None:
        self.written: dict[str, Schema] = {}

    def schema(self, wanted: Any, *, prefix: str = "", inputs: bool = False) -> Schema:
        """Return the schema of a type; the Structs in it are added to the definitions.

        `prefix` is put before their names; `inputs` makes the schema as lax as the inputs of steps are.
        """
        return self._of(kinds.type_info(wanted), prefix, inputs=inputs)

    def _of(self, annotated: kinds.Type, prefix: str, *, inputs: bool) -> Schema:
        kind, description = unwrapped(annotated)
        if isinstance(kind, kinds.IntType | kinds.FloatType) and is_duration(annotated):
            schema = _duration(kind, inputs=inputs)
        else:
            schema = self._plain(kind, prefix, inputs=inputs)
        return {**schema, "description": description} if description else schema

    def _plain(self, kind: kinds.Type, prefix: str, *, inputs: bool) -> Schema:
        if isinstance(kind, kinds.UnionType):
            options = [self._of(option, prefix, inputs=inputs) for option in kind.types]
            return {"anyOf": _without_repetition(options)}
        if isinstance(kind, kinds.StructType):
            schema: Schema = {"$ref": f"#/definitions/{self._define(kind, prefix, inputs=inputs)}"}
        elif isinstance(kind, kinds.DictType):
            items = self._of(kind.value_type, prefix, inputs=inputs)
            schema = {"type": "object", **({"additionalProperties": items} if items else {})}
        elif isinstance(kind, kinds.ListType):
            schema = {"type": "array", "items": self._of(kind.item_type, prefix, inputs=inputs)}
            schema |= {"minItems": kind.min_length} if kind.min_length else {}
        elif isinstance(kind, kinds.LiteralType):
            schema = {"enum": list(kind.values)}
        else:
            return _scalar(kind, inputs=inputs) if type(kind) in _NAMES else {}
        return {"anyOf": [schema, _template()]} if inputs else schema

    def _define(self, struct: kinds.StructType, prefix: str, *, inputs: bool) -> str:
        name = prefix + struct.cls.__name__
        if name not in self.written:
            self.written[name] = {}  # a Struct may hold itself
            self.written[name] = self._struct(struct, prefix, inputs=inputs)
        return name

    def _struct(self, struct: kinds.StructType, prefix: str, *, inputs: bool) -> Schema:
        about, attributes = described(struct.cls)
        properties = {}
        for field in struct.fields:
            schema = self._of(field.type, prefix, inputs=inputs)
            if words := attributes.get(field.name) or _about(field.type):
                # what is beside a $ref is not read in draft-07
                schema = {"allOf": [schema]} if "$ref" in schema else schema
                schema = {**schema, "description": words}
            if isinstance(field.default, bool | int | float | str):
                schema = {**schema, "default": field.default}
            properties[field.encode_name] = schema
        required = [field.encode_name for field in struct.fields if field.required]
        groups = [
            {"anyOf": [{"required": [name]} for name in names]}
            for names in getattr(struct.cls, "needs_one_of", ())
        ]
        return {
            "type": "object",
            **({"description": about} if about else {}),
            "properties": properties,
            **({"required": required} if required else {}),
            **({"allOf": groups} if groups else {}),
            **({"additionalProperties": False} if struct.forbid_unknown_fields else {}),
        }


def document_schema(title: str, wanted: Any, definitions: Definitions | None = None) -> Schema:
    """Return the schema of a whole file."""
    definitions = definitions or Definitions()
    schema = definitions.schema(wanted)
    return {"$schema": DRAFT, "title": title, **schema, "definitions": definitions.written}


def described(struct: type[Any]) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a docstring, and the description of each attribute and inherited one."""
    about = inspect.cleandoc(struct.__doc__ or "").partition("\n\n")[0]
    if about.startswith(f"{struct.__name__}("):
        about = ""  # what Python writes where there is no docstring
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
        found |= {name: " ".join(words.split()) for name, words in _ATTRIBUTE.findall(section)}
    aliases = {alias: name for name, words in found.items() for alias in _ALIAS.findall(words)}
    return " ".join(about.split()), {alias: f"the same as {name}" for alias, name in aliases.items()} | found


def _about(annotated: kinds.Type) -> str:
    """Return the docstring of the Struct in a type."""
    kind, _ = unwrapped(annotated)
    options = map(unwrapped, kind.types) if isinstance(kind, kinds.UnionType) else [(kind, "")]
    return next((described(one.cls)[0] for one, _ in options if isinstance(one, kinds.StructType)), "")


def case(key: str, values: Iterable[str], then: Schema) -> Schema:
    """Return the condition: when `key` is one of the values, `then` holds too."""
    return {"if": {"properties": {key: {"enum": list(values)}}, "required": [key]}, "then": then}


def _scalar(kind: kinds.Type, *, inputs: bool) -> Schema:
    name = _NAMES[type(kind)]
    limits = {
        keyword: value
        for limit, keyword in _LIMITS.items()
        if (value := getattr(kind, limit, None)) is not None
    }
    if name == "string":
        return _text(limits, inputs=inputs)
    if not inputs or name == "null":
        return {"type": name, **limits}
    return {"type": [name, "string"], **limits, "pattern": f"{_TEXTS[type(kind)]}|{_TEMPLATE}"}


def _text(limits: dict[str, Any], *, inputs: bool) -> Schema:
    """Return the schema of a text, which may be written as whatever scalar spells an allowed text."""
    pattern = limits.get("pattern", "")
    spellings = {"number": ("0", "0.5"), "boolean": ("true", "false"), "null": ("null",)}
    scalars = [name for name, texts in spellings.items() if all(re.search(pattern, text) for text in texts)]
    least = {} if re.search(pattern, "-1") or "number" not in scalars else {"minimum": 0}
    lax = {"pattern": f"(?:{pattern})|{_TEMPLATE}"} if pattern and inputs else {}
    return {"type": ["string", *scalars] if scalars else "string", **limits, **lax, **least}


def _duration(kind: kinds.Type, *, inputs: bool) -> Schema:
    """Return the schema of a number of seconds that may be written with units."""
    pattern = f"{DURATION}|{_TEMPLATE}" if inputs else DURATION
    return {"anyOf": [_scalar(kind, inputs=False), {"type": "string", "pattern": pattern}]}


def _template() -> Schema:
    return {"type": "string", "pattern": _TEMPLATE}


def _without_repetition(options: list[Schema]) -> list[Schema]:
    """Return the alternatives of a union, those of nested ones among them, each once."""
    flat: list[Schema] = []
    for option in options:
        for one in option["anyOf"] if option.keys() == {"anyOf"} else [option]:
            if one not in flat:
                flat.append(one)
    return flat
