"""What a text in a data file means in a column of a kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from aetherflow.data_files.columns import Column, Kind

_TRUE = frozenset({"1", "true", "t", "yes", "y"})
_FALSE = frozenset({"0", "false", "f", "no", "n"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE | re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def value_of(column: Column) -> Callable[[str], Any] | None:
    """Return what makes the value of a column from its text and raises ValueError; None: the text itself."""
    return None if column.kind is None else _PARSERS.get(column.kind)


def _bool(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(text)


def _int(text: str) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError(text)
    return int(text)


def _float(text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text)


def _decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(text)
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None


def _date(text: str) -> date:
    """Return a date; a time of midnight behind it is accepted, as databases write it."""
    word = text.strip()
    if len(word) > len("2026-01-01"):
        moment = datetime.fromisoformat(word)
        if moment.time() != time():
            raise ValueError(text)
        return moment.date()
    return date.fromisoformat(word)


def _binary(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("\\x"))


def _json(text: str) -> Any:
    return msgspec.json.decode(text)  # its error is a ValueError


_PARSERS: dict[Kind, Callable[[str], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "date": _date,
    "time": lambda text: time.fromisoformat(text.strip()),
    "datetime": lambda text: datetime.fromisoformat(text.strip()),
    "binary": _binary,
    "json": _json,
}
