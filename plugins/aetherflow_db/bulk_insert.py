"""Insert batches of rows on the fastest way of each driver, and find the row that a database refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from aetherflow import MissingExtra, StepError
from aetherflow_db.column_mapping import Mapped
from aetherflow_db.query import Query, Row
from aetherflow_db.row_errors import Source, refused, refused_among
from aetherflow_db.sql_dialects import DUCKDB, EXASOL, MSSQL, MYSQL, ORACLE, SQLITE, SqlDialect
from aetherflow_db.transaction import Transaction

Insert = Callable[[Sequence[Row]], None]

ROWS_PER_STATEMENT = 50
"""How many rows one INSERT has, where rows are written into the statement."""

ROWS_PER_TABLE = 20_000
"""How many rows DuckDB gets at once."""

PARAMETERS = 900
"""How many parameters one statement has at most; SQLite and SQL Server have limits."""

_SAVEPOINT = "aetherflow_batch"
_MARKS = {"qmark": "?", "format": "%s", "pyformat": "%s", "dollar": "?"}


class Target(msgspec.Struct, frozen=True):
    """Where rows go.

    Attributes:
        source: the file and the table, for messages.
        table: the quoted name of the table, which may be a temporary one.
        columns: the columns that the rows have, in order.
    """

    source: Source
    table: str
    columns: Sequence[Mapped]

    def names(self, dialect: SqlDialect) -> list[str]:
        """The quoted names of the columns."""
        return [dialect.quoted(one.target.name) for one in self.columns]


def insert_batches(
    transaction: Transaction, target: Target, batches: Iterator[Sequence[Row]], first_row: int = 1
) -> int:
    """Insert all batches and return the number of rows.

    Raises:
        StepError: the database refuses a row (AF923), or its connection is lost.
    """
    insert, done = inserter(transaction, target), 0
    for batch in _tables(batches) if transaction.dialect == DUCKDB else batches:
        _insert(transaction, target, insert, batch, first_row + done)
        done += len(batch)
    return done


def inserter(transaction: Transaction, target: Target) -> Insert:
    """Return what inserts a batch by the driver of this connection."""
    match transaction.dialect:
        case dialect if dialect == DUCKDB:
            return _by_arrow(transaction, target)  # whose rows are Arrow tables
        case dialect if dialect == EXASOL and hasattr(transaction.raw, "import_from_iterable"):
            names = target.names(dialect)
            return lambda rows: transaction.raw.import_from_iterable(
                rows, target.table, import_params={"columns": names}
            )
        case dialect if dialect in {MYSQL, ORACLE}:
            return _executemany(transaction, target, 1)  # both drivers send many rows at once
        case _:
            most = PARAMETERS if transaction.dialect in {SQLITE, MSSQL} else 10 * PARAMETERS
            return _executemany(
                transaction, target, max(1, min(ROWS_PER_STATEMENT, most // len(target.columns)))
            )


def _executemany(transaction: Transaction, target: Target, rows_per_statement: int) -> Insert:
    names = target.names(transaction.dialect)
    mark = _MARKS.get(transaction.paramstyle)
    marks = ", ".join(mark or f":{number}" for number in range(1, len(names) + 1))
    is_format = mark == "%s"
    head = f"INSERT INTO {target.table} ({', '.join(names)}) VALUES "
    head = head.replace("%", "%%") if is_format else head
    single, several = f"{head}({marks})", f"{head}{', '.join([f'({marks})'] * rows_per_statement)}"

    def insert(rows: Sequence[Row]) -> None:
        cursor = transaction.raw.cursor()
        try:
            whole = len(rows) - len(rows) % rows_per_statement if rows_per_statement > 1 else 0
            if whole:
                groups = (
                    tuple(chain.from_iterable(rows[at : at + rows_per_statement]))
                    for at in range(0, whole, rows_per_statement)
                )
                for group in groups:
                    cursor.execute(several, group)
            if whole < len(rows):
                cursor.executemany(single, rows[whole:])
        finally:
            cursor.close()

    return insert


def _tables(batches: Iterator[Sequence[Row]]) -> Iterator[Any]:
    """Yield the rows as Arrow tables, which are larger than the batches: each INSERT of DuckDB costs much.

    Small batches become arrays at once, while the caches of the processor hold them.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "loading into DuckDB needs pyarrow, which is not installed",
            hint="pip install 'aetherflow[arrow]'",
        ) from error

    def joined(tables: list[Any]) -> list[Any]:
        try:
            return [pa.concat_tables(tables, promote_options="permissive").combine_chunks()]
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column has values of types that have no common one
            return tables

    waiting: list[Any] = []
    count = 0
    for batch in batches:
        columns = [pa.array(values) for values in zip(*batch, strict=True)]
        waiting.append(pa.Table.from_arrays(columns, [f"c{number}" for number in range(len(columns))]))
        count += len(batch)
        if count >= ROWS_PER_TABLE:
            yield from joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield from joined(waiting)


def _by_arrow(transaction: Transaction, target: Target) -> Insert:
    """Insert an Arrow table, which DuckDB reads where it is."""
    names = ", ".join(target.names(transaction.dialect))

    def insert(rows: Any) -> None:
        transaction.raw.register("aetherflow_rows", rows)
        transaction.raw.execute(f"INSERT INTO {target.table} ({names}) SELECT * FROM aetherflow_rows")
        transaction.raw.unregister("aetherflow_rows")

    return insert


def _insert(
    transaction: Transaction, target: Target, insert: Insert, rows: Sequence[Row], first_row: int
) -> None:
    """Insert a batch; if the database refuses it, find the first row that it refuses.

    Raises:
        StepError: it refuses a row (AF923), or its connection is lost.
    """
    savepoint = Savepoint(transaction)
    savepoint.set()
    try:
        insert(rows)
    except transaction.refusals as error:
        failure = transaction.failure(error, Query(f"INSERT INTO {target.table} ..."))
        if failure.kind != "other":
            raise failure from error
        if not savepoint.is_there:
            raise refused_among(target.source, first_row, len(rows), error) from error
        try:
            savepoint.roll_back()
        except StepError:  # the database has ended the transaction, as SQLite does on a full disk
            raise failure from error
        if len(rows) == 1:
            raise refused(target.source, first_row, target.columns, rows[0], error) from error
    else:
        savepoint.release()
        return
    half = len(rows) // 2
    _insert(transaction, target, insert, rows[:half], first_row)
    _insert(transaction, target, insert, rows[half:], first_row + half)


class Savepoint:
    """A place in the transaction to which it can go back; DuckDB and Exasol have none."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.is_there = transaction.dialect not in {DUCKDB, EXASOL}
        self._is_mssql = transaction.dialect == MSSQL

    def set(self) -> None:
        """Note this place; a later one of the same name replaces it."""
        if self.is_there:
            word = "SAVE TRANSACTION" if self._is_mssql else "SAVEPOINT"
            self._transaction.execute(Query(f"{word} {_SAVEPOINT}"))

    def release(self) -> None:
        """Forget this place: SQLite and PostgreSQL would look at all of them at each change."""
        if self.is_there and self._transaction.dialect not in {MSSQL, ORACLE}:
            self._transaction.execute(Query(f"RELEASE SAVEPOINT {_SAVEPOINT}"))

    def roll_back(self) -> None:
        """Undo what came after it."""
        word = "ROLLBACK TRANSACTION" if self._is_mssql else "ROLLBACK TO"
        self._transaction.execute(Query(f"{word} {_SAVEPOINT}"))
