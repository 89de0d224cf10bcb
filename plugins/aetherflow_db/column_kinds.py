"""What the drivers say about the columns of a query, as kinds; the values show the rest. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from aetherflow.data_files import Column, Kind, Row

Described = Sequence[Any]
"""A column of `cursor.description`: name, type code, display size, internal size, precision, scale, null."""


def columns_of(module: str, description: Sequence[Described]) -> tuple[Column, ...]:
    """Return the columns of a query, with the kinds that the driver module's description says."""
    read = _READERS.get(module)
    return tuple(
        Column(str(column[0])) if read is None else read(str(column[0]), column) for column in description
    )


_POSTGRES: Mapping[int, Kind] = {
    16: "bool",
    17: "binary",
    18: "string",
    19: "string",
    20: "int",
    21: "int",
    23: "int",
    25: "string",
    26: "int",
    114: "json",
    700: "float",
    701: "float",
    1042: "string",
    1043: "string",
    1082: "date",
    1083: "time",
    1114: "datetime",
    1184: "datetime",
    1700: "decimal",
    2950: "string",
    3802: "json",
}
"""By the numbers of PostgreSQL's types, which are the same in every version."""

TIMESTAMPTZ = 1184


def _postgres(name: str, column: Described) -> Column:
    kind = _POSTGRES.get(column[1])
    if kind == "decimal":
        return Column(name, kind, *_digits(column[4], column[5]))
    return Column(name, kind, is_zoned=column[1] == TIMESTAMPTZ)


_MOST_DIGITS = 76
"""Of the longest decimal that Arrow has."""


def _digits(precision: Any, scale: Any) -> tuple[int | None, int | None]:
    """Return precision and scale, if a decimal can have them."""
    if (
        isinstance(precision, int)
        and isinstance(scale, int)
        and 0 < precision <= _MOST_DIGITS
        and 0 <= scale <= precision
    ):
        return precision, scale
    return None, None


_MYSQL: Mapping[int, Kind] = {
    0: "decimal",
    1: "int",
    2: "int",
    3: "int",
    4: "float",
    5: "float",
    7: "datetime",
    8: "int",
    9: "int",
    10: "date",
    11: "time",
    12: "datetime",
    13: "int",
    245: "json",
    246: "decimal",
    247: "string",
    248: "string",
}
"""By the numbers of the protocol; texts and binary values have the same numbers, so the values show them."""


def _mysql(name: str, column: Described) -> Column:
    kind = _MYSQL.get(column[1])
    if kind != "decimal":
        return Column(name, kind)
    length, scale = column[3], column[5]  # the length counts the point, and the sign of a signed number
    digits = length - (1 if scale else 0) if isinstance(length, int) and isinstance(scale, int) else None
    return Column(name, kind, *_digits(digits, scale))


def times_of_day(columns: Sequence[Column], batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    """Return batches whose times are times: MySQL's drivers give durations, which they may be, too."""
    numbers = [number for number, column in enumerate(columns) if column.kind == "time"]
    return (list(map(partial(_with_times, numbers), batch)) for batch in batches) if numbers else batches


_MIDNIGHT = datetime(1, 1, 1)  # noqa: DTZ001 - only its time is used


def _with_times(numbers: Sequence[int], row: Row) -> Row:
    found = list(row)
    for number in numbers:
        value = found[number]
        if isinstance(value, timedelta) and timedelta() <= value < timedelta(days=1):
            found[number] = (_MIDNIGHT + value).time()
    return found


_ORACLE: Mapping[str, Kind] = {
    "DB_TYPE_BINARY_DOUBLE": "float",
    "DB_TYPE_BINARY_FLOAT": "float",
    "DB_TYPE_BLOB": "binary",
    "DB_TYPE_BOOLEAN": "bool",
    "DB_TYPE_CHAR": "string",
    "DB_TYPE_CLOB": "string",
    "DB_TYPE_DATE": "datetime",
    "DB_TYPE_JSON": "json",
    "DB_TYPE_LONG": "string",
    "DB_TYPE_NCHAR": "string",
    "DB_TYPE_NCLOB": "string",
    "DB_TYPE_NVARCHAR": "string",
    "DB_TYPE_RAW": "binary",
    "DB_TYPE_TIMESTAMP": "datetime",
    "DB_TYPE_VARCHAR": "string",
}
_MOST_INT_DIGITS = 18


def _oracle(name: str, column: Described) -> Column:
    word = getattr(column[1], "name", "")
    if word == "DB_TYPE_NUMBER":
        precision, scale = _digits(column[4], column[5])
        if precision is None:
            return Column(name)
        is_int = scale == 0 and precision <= _MOST_INT_DIGITS
        return Column(name, "int") if is_int else Column(name, "decimal", precision, scale)
    return Column(name, _ORACLE.get(word))


_DUCKDB: Mapping[str, Kind] = {
    "BIGINT": "int",
    "BLOB": "binary",
    "BOOLEAN": "bool",
    "DATE": "date",
    "DOUBLE": "float",
    "FLOAT": "float",
    "INTEGER": "int",
    "JSON": "json",
    "SMALLINT": "int",
    "TIME": "time",
    "TIMESTAMP": "datetime",
    "TIMESTAMP WITH TIME ZONE": "datetime",
    "TINYINT": "int",
    "UUID": "string",
    "VARCHAR": "string",
}
_DUCKDB_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")


def _duckdb(name: str, column: Described) -> Column:
    word = str(column[1])
    if found := _DUCKDB_DECIMAL.fullmatch(word):
        return Column(name, "decimal", int(found[1]), int(found[2]))
    return Column(name, _DUCKDB.get(word), is_zoned=word.endswith("WITH TIME ZONE"))


_SQLITE_TYPES: Mapping[str, Kind] = {
    "BOOL": "bool",
    "INT": "int",
    "CHAR|CLOB|TEXT|STRING|UUID": "string",
    "BLOB|BINARY|BYTEA": "binary",
    "REAL|FLOA|DOUB": "float",
    "DATETIME|TIMESTAMP": "datetime",
    "DATE": "date",
    "TIME": "time",
    "JSON": "json",
}
"""By what the name of a type has in it; the first that is found counts."""


def kind_of_declared(declared: str) -> Kind | None:
    """Return the kind that a declared type of SQLite means; None: a number, or nothing is declared.

    SQLite stores 5 in a column that is declared `DECIMAL(10,2)`, and 0.30000000000000004 too; so the values
    of such a column show what it is.
    """
    word = declared.upper()
    return next((kind for pattern, kind in _SQLITE_TYPES.items() if re.search(pattern, word)), None)


_READERS: Mapping[str, Callable[[str, Described], Column]] = {
    "duckdb": _duckdb,
    "psycopg": _postgres,
    "psycopg2": _postgres,
    "pymysql": _mysql,
    "oracledb": _oracle,
}
