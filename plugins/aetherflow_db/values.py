"""Convert database values to text for files: exact, and the same for every driver."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def json_value(value: Any) -> Any:  # noqa: PLR0911 - a table, one line for each kind of value
    """Convert a database value to a value that JSON has.

    Dates and times are ISO 8601 text, also durations (`P1DT2S`). A Decimal is text with all its digits and no
    exponent, bytes are hexadecimal text, and the floats that JSON has no number for are `nan`, `inf`, `-inf`.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return format(value, "f")
        case datetime() | date() | time():
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


def tsv_field(value: Any) -> str | int | float:
    """Convert a database value to a field of a TSV file: NULL is empty, a list or mapping is JSON."""
    simple = json_value(value)
    match simple:
        case None:
            return ""
        case bool():
            return "true" if simple else "false"
        case dict() | list():
            return msgspec.json.encode(simple).decode()
        case _:
            text: str | int | float = simple
            return text
