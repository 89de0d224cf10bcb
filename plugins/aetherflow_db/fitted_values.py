"""Make the values of a file fit the columns of a table, or say which one does not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from aetherflow.data_files import Column, Kind, Row, value_of
from aetherflow_db.column_mapping import Mapped
from aetherflow_db.sql_dialects import DUCKDB, MYSQL, SQLITE, SqlDialect

Fit = Callable[[Any], Any]
"""Takes a value that is not None; raises ValueError if it does not fit."""


class MisfitError(Exception):
    """A value does not fit its column.

    Attributes:
        offset: of the row in its batch.
        mapped: the column.
        value: the value.
    """

    def __init__(self, offset: int, mapped: Mapped, value: Any) -> None:
        super().__init__()
        self.offset = offset
        self.mapped = mapped
        self.value = value


class Fitter:
    """Chooses the columns of a batch that are loaded, and converts their values."""

    def __init__(self, columns: Sequence[Mapped], dialect: SqlDialect, *, is_text: bool) -> None:
        """Take the columns; `is_text` says that all values are texts, as in csv and tsv."""
        self._columns = [(one, _changes(one, dialect, is_text=is_text)) for one in columns]

    def fitted(self, batch: Sequence[Row]) -> list[Row]:
        """Return the rows as the driver takes them.

        Raises:
            MisfitError: a value does not fit.
        """
        by_column = list(zip(*batch, strict=True))
        columns = []
        for mapped, changes in self._columns:
            values: Sequence[Any] = by_column[mapped.index]
            for change in changes:
                values = _changed(values, change, mapped)
            if mapped.target.refuses_null and None in values:
                raise MisfitError(values.index(None), mapped, None)
            columns.append(values)
        return list(zip(*columns, strict=True))


class Change(NamedTuple):
    """What is done with the values of a column.

    Attributes:
        one: converts one value.
        fast: converts many texts at once, for values among which no None is; None: there is no such way.
        keeps_text: a text stays as it is, if it can be converted.
    """

    one: Fit
    fast: Callable[[str], Any] | None = None
    keeps_text: bool = False


def _changes(mapped: Mapped, dialect: SqlDialect, *, is_text: bool) -> list[Change]:
    """Return what is done with the values of a column: first they are made to fit, then the driver's."""
    target, source = mapped.target.column, mapped.source.kind
    if dialect == SQLITE:  # its texts have room for an offset
        target = msgspec.structs.replace(target, is_zoned=True)
    driver = [] if is_text and dialect == SQLITE else [Change(_driver_value(dialect))]
    if target.kind is None or (is_text and target.kind == "string"):
        return [] if is_text else driver
    keeps_text = is_text and target.kind in _TAKEN_AS_TEXT.get(dialect, frozenset())
    if is_text:
        driver = [] if target.kind in _NATIVE or dialect == SQLITE else driver
        fit = _number_or_truth(target) if dialect == MYSQL and target.kind == "int" else _fitting(target)
        has_no_offsets = target.kind == "datetime" and not target.is_zoned and not keeps_text
        fast = _without_offset if has_no_offsets else _FAST.get(target.kind)
        return [Change(fit, fast, keeps_text), *driver]
    is_same = target.kind == source and (source != "datetime" or target.is_zoned == mapped.source.is_zoned)
    return driver if is_same else [Change(_fitting(target)), *driver]


def _changed(values: Sequence[Any], change: Change, mapped: Mapped) -> Sequence[Any]:
    one = change.one
    try:
        if change.fast is not None and (many := _fast(values, change.fast)) is not None:
            return values if change.keeps_text else many
        if change.keeps_text:
            return [value if value is None or one(value) is not None else None for value in values]
        return [None if value is None else one(value) for value in values]
    except _MISFITS:
        for offset, value in enumerate(values):
            try:
                if value is not None:
                    one(value)
            except _MISFITS:
                raise MisfitError(offset, mapped, value) from None
        raise


