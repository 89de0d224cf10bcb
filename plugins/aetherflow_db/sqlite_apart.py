"""Read a large result of SQLite in a process of its own, by ADBC: faster, and without Python's lock.

ADBC guesses the type of a column from its first values and converts the others. So the query is changed: it
checks each value. Where one is of another type `InexactError` ends the attempt, and the rows must be read as
usual. What another release of SQLite may compute in another way (functions, sums, texts of numbers) is not
read here.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aetherflow import StepError
from aetherflow.data_files import Column, Kind
from aetherflow_db.bound_statement import UnboundParameterError, bound
from aetherflow_db.query import Query, Row, Rows
from aetherflow_db.session import Session
from aetherflow_db.sqlite_process import Format, Request, is_installed

LEAST_BYTES = 8 * 2**20
"""A smaller file has no result that is worth a process."""
FIRST_ROWS = 10_000
"""So many rows are read as usual; what has more, is read again by the other process."""
START_ROWS = 2_000
"""From so many rows on that process is started, to be ready when it is needed."""
BATCH_BYTES = 2 * 2**20
"""So much text, or less, comes at once: several batches are in memory."""
MOST_ROW_BYTES = 4096
"""With longer rows even the first ones would take too much memory."""
MOST_SECONDS = 1.0
"""A query that takes so long for its first rows does not run twice."""

_FORMATS: dict[frozenset[type], Format] = {
    frozenset({int}): "l",
    frozenset({float}): "g",
    frozenset({str}): "u",
    frozenset(): "n",
}
_OTHER: dict[Format, str] = {
    "g": "WHEN typeof({0}) = 'integer' THEN 1",
    "u": "WHEN +{0} < '' THEN 1 WHEN +{0} >= x'' THEN 1",  # numbers are less than texts, and texts than blobs
    "n": "WHEN {0} IS NOT NULL THEN 1",
}
"""In SQL: whether a value is of another type, where ADBC does not report it."""

_IN_PARQUET: dict[Format, frozenset[Kind | None]] = {
    "l": frozenset({None, "int", "bool"}),
    "g": frozenset({None, "float"}),
    "u": frozenset({None, "string", "date", "datetime"}),
    "n": frozenset({None, "int", "bool", "float", "string", "date", "datetime"}),
}
"""The kinds of columns for which Arrow's values become those that Python's would."""

_COMPUTES = ("Function", "PureFunc", "Cast", "Concat", "Agg", "VOpen")
"""What begins with these in SQLite's program for a query may depend on the release of the library."""

_COMPOUND = re.compile(r"\b(UNION|INTERSECT|EXCEPT)\b", re.IGNORECASE)
"""Inside of another query such a one gives all its columns the type of its first part."""

_READS = frozenset({"OpenRead", "Rewind", "Last", "Next", "Prev", "Rowid", "Column", "RealAffinity"})
_SIMPLE = _READS | {"Init", "Transaction", "Goto", "Halt", "ResultRow"}
"""The instructions of a program that reads a table; only `Column` and `Rowid` write results."""


