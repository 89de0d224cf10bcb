"""A query to a database; its answer is `Rows` of the package data_files."""

from __future__ import annotations

from typing import Any

import msgspec

from aetherflow.data_files import Row, Rows

__all__ = ["Query", "Row", "Rows"]

SHOWN_SQL = 500
"""How many characters of a statement an error's detail carries."""


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
