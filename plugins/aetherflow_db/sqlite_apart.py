"""Read a large result of SQLite in a process of its own, by ADBC: faster, and without Python's lock.

ADBC guesses the type of a column from its first values and converts the others. So the query is changed: it
checks each value. Where one is of another type `InexactError` ends the attempt, and the rows must be read as
usual. What another release of SQLite may compute in another way (functions, sums, texts of numbers) is not
read here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from aetherflow import StepError, StopSwitch
from aetherflow.data_files import ArrowRows, Column, Kind
from aetherflow_db.bound_statement import UnboundParameterError, bound
from aetherflow_db.query import Query, Row, Rows
from aetherflow_db.session import Session

WORKER = Path(__file__).with_name("sqlite_worker.py")

LEAST_BYTES = 8 * 2**20
"""A smaller file has no result that is worth a process."""
FIRST_ROWS = 10_000
"""So many rows are read as usual; what has more, is read again by the other process."""
MOST_SECONDS = 1.0
"""A query that takes so long for its first rows does not run twice."""

_Type = Literal["int64", "double", "string", "null"]
_TYPES: dict[frozenset[type], _Type] = {
    frozenset({int}): "int64",
    frozenset({float}): "double",
    frozenset({str}): "string",
    frozenset(): "null",
}
_OTHER: dict[_Type, str] = {
    "double": "typeof({0}) <> 'real'",
    "string": "NOT ({0} >= '' AND {0} < x'')",  # numbers are less than texts, and texts than blobs
    "null": "{0} IS NOT NULL",
}
"""In SQL: whether a value is of another type. ADBC itself reports what is no integer among integers."""

_IN_PARQUET: dict[_Type, frozenset[Kind | None]] = {
    "int64": frozenset({None, "int", "bool"}),
    "double": frozenset({None, "float"}),
    "string": frozenset({None, "string", "date", "datetime"}),
    "null": frozenset({None, "int", "bool", "float", "string", "date", "datetime"}),
}
"""The kinds of columns for which Arrow's values become those that Python's would."""

_COMPUTES = ("Function", "PureFunc", "Cast", "Concat", "Agg", "VOpen")
"""What begins with these in SQLite's program for a query may depend on the release of the library."""


class InexactError(Exception):
    """The other process did not give, for sure, the rows that Python's module gives."""


class Request(msgspec.Struct, frozen=True):
    """What the other process does.

    Attributes:
        uri: the file, for SQLite.
        sql: the query, with one more column: whether a value is of another type than expected.
        params: for its question marks.
        types: the Arrow types that its columns must have.
        batch_rows: how many rows it sends at once.
    """

    uri: str
    sql: str
    params: list[int | float | str]
    types: list[str]
    batch_rows: int


class Apart:
    """A query that another process may run, if its first rows show that it is worth it."""

    def __init__(self, file: str, sql: str, params: Sequence[Any]) -> None:
        self._file, self._sql, self._params = file, sql, list(params)

    def request(self, columns: Sequence[Column], first: Sequence[Row], *, is_parquet: bool) -> Request | None:
        """Return what the other process does; None: a column has values that it cannot give."""
        types = [
            _TYPES.get(frozenset({*map(type, values)} - {type(None)})) for values in zip(*first, strict=True)
        ]
        known = [one for one in types if one is not None]
        if len(known) < len(types) or len(types) != len(columns):
            return None
        pairs = zip(columns, known, strict=True)
        if is_parquet and not all(column.kind in _IN_PARQUET[one] for column, one in pairs):
            return None
        names = [f"c{number}" for number in range(len(known))]
        others = [_OTHER[one].format(name) for name, one in zip(names, known, strict=True) if one in _OTHER]
        listed, query = ", ".join(names), self._sql.strip().rstrip(";")
        sql = f"WITH q({listed}) AS (\n{query}\n) SELECT {listed}, {' OR '.join(others) or '0'} FROM q"
        arrow: list[str] = ["int64" if one == "null" else one for one in known]
        return Request(f"file:{quote(self._file)}?mode=ro", sql, self._params, arrow, FIRST_ROWS)


def apart(session: Session, query: Query) -> Apart | None:
    """Return a query that another process answers in the same way, if that may be worth it."""
    file, connection = session.driver.file, session.raw
    if file is None or not find_spec("pyarrow") or not find_spec("adbc_driver_sqlite"):
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
        if not {*map(type, params)} <= {int, float, str}:
            return None
        program = connection.execute(f"EXPLAIN {sql}", params).fetchall()
    except usual:
        return None  # the usual way reports what is wrong
    if any(str(step[1]).startswith(_COMPUTES) for step in program):
        return None
    return Apart(file, sql, params)


def _in_order(sql: str, params: Any = ()) -> tuple[str, Sequence[Any]]:
    """Return a statement with question marks, and their values."""
    if not isinstance(params, dict):
        return sql, params
    if "\\:" in sql:  # a colon in another spelling, but not for SQLite itself
        raise UnboundParameterError(sql)
    found, values = bound(sql, params, "qmark")
    return found, list(values)


def first_rows(rows: Rows) -> tuple[list[Sequence[Row]], bool]:
    """Fetch the first batches; and whether there may be many more, and they came fast."""
    begun, batches, count = time.monotonic(), [], 0
    for batch in rows.batches:
        batches.append(batch)
        count += len(batch)
        if count >= FIRST_ROWS:
            return batches, time.monotonic() - begun < MOST_SECONDS
    return batches, False


@contextmanager
def rows_apart(request: Request, columns: tuple[Column, ...], switch: StopSwitch) -> Iterator[ArrowRows]:
    """Run a query in another process, for a `with` block; blocking. `switch` is armed with what ends it.

    Raises:
        InexactError: while one iterates: the rows are not, for sure, those of Python's module.
    """
    child = subprocess.Popen(  # noqa: S603 - our own script, by our own interpreter
        [sys.executable, "-P", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"},
    )
    try:
        with switch.armed(child.kill):
            yield ArrowRows(columns, _batches(child, request, [column.name for column in columns]))
    finally:
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):  # the request may not have reached it
                    pipe.close()
        child.wait()


def _batches(child: subprocess.Popen[bytes], request: Request, names: Sequence[str]) -> Iterator[Any]:
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    try:
        if child.stdin is not None:
            child.stdin.write(msgspec.json.encode(request) + b"\n")
            child.stdin.flush()
        with pa.PythonFile(child.stdout, mode="r") as file, pa.ipc.open_stream(file) as stream:
            if [str(field.type) for field in stream.schema][:-1] != request.types:
                raise InexactError
            for batch in stream:
                batch.validate(full=True)  # a text may be no UTF-8
                *arrays, others = batch.columns
                if pc.any(pc.not_equal(others, 0)).as_py():
                    raise InexactError
                if batch.num_rows:
                    yield pa.record_batch(arrays, names=list(names))
    except (OSError, pa.ArrowException) as error:
        raise InexactError from error
    if child.wait() != 0:
        raise InexactError
