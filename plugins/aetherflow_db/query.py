"""A query to a database and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

SHOWN_SQL = 500
"""How many characters of a statement an error's detail carries."""

Row = Sequence[Any]


class Query(msgspec.Struct, frozen=True):
    """A statement and its bind parameters, which never become part of its text.

    Attributes:
        sql: the statement as written in the flow.
        params: named parameters, or a list of positional ones where the driver knows them.
    """

    sql: str
    params: dict[str, Any] | list[Any] | None = None

    @property
    def shown(self) -> str:
        """The statement, shortened for an error's detail."""
        sql = self.sql.strip()
        return sql if len(sql) <= SHOWN_SQL else f"{sql[: SHOWN_SQL - 3]}..."


class Rows(msgspec.Struct, frozen=True):
    """The answer to a query: the names of its columns, and its rows in batches of bounded size."""

    columns: tuple[str, ...]
    batches: Iterator[Sequence[Row]]
