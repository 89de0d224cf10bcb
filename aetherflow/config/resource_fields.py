"""Fields of a resource: where a value stands in `config` or `options`, and what is said about it."""

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
    """A finding about one place of a resource, without its file: `path` starts at the resource."""

    path: FieldPath
    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"


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
    """Whether a value of a resource is a mapping of the key `secret` alone: it says where a secret is."""
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
    """Return what stands at a path that the tree has."""
    for part in path:
        value = value[part]
    return value


def is_secret_field(path: FieldPath) -> bool:
    """Whether a field, or a mapping that it stands in, is named like a secret."""
    return any(names_a_secret(str(part)) for part in path)
