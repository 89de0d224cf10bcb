"""Read a query of PostgreSQL as csv text that the server writes (COPY): the same bytes as its rows would be.

The rules for values (`data_files.value_text`) are written in SQL, for the types where that is exact.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any

from aetherflow.data_files import Column, Dialect, TextRows
from aetherflow_db.bound_statement import bound
from aetherflow_db.column_kinds import columns_of
from aetherflow_db.query import Query

BLOCK_BYTES = 256 * 1024

_DIGITS = "CASE WHEN {0} = trunc({0}) THEN '.0' ELSE '' END"
_SPECIAL = (
    "WHEN {0} = 'NaN' THEN 'nan' WHEN {0} = 'Infinity' THEN 'inf' WHEN {0} = '-Infinity' THEN '-inf'"
    " ELSE {0}::text END"
)
_FLOAT8 = (
    f"CASE WHEN abs({{0}}) < 1e15 THEN {{0}}::text || {_DIGITS}"
    f" WHEN abs({{0}}) < 1e16 THEN {{0}}::text::numeric::text || {_DIGITS} {_SPECIAL}"
)
_FLOAT4 = (
    f"CASE WHEN {{0}} = 0 THEN {{0}}::text || '.0'"
    f" WHEN abs({{0}}) >= 1e-4 AND abs({{0}}) < 1e16 THEN {{0}}::text::numeric::text || {_DIGITS} {_SPECIAL}"
)
_MOMENT = (
    "CASE WHEN {0} = date_trunc('second', {0}) THEN replace({0}::text, ' ', 'T')"
    " ELSE rpad(replace({0}::text, ' ', 'T'), 26, '0') END"
)
_FAR = "CASE WHEN {0} < '0001-01-01' OR {0} >= '10000-01-01' THEN {0}::text"
"""Infinity, and years that Python has not: as the server writes them, as `postgres_dates` reads them."""

_TIME = "rpad({0}::text, CASE WHEN strpos({0}::text, '.') = 0 THEN 8 ELSE 15 END, '0')"
_BOOL = "CASE WHEN {0} THEN 'true' WHEN NOT {0} THEN 'false' END"
_IN_UTC = "(" + _MOMENT.replace("{0}", "({0} AT TIME ZONE 'UTC')") + ") || '+00:00'"

_TEXTS = frozenset({18, 19, 25, 1043})
_EXPRESSIONS = {
    **dict.fromkeys((18, 19, 20, 21, 23, 25, 26, 1042, 1043, 1082, 1700, 2950), "{0}"),
    16: _BOOL,
    17: "encode({0}, 'hex')",
    700: _FLOAT4,
    701: _FLOAT8,
    1083: _TIME,
    1114: f"{_FAR} ELSE {_MOMENT} END",
    1184: f"{_FAR} ELSE {_IN_UTC} END",
}
"""By the numbers of PostgreSQL's types: what is written for a column."""


def copied_rows(connection: Any, query: Query, dialect: Dialect) -> TextRows | None:
    """Return the rows of a query as csv text; None: it cannot be copied, so its rows must be fetched.

    Args:
        connection: of psycopg 3, in a transaction.
        query: the query.
        dialect: how the text is spelled; one that only has another delimiter than csv.

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
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        return None  # the plain way reports what is wrong, at its place in the statement
    description = cursor.description or []
    expressions = [_EXPRESSIONS.get(column.type_code) for column in description]
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
    return TextRows(columns, _blocks(connection.pgconn, copy.encode()))


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
    if not dialect.empty_is_quoted and (type_code in _TEXTS or expression.startswith("encode")):
        return f"nullif({text}, '')"
    return text


def _blocks(pgconn: Any, statement: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield the text of a COPY in blocks of whole rows, each with its number of rows.

    The loop is below psycopg's `cursor.copy`, which costs more for each row than the server does.

    Raises:
        psycopg.Error: the statement fails, or is cancelled.
    """
    from psycopg import pq  # noqa: PLC0415 - an optional dependency, and slow to import

    pgconn.send_query(statement)
    while pgconn.flush():
        select.select([], [pgconn.socket], [])
    _check(_result(pgconn), pq.ExecStatus.COPY_OUT)
    pieces: list[bytes] = []
    size, get = 0, pgconn.get_copy_data
    while True:
        length, data = get(1)
        if length > 0:
            pieces.append(bytes(data))
            size += length
            if size >= BLOCK_BYTES:
                yield b"".join(pieces), len(pieces)
                pieces, size = [], 0
        elif length == 0:
            select.select([pgconn.socket], [], [])
            pgconn.consume_input()
        else:
            break
    if pieces:
        yield b"".join(pieces), len(pieces)
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
