"""Convert the outputs of steps to plain JSON, so that a resumed run sees the same values as the first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from aetherflow.errors import StepError


def plain_json(value: Any) -> Any:
    """Return outputs as plain JSON; nothing becomes an empty mapping.

    Raises:
        StepError: a value cannot be written as JSON.
    """
    if not value:
        return {}
    try:
        try:
            return _as_json(value)
        except UnicodeEncodeError:
            return _as_json(escaped(value))
    except NotJson as error:
        raise StepError(
            f"the output {error.path} is {error.value}, which JSON does not have",
            hint="return null or a text instead, or leave it out",
            code="AF717",
        ) from None
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise StepError(
            f"the outputs cannot be written as JSON: {error}",
            hint="give texts, numbers, booleans, lists and mappings with text keys",
            code="AF707",
        ) from None


_MAPPINGS, _LISTS = (dict, Mapping), (list, tuple, set, frozenset)
_WITHOUT_NUMBERS = frozenset({str, int, bool, type(None)})


class NotJson(Exception):
    """A number that JSON does not have; written as JSON it would become null.

    Attributes:
        path: the keys and numbers that lead to it, joined by dots.
    """

    def __init__(self, path: tuple[str, ...], value: float) -> None:
        super().__init__()
        self.path = ".".join(path)
        self.value = value


def check_numbers(value: Any, *path: str) -> None:
    """Check that every number of a value is finite.

    Raises:
        NotJson: one is NaN or infinite.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJson(path, value)
        return
    if isinstance(value, msgspec.Struct):
        value = struct_fields(value)
    if isinstance(value, _MAPPINGS):
        inner: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, _LISTS):
        inner = enumerate(value)
    else:
        return
    for key, item in inner:
        if item.__class__ not in _WITHOUT_NUMBERS:  # a table has a million of these
            check_numbers(item, *path, str(key))


def _as_json(value: Any) -> Any:
    content = msgspec.json.encode(value, enc_hook=as_text)
    if b"null" in content:  # the encoder writes NaN and infinity so
        check_numbers(value)
    return msgspec.json.decode(content)


def as_text(value: Any) -> Any:
    """Convert a value of a type that JSON does not have: a mapping to a dict, everything else to text."""
    return dict(value) if isinstance(value, Mapping) else plain_text(value)


def text_or_json(value: Any) -> str:
    """Return a value as a text: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def escaped(value: Any) -> Any:
    r"""Return a value whose texts can be encoded in UTF-8; other bytes of a file name become `\udcXX`."""
    match value:
        case str():
            return plain_text(value)
        case Mapping():
            return {plain_text(k) if isinstance(k, str) else k: escaped(item) for k, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [escaped(item) for item in value]
        case msgspec.Struct():
            return escaped(struct_fields(value))
        case _:
            return value


def plain_text(text: object) -> str:
    """Return a value as text that can be stored, with lone surrogates as escapes."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def struct_fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a Struct under their encoded names; UNSET ones are left out."""
    fields = zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True)
    values = {name: getattr(struct, attribute) for name, attribute in fields}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
