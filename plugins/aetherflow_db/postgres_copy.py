"""Read a query of PostgreSQL as csv text that the server writes (COPY): the same bytes as its rows would be.

The rules for values (`data_files.value_text`) are written in SQL, for the types where that is exact.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from typing import Any

from aetherflow.data_files import Column, Dialect, TextRows
from aetherflow_db.bound_statement import bound
from aetherflow_db.column_kinds import columns_of
from aetherflow_db.query import Query

BLOCK_BYTES = 256 * 1024
READ_BYTES = 2**20
"""So much is read from the socket at once, if it is there."""

PAUSE_SECONDS = 500e-6
"""So long data gathers before it is read: a server that wakes the reader for each packet is slower."""

_PREPARATION = f"""
SELECT repeat(' ', {READ_BYTES}), (
  SELECT set_config(name, greatest(setting::float8 * 10, -1)::text, true)
  FROM pg_settings WHERE name = 'jit_above_cost')
""".encode()
"""A row of this size makes libpq's buffer as large; else it reads 16 kB at once.

What is written for the columns looks expensive to the planner, but compiling it takes longer than it saves.
"""

_FLOAT8 = (
    "CASE WHEN {0} <> trunc({0}) AND abs({0}) < 1e15 THEN {0}::text"
    " WHEN abs({0}) < 1e15 THEN {0}::text || '.0'"
    " WHEN {0} <> trunc({0}) THEN {0}::text::numeric::text"
    " WHEN abs({0}) < 1e16 THEN {0}::text::numeric::text || '.0'"
    " WHEN {0} = 'NaN' THEN 'nan' WHEN {0} = 'Infinity' THEN 'inf' WHEN {0} = '-Infinity' THEN '-inf'"
    " ELSE {0}::text END"
)
"""The usual case is first. From 1e15 on PostgreSQL writes an exponent, and Python from 1e16 on."""

_FLOAT4 = (
    "CASE WHEN {0} = 0 THEN {0}::text || '.0'"
    " WHEN {0} <> trunc({0}) AND abs({0}) >= 1e-4 AND abs({0}) < 1e5 THEN {0}::text"
    " WHEN {0} <> trunc({0}) AND abs({0}) >= 1e-4 AND abs({0}) < 1e16 THEN {0}::text::numeric::text"
    " WHEN {0} = trunc({0}) AND abs({0}) < 1e16 THEN {0}::text::numeric::text || '.0'"
    " WHEN {0} = 'NaN' THEN 'nan' WHEN {0} = 'Infinity' THEN 'inf' WHEN {0} = '-Infinity' THEN '-inf'"
    " ELSE {0}::text END"
)
_FAR = "{0} < '0001-01-01' OR {0} >= '10000-01-01'"
"""Infinity, and years that Python has not: as the server writes them, as `postgres_dates` reads them."""

_COMPLETE = "{0} = {0}::{1}(0) OR {0} <> {0}::{1}(5)"
"""Whether a time has no fraction, or one of six digits: the server leaves out the zeros at its end."""

_MOMENT = (
    f"CASE WHEN {_FAR} THEN {{0}}::text"
    f" WHEN {_COMPLETE} THEN replace({{0}}::text, ' ', 'T')"
    " ELSE rpad(replace({0}::text, ' ', 'T'), 26, '0') END"
).replace("{1}", "timestamp")
_IN_UTC = (
    f"CASE WHEN {_FAR} THEN {{0}}::text"
    f" WHEN {_COMPLETE} THEN replace(({{0}} AT TIME ZONE 'UTC')::text, ' ', 'T') || '+00:00'"
    " ELSE rpad(replace(({0} AT TIME ZONE 'UTC')::text, ' ', 'T'), 26, '0') || '+00:00' END"
).replace("{1}", "timestamptz")
_TIME = f"CASE WHEN {_COMPLETE} THEN {{0}}::text ELSE rpad({{0}}::text, 15, '0') END".replace("{1}", "time")
_BOOL = "CASE WHEN {0} THEN 'true' WHEN NOT {0} THEN 'false' END"
_HEX = "encode({0}, 'hex')"

_TEXTS = frozenset({17, 18, 19, 25, 1043})
_PLAIN = dict.fromkeys((18, 19, 20, 21, 23, 25, 26, 1042, 1043, 1082, 1700, 2950), "{0}")
_IN_TEXT = {
    **_PLAIN,
    16: _BOOL,
    17: _HEX,
    700: _FLOAT4,
    701: _FLOAT8,
    1083: _TIME,
    1114: _MOMENT,
    1184: _IN_UTC,
}
"""By the numbers of PostgreSQL's types: what is written for a column."""

