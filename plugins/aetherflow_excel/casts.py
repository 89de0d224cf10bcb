"""Convert the texts of a data file to the types that a target names: bool, int, float, date ...; pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, Literal

from aetherflow import data_files

Cast = Callable[[Any], Any]
TypeCast = Literal["none", "basic", "schema"]

MOST_DIGITS = 15
"""So many digits Excel keeps of a number; a longer one, such as the number of a card, stays text."""

FLOAT_DIGITS = 17
"""So many digits a program writes of a float; what is behind the 15th is noise."""

TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y"})
FALSE_WORDS = frozenset({"0", "false", "f", "no", "n"})
_BASIC_WORDS = {"true": True, "false": False, "1": True, "0": False}

_INTEGER = re.compile(r"[+-]?[0-9]+")
_PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]*")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BASIC_DECIMAL = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NUMBER_CHARACTERS = frozenset("0123456789.+-eE")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?")
_ZONE = "(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_DATETIME = re.compile(f"{_DATE.pattern}[T ]{_TIME.pattern}{_ZONE}")


def fits_a_number(text: str, most: int = MOST_DIGITS) -> bool:
    """Whether Excel keeps all digits of a number: 15 at most, without zeros that do not matter.

    The zeros at the end of a whole number count: it may be the number of an account.
    """
    mantissa = _mantissa(text).lstrip("+-0")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction.rstrip("0") if whole else fraction.strip("0")
    return len(digits) <= (most if fraction.strip("0") else MOST_DIGITS)


def _mantissa(text: str) -> str:
    return re.split("[eE]", text, maxsplit=1)[0]


def basic(value: Any) -> Any:
    """Convert a text by its looks, as AetherFlow 0.0 does; other values stay as they are.

    `true`, `false`, `1` and `0` are bools, digits without a leading zero are integers, numbers with a point
    or an exponent are decimals, ISO dates and times are such. A number with more digits than Excel keeps
    stays text; of 16 or 17 digits with a point it is a float, as programs write them.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if (word := text.lower()) in _BASIC_WORDS:
        return _BASIC_WORDS[word]
    if _PLAIN_INTEGER.fullmatch(text):
        return int(text) if fits_a_number(text) else value
    if text[-1] in "0123456789" and _BASIC_DECIMAL.fullmatch(text):
        return _number(text, value) if fits_a_number(text, FLOAT_DIGITS) else value
    return _iso(text, value)


def _number(text: str, other: Any) -> Any:
    """Return a number with the digits that it is written with; with an exponent or too many it is a float.

    One that no float can hold is the other value.
    """
    if "e" not in text.lower() and fits_a_number(text):
        return Decimal(text)
    number = float(text)
    return number if math.isfinite(number) and (number or not re.search("[1-9]", _mantissa(text))) else other


def _iso(text: str, other: Any) -> Any:
    """Return the date, datetime or time that an ISO text means, or the other value."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _DATETIME.fullmatch(text):
            return datetime.fromisoformat(text)
        if _TIME.fullmatch(text):
            return time.fromisoformat(text)
    except ValueError:
        return other  # there is no such day
    return other


def _bool(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else value


def _int(value: Any) -> Any:
    if isinstance(value, int):
        return value
    if isinstance(value, float | Decimal):
        return int(value) if value == value // 1 else value
    text = str(value).strip()
    return int(text) if _INTEGER.fullmatch(text) and fits_a_number(text) else value


def _float(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        return value
    text = str(value).strip()
    number = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else value


def many_ints(values: Sequence[Any]) -> list[int | None] | None:
    """Return what the cast `int` makes of texts that are all digits; None for other values."""
    try:
        joined = "".join(value for value in values if value)
    except TypeError:
        return None
    if not (joined.isascii() and joined.isdigit()):
        return None
    if any(len(value) > MOST_DIGITS for value in values if value):
        return None
    return [int(value) if value else None for value in values]


def many_floats(values: Sequence[Any]) -> list[float | None] | None:
    """Return what the cast `float` makes of texts that are all plain numbers; None for other values."""
    try:
        if not {*"".join(value for value in values if value)} <= _NUMBER_CHARACTERS:
            return None
        found = [float(value) if value else None for value in values]
    except (TypeError, ValueError):
        return None
    return found if all(value is None or math.isfinite(value) for value in found) else None


def _decimal(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        return value
    text = str(value).strip()
    return _number(text, value) if _DECIMAL.fullmatch(text) and fits_a_number(text) else value


def _date(value: Any) -> Any:
    moment = _datetime(value)
    if isinstance(moment, datetime) and moment.time() == time():
        return moment.date()
    return value


def _datetime(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - Excel has no time zones
    found = _iso(str(value).strip(), value)
    return _datetime(found) if isinstance(found, date) else value


def _time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    found = _iso(str(value).strip(), value)
    return found if isinstance(found, time) else value


def _string(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return (
        value
        if isinstance(value, str)
        else value.isoformat()
        if isinstance(value, date | time)
        else str(value)
    )


SCHEMA: Mapping[data_files.Kind, Cast] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
}
"""What each kind of a column does with a value that is there; one that does not fit stays as it is."""


@cache
def schema_cast(kind: data_files.Kind | None) -> Cast:
    """Return the conversion for the kind of a column; an empty text becomes an empty cell."""
    convert = SCHEMA.get(kind, _string) if kind else _string

    def cast(value: Any) -> Any:
        return None if value is None or value == "" else convert(value)

    return cast


def casts_of(
    type_cast: TypeCast, dtypes: Mapping[str, data_files.Column], columns: Sequence[str]
) -> list[Cast | None]:
    """Return the conversion for each column; None where values stay as they are."""
    match type_cast:
        case "none":
            return [None] * len(columns)
        case "basic":
            return [basic] * len(columns)
        case "schema":
            return [schema_cast(dtypes[name].kind) if name in dtypes else None for name in columns]
