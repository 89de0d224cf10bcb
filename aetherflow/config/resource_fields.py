"""Build paths to the fields of a resource in `config` and `options`, and diagnostics about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import msgspec

from aetherflow.errors import Severity
from aetherflow.redaction import names_a_secret

FieldPath = tuple[str | int, ...]
SECTIONS = ("config", "options")
SECRET_KEY = "secret"  # noqa: S105 - the key of a reference to a secret, none itself


class FieldDiagnostic(msgspec.Struct, frozen=True):
    """A diagnostic about one field of a resource, without its file: `path` starts at the resource.

    Attributes:
        is_missing: the field is nowhere, so no file is the source of it.
    """

    path: FieldPath
    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    is_missing: bool = False


def field_name(path: FieldPath) -> str:
    """Return a path as people write it: `config.hosts.0.url`."""
    return ".".join(map(str, path))


def fields(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Yield every leaf of a tree with its path; an empty mapping or list, and `{secret: ...}`, is a leaf."""
    if is_reference(value) and len(path) > 1:
        yield path, value
    elif isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from fields(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from fields(item, (*path, index))
    else:
        yield path, value


def is_reference(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value of a resource is a mapping with the one key `secret`, a reference to a secret."""
    return isinstance(value, Mapping) and value.keys() == {SECRET_KEY}


def find_field(tree: Any, path: FieldPath) -> FieldPath | None:
    """Return the path as the tree has it (a text "0" becomes the index of a list), or None if it has not."""
    found: list[str | int] = []
    for part in path:
        if isinstance(tree, Mapping) and part in tree:
            found.append(part)
        elif isinstance(tree, list) and str(part).isdecimal() and int(part) < len(tree):
            found.append(int(part))
        else:
            return None
        tree = tree[found[-1]]
    return tuple(found)


def field_at(value: Any, path: FieldPath) -> Any:
    """Return the value at a path that exists in the tree."""
    for part in path:
        value = value[part]
    return value


def is_secret_field(path: FieldPath) -> bool:
    """Whether a field, or a mapping around it, is named like a secret."""
    return any(names_a_secret(str(part)) for part in path)
