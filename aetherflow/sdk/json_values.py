"""Convert the outputs of steps to plain JSON, so that a resumed run sees the same values as the first."""

from __future__ import annotations

from collections.abc import Mapping
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
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise StepError(
            f"the outputs cannot be written as JSON: {error}",
            hint="give texts, numbers, booleans, lists and mappings with text keys",
            code="AF707",
        ) from None


def _as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=as_text))


def as_text(value: Any) -> Any:
    """Convert a value of a type that JSON does not have: a mapping to a dict, everything else to text."""
    return dict(value) if isinstance(value, Mapping) else plain_text(value)


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