_TO_BE_PARSED = {
    **_PLAIN,
    **dict.fromkeys((16, 700, 701, 1083, 1114), "{0}"),
    17: _HEX,
    1184: "{0} AT TIME ZONE 'UTC'",
}
"""The same for text that `record_batches` reads: as the server writes it, which is faster."""


def copied_rows(
    connection: Any, query: Query, dialect: Dialect, *, is_parsed: bool = False
) -> TextRows | None:
    """Return the rows of a query as csv text; None: it cannot be copied, so its rows must be fetched.

    Args:
        connection: of psycopg 3, in a transaction.
        query: the query.
        dialect: how the text is spelled; one that only has another delimiter than csv.
        is_parsed: whether the text is for `record_batches`, and not for a file.

    Raises:
        psycopg.Error: the query fails, or is cancelled.
    """
    import psycopg  # noqa: PLC0415 - an optional dependency, and slow to import

    info = connection.info
    if info.encoding != "utf-8" or not (info.parameter_status("DateStyle") or "").startswith("ISO"):
        return None
    sql = _with_values(connection, query)
    cursor = psycopg.ClientCursor(connection)
    try:
        with connection.transaction():  # a savepoint: what is no subquery must not end the transaction
            cursor.execute(f"SELECT * FROM (\n{sql}\n) AS q LIMIT 0".encode())
            description = cursor.description or []
            cursor.execute(_PREPARATION)
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        return None  # the plain way reports what is wrong, at its place in the statement
    known = _TO_BE_PARSED if is_parsed else _IN_TEXT
    expressions = [known.get(column.type_code) for column in description]
    if len(expressions) < 2 or None in expressions:  # noqa: PLR2004 - COPY quotes the only field in its own way
        return None
    names = [f"c{number}" for number in range(len(expressions))]
    written = [
        _written(expression or "", column.type_code, name, dialect)
        for expression, column, name in zip(expressions, description, names, strict=True)
    ]
    delimiter = dialect.delimiter.replace("'", "''")
    copy = (
        f"COPY (SELECT {', '.join(written)} FROM (\n{sql}\n) AS q({', '.join(names)}))"
        f" TO STDOUT (FORMAT csv, DELIMITER '{delimiter}')"
    )
    columns: tuple[Column, ...] = columns_of("psycopg", description)
    _send(connection.pgconn, copy.encode())  # the server begins while what writes the file is imported
    return TextRows(columns, _blocks(connection.pgconn))


def _with_values(connection: Any, query: Query) -> str:
    """Return the statement with its values as literals, quoted by the driver: COPY takes no parameters."""
    import psycopg  # noqa: PLC0415 - an optional dependency, and slow to import

    sql = query.sql.strip().rstrip(";")
    if not query.params:
        return sql.replace("\\:", ":")
    statement = bound(sql, dict(query.params), "pyformat")
    return str(psycopg.ClientCursor(connection).mogrify(*statement))


def _written(expression: str, type_code: int, name: str, dialect: Dialect) -> str:
    text = expression.format(name)
    if not dialect.empty_is_quoted and type_code in _TEXTS:
        return f"nullif({text}, '')"
    return text


def _send(pgconn: Any, statement: bytes) -> None:
    pgconn.send_query(statement)
    while pgconn.flush():
        select.select([], [pgconn.socket], [])


def _blocks(pgconn: Any) -> Iterator[tuple[bytearray, int]]:
    """Yield the text of a COPY that was sent, in blocks of whole rows, each with its number of rows.

    The loop is below psycopg's `cursor.copy`, which costs more for each row than the server does.

    Raises:
        psycopg.Error: the statement fails, or is cancelled.
    """
    from psycopg import pq  # noqa: PLC0415 - an optional dependency, and slow to import

    _check(_result(pgconn), pq.ExecStatus.COPY_OUT)
    block, count, get = bytearray(), 0, pgconn.get_copy_data
    while True:
        length, data = get(1)
        if length > 0:
            block += data
            count += 1
            if len(block) >= BLOCK_BYTES:
                yield block, count
                block, count = bytearray(), 0
        elif length == 0:
            select.select([pgconn.socket], [], [])
            time.sleep(PAUSE_SECONDS)
            pgconn.consume_input()
        else:
            break
    if count:
        yield block, count
    _check(_result(pgconn), pq.ExecStatus.COMMAND_OK)
    while pgconn.get_result() is not None:
        pass


def _result(pgconn: Any) -> Any:
    while pgconn.is_busy():
        select.select([pgconn.socket], [], [])
        pgconn.consume_input()
    return pgconn.get_result()


def _check(result: Any, expected: Any) -> None:
    """Raise the error that a result is, unless it is what was expected."""
    from psycopg.errors import error_from_result  # noqa: PLC0415 - an optional dependency

    if result.status != expected:
        raise error_from_result(result)
