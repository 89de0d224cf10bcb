"""The Arrow type for a column of a kind, and values of a column as an array of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from aetherflow.data_files.columns import Column, Kind
from aetherflow.data_files.text_values import value_of
from aetherflow.data_files.typed_rows import does_not_fit
from aetherflow.data_files.value_text import text_of_value

_MOST_DIGITS = 38
"""Of a decimal of 128 bits; longer ones take 256."""

_TAKEN: dict[Kind, frozenset[type]] = {
    "bool": frozenset({bool}),
    "int": frozenset({int}),
    "float": frozenset({float}),
    "decimal": frozenset({Decimal}),
    "date": frozenset({date}),
    "time": frozenset({time}),
    "datetime": frozenset({datetime}),
    "string": frozenset({str}),
    "json": frozenset({str}),
    "binary": frozenset({bytes, bytearray}),
}
"""The types that pyarrow takes for a kind without a change of meaning."""


def arrow_type(column: Column) -> Any:  # noqa: PLR0911 - a table, one line for each kind
    """Return the Arrow type of a column; a decimal whose digits nobody knows is text, with all of them."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    match column.kind:
        case "bool":
            return pa.bool_()
        case "int":
            return pa.int64()
        case "float":
            return pa.float64()
        case "decimal" if column.precision is not None and column.scale is not None:
            make = pa.decimal128 if column.precision <= _MOST_DIGITS else pa.decimal256
            return make(column.precision, column.scale)
        case "date":
            return pa.date32()
        case "time":
            return pa.time64("us")
        case "datetime":
            return pa.timestamp("us", "UTC" if column.is_zoned else None)
        case "binary":
            return pa.binary()
        case _:
            return pa.string()


def arrow_values(column: Column, values: Sequence[Any], first_row: int) -> Any:
    """Return values of a column as an array of its type.

    Args:
        column: the column; a column of no known kind becomes text.
        values: the values of a batch.
        first_row: the number of the first of them, for errors.

    Raises:
        StepError: a value does not fit (AF902).
    """
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    kind = arrow_type(column)
    taken = _TAKEN["string" if pa.types.is_string(kind) else column.kind or "string"]
    if {*map(type, values)} - taken - {type(None)}:
        if pa.types.is_string(kind):
            values = list(map(text_of_value, values))
        else:
            values = [_fitting(column, value, first_row + row) for row, value in enumerate(values)]
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        for row, value in enumerate(values):
            try:
                pa.array([value], kind)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
                raise does_not_fit("the result", first_row + row, column, value) from None
        raise


def _fitting(column: Column, value: Any, row: int) -> Any:
    """Return a value as the kind of its column.

    Raises:
        StepError: it is none (AF902).
    """
    if value is None:
        return None
    try:
        if isinstance(value, str):
            parse = value_of(column)
            value = parse(value) if parse and value else None
        convert: Callable[[Any], Any] = _CONVERSIONS[column.kind or "string"]
        return None if value is None else convert(value)
    except (TypeError, ValueError, ArithmeticError):
        raise does_not_fit("the result", row, column, value) from None


def _bool(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise ValueError(value)


def _int(value: Any) -> int:
    if value != int(value):
        raise ValueError(value)
    return int(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        if value.time() != time():
            raise ValueError(value)
        return value.date()
    if isinstance(value, date):
        return value
    raise TypeError(value)


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the column has no zone
    raise TypeError(value)


def _time(value: Any) -> time:
    if isinstance(value, time):
        return value
    raise TypeError(value)


def _binary(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise TypeError(value)


_CONVERSIONS: dict[Kind, Callable[[Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "float": float,
    "decimal": _decimal,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "binary": _binary,
}
