"""The fast ways to read a query: csv text that the server writes, or Arrow, where the driver has them.

The file is the same whichever way is taken; where one cannot be exact, or cannot be interrupted, it is not
taken. That of SQLite is in `sqlite_apart`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import msgspec

from aetherflow.data_files import ArrowRows, Dialect, TextRows, arrow_column, can_be_vectorized
from aetherflow_db.duckdb_driver import may_return_rows
from aetherflow_db.postgres_copy import copied_rows
from aetherflow_db.query import Query
from aetherflow_db.session import Session

_DIFFERS_IN_ARROW = re.compile(r"\b(BIT|INTERVAL|TIME WITH TIME ZONE|TIMESTAMP_(S|MS|NS)|MAP|UNION)\b")
"""DuckDB's types that Arrow has no equal for: what it makes of them is not what a row has."""


class Wanted(msgspec.Struct, frozen=True):
    """What the rows are for.

    Attributes:
        dialect: how csv or tsv text is spelled; None: they become no such text.
        is_parquet: whether they become a Parquet file.
        needs_values: whether their types are observed, or the flow names some.
    """

    dialect: Dialect | None = None
    is_parquet: bool = False
    needs_values: bool = False

    @property
    def may_be_apart(self) -> bool:
        """Whether a process of its own may read them as Arrow (`sqlite_apart`)."""
        return self.text is not None and not self.needs_values

    @property
    def text(self) -> Dialect | None:
        """The dialect of csv text that serves the purpose; None: text does not."""
        if self.is_parquet:
            return Dialect() if find_spec("pyarrow") else None
        return self.dialect if self.dialect is not None and can_be_vectorized(self.dialect) else None


def fast_rows(session: Session, query: Query, fetch_size: int, wanted: Wanted) -> ArrowRows | TextRows | None:
    """Run a query in the fast way of its driver; None: there is none for it, and it did not run.

    Raises:
        Exception: what the driver raises; the session translates it.
    """
    way = _WAYS.get(session.driver.module)
    return None if way is None else way(session, query, fetch_size, wanted)


def _postgres(session: Session, query: Query, fetch_size: int, wanted: Wanted) -> TextRows | None:
    del fetch_size  # the server sends rows as it makes them
    if wanted.text is None:
        return None
    session.prepare(query)
    return copied_rows(session.raw, query, wanted.text, is_parsed=wanted.is_parquet)


def _duckdb(session: Session, query: Query, fetch_size: int, wanted: Wanted) -> ArrowRows | None:
    if wanted.text is None or not find_spec("pyarrow"):
        return None
    sql, *params = session.arguments(query)
    if not may_return_rows(session.raw, sql):
        return None
    session.prepare(query)
    # Not by `execute`, whose result would be in memory before it is an Arrow table.
    try:
        answer = session.raw.sql(sql, params=params[0] if params else None)
    except session.driver.errors:
        return None  # the plain way reports what is wrong, at its place in the statement
    if any(_DIFFERS_IN_ARROW.search(str(kind)) for kind in answer.types):
        return None  # nothing has run yet
    reader = answer.to_arrow_reader(max(fetch_size, 10_000))
    return ArrowRows(tuple(map(arrow_column, reader.schema)), _without_empty(reader))


def _without_empty(reader: Any) -> Iterator[Any]:
    return (batch for batch in reader if batch.num_rows)


_WAYS: Mapping[str, Callable[[Session, Query, int, Wanted], ArrowRows | TextRows | None]] = {
    "duckdb": _duckdb,
    "psycopg": _postgres,
}