class Apart:
    """A query that another process may run, if its first rows show that it is worth it."""

    def __init__(self, file: str, sql: str, params: Sequence[Any], reals: frozenset[int]) -> None:
        """Take the file, the query, and the numbers of the columns whose numbers are never integers."""
        self._file, self._sql, self._params, self._reals = file, sql, list(params), reals

    def request(self, columns: Sequence[Column], first: Sequence[Row], *, is_parquet: bool) -> Request | None:
        """Return what the other process does; None: a column has values that it cannot give."""
        formats = _formats(first)
        known = [one for one in formats if one is not None]
        if len(known) < len(formats) or len(formats) != len(columns):
            return None
        pairs = zip(columns, known, strict=True)
        if is_parquet and not all(column.kind in _IN_PARQUET[one] for column, one in pairs):
            return None
        batch_rows = min(FIRST_ROWS, len(first) * BATCH_BYTES // max(_size(first), 1)) or 1
        if _formats(first[:batch_rows]) != formats:  # from its first batch ADBC would guess another type
            return None
        names = [f"c{number}" for number in range(len(known))]
        others = [
            _OTHER[one].format(names[number])
            for number, one in enumerate(known)
            if one in _OTHER and number not in self._reals
        ]
        listed, query = ", ".join(names), self._sql.strip().rstrip(";")
        other = f"CASE {' '.join(others)} ELSE 0 END" if others else "0"
        sql = f"WITH q({listed}) AS (\n{query}\n) SELECT {listed}, {other} FROM q"
        return Request(f"file:{quote(self._file)}?mode=ro", sql, self._params, known, batch_rows)


def _formats(rows: Sequence[Row]) -> list[Format | None]:
    found = [frozenset({*map(type, values)} - {type(None)}) for values in zip(*rows, strict=True)]
    return [_FORMATS.get(types) for types in found]


def _size(rows: Sequence[Row]) -> int:
    """Return how many characters and bytes the values of rows have."""
    return sum(len(value) for row in rows for value in row if isinstance(value, str | bytes))


def apart(session: Session, query: Query) -> Apart | None:
    """Return a query that another process answers in the same way, if that may be worth it."""
    file, connection = session.driver.file, session.raw
    if file is None or not is_installed():
        return None
    usual: tuple[type[Exception], ...] = (
        OSError,
        UnboundParameterError,
        StepError,
        OverflowError,
        ValueError,
    )
    usual += session.driver.errors
    try:
        if Path(file).stat().st_size < LEAST_BYTES:
            return None
        sql, params = _in_order(*session.arguments(query))
        if _COMPOUND.search(sql) or not {*map(type, params)} <= {int, float, str}:
            return None
        program = connection.execute(f"EXPLAIN {sql}", params).fetchall()
    except usual:
        return None  # the usual way reports what is wrong
    if any(str(step[1]).startswith(_COMPUTES) for step in program):
        return None
    return Apart(file, sql, params, _reals(program))


def _reals(program: Sequence[tuple[Any, ...]]) -> frozenset[int]:
    """Return the numbers of the result's columns that come as they are from columns of type REAL.

    SQLite stores their whole values as integers and has an instruction that makes floats of them. Only simple
    programs are understood: in others it may be that this instruction does not always apply.
    """
    if not {step[1] for step in program} <= _SIMPLE:
        return frozenset()
    reals = {first for _, name, first, *_ in program if name == "RealAffinity"}
    results = {(first, count) for _, name, first, count, *_ in program if name == "ResultRow"}
    written = Counter(where for _, name, _, _, where, *_ in program if name == "Column")
    if len(results) != 1:
        return frozenset()
    first, count = results.pop()
    return frozenset(n for n in range(count) if first + n in reals and written[first + n] == 1)


def _in_order(sql: str, params: Any = ()) -> tuple[str, Sequence[Any]]:
    """Return a statement with question marks, and their values."""
    if not isinstance(params, dict):
        return sql, params
    if "\\:" in sql:  # a colon in another spelling, but not for SQLite itself
        raise UnboundParameterError(sql)
    found, values = bound(sql, params, "qmark")
    return found, list(values)


def first_rows(rows: Rows, prepare: Callable[[], None]) -> tuple[list[Sequence[Row]], bool]:
    """Fetch the first batches; and whether there may be many more, and they came fast.

    `prepare` is called when there are some rows, unless they are so long that the usual way is better.
    """
    begun, batches, count = time.monotonic(), [], 0
    for batch in rows.batches:
        batches.append(batch)
        if count < START_ROWS <= count + len(batch):
            if _size(batch) > len(batch) * MOST_ROW_BYTES:
                return batches, False
            prepare()
        count += len(batch)
        if count >= FIRST_ROWS:
            return batches, time.monotonic() - begun < MOST_SECONDS
    return batches, False
