"""What each value is in a text file: exact, and the same for every database and way to read it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def json_value(value: Any) -> Any:  # noqa: PLR0911 - a table, one line for each kind of value
    """Convert a database value to a value that JSON has.

    Dates and times are ISO 8601 text, also durations (`P1DT2S`); a time with an offset is written in UTC. A
    Decimal is text with all its digits and no exponent, bytes are hexadecimal text, and the floats that JSON
    has no number for are `nan`, `inf`, `-inf`.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return format(value, "f")
        case datetime():
            return (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return msgspec.to_builtins(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def field_of(value: Any) -> str | int | float | None:
    """Convert a database value to a field of a csv or tsv file, or None; a list or mapping is JSON."""
    simple = json_value(value)
    match simple:
        case bool():
            return "true" if simple else "false"
        case dict() | list():
            return msgspec.json.encode(simple).decode()
        case _:
            field: str | int | float | None = simple
            return field


def text_of_value(value: Any) -> str | None:
    """Convert a database value to the text of a field, or None."""
    field = field_of(value)
    return field if field is None or isinstance(field, str) else str(field)