def _fast(values: Sequence[Any], convert: Callable[[str], Any]) -> list[Any] | None:
    """Convert texts in one call; None: there is something among them that must be looked at one by one.

    Python's own functions accept digits of other scripts and underscores in numbers.
    """
    try:
        joined = "".join(values)
        return list(map(convert, values)) if joined.isascii() and "_" not in joined else None
    except _MISFITS:
        return None


def _fitting(column: Column) -> Fit:
    parse, convert = value_of(column), _CONVERTERS[column.kind or "string"]
    if column.kind == "datetime" and not column.is_zoned:
        return _zoneless(parse, convert)

    def fit(value: Any) -> Any:
        if isinstance(value, str) and parse is not None:
            return parse(value) if value else None
        return convert(value)

    return fit


def _zoneless(parse: Fit | None, convert: Fit) -> Fit:
    """Return what makes a time for a column that has no offsets: one with an offset counts in UTC."""

    def fit(value: Any) -> Any:
        if value == "" or parse is None:
            return None
        moment = parse(value) if isinstance(value, str) else convert(value)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)

    return fit


def _without_offset(text: str) -> datetime:
    """Return a time that has no offset; one that has is for `_zoneless`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError(text)
    return moment


def _number_or_truth(column: Column) -> Fit:
    """Return what also takes true and false for 1 and 0: MySQL's truth values are numbers."""
    fit = _fitting(column)
    return lambda value: _TRUTH[value] if value in _TRUTH else fit(value)


def _driver_value(dialect: SqlDialect) -> Fit:
    """Return what makes a value one that the driver can send."""
    is_sqlite = dialect == SQLITE

    def sent(value: Any) -> Any:
        match value:
            case str() | int() | float() | bytes():
                return value
            case dict() | list():
                return _json_text(value)
            case Decimal() if is_sqlite:
                return format(value, "f")
            case datetime() if is_sqlite:
                return value.isoformat(" ")
            case date() | time() if is_sqlite:
                return value.isoformat()
            case _:
                return value

    return sent


def _bool(value: Any) -> bool:
    if value in {0, 1}:
        return bool(value)
    raise ValueError(value)


def _int(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float | Decimal) and value == int(value):
        return int(value)
    raise ValueError(value)


def _float(value: Any) -> float:
    if isinstance(value, int | float | Decimal):
        return float(value)
    raise ValueError(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, int | float | Decimal):
        return Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    raise ValueError(value)


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        if value.time() == time() and value.tzinfo is None:
            return value.date()
    elif isinstance(value, date):
        return value
    raise ValueError(value)


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    raise ValueError(value)


def _time(value: Any) -> time:
    if isinstance(value, time):
        return value
    raise ValueError(value)


def _string(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case date() | time():
            return value.isoformat()
        case int() | float():
            return str(value)
        case bytes():
            raise ValueError(value)
        case _:
            return _json_text(value)


def _binary(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise ValueError(value)


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_CONVERTERS: dict[Kind, Fit] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "string": _string,
    "binary": _binary,
    "json": lambda value: value,
}

_WORDS = {"1": True, "true": True, "0": False, "false": False, "t": True, "f": False}
_FAST: dict[Kind, Callable[[str], Any]] = {
    "bool": _WORDS.__getitem__,
    "int": int,
    "float": float,
    "decimal": Decimal,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}
_TAKEN_AS_TEXT: Mapping[SqlDialect, frozenset[Kind]] = {
    SQLITE: frozenset({"decimal", "date", "datetime", "time", "json"}),
    DUCKDB: frozenset({"decimal"}),
}
"""Kinds whose texts a database takes, if they are right.

SQLite has no type for them, and stores the texts, or numbers by the rules of its columns. DuckDB makes the
same decimal of a text as of the number, in less time.
"""

_NATIVE: frozenset[Kind] = frozenset({"bool", "int", "float", "decimal", "date", "time", "string", "binary"})
"""Kinds whose values every driver but SQLite's can send."""

_TRUTH = {"true": 1, "false": 0}

_MISFITS = (ValueError, ArithmeticError, TypeError, LookupError)
