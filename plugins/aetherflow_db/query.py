"""A query to a database; its answer is `Rows` of the package data_files."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from aetherflow.data_files import Row, Rows

__all__ = ["Query", "Row", "Rows"]

_BEFORE_WORD = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"\w*")

SHOWN_SQL = 500
"""How many characters of a statement an error's detail carries."""


class SqlText(msgspec.Struct, frozen=True):
    """SQL as somebody wrote it.

    Attributes:
        text: one statement, or a script.
        source: the file that it is from; empty: the flow.
    """

    text: str
    source: str = ""


class Query(msgspec.Struct, frozen=True):
    """A statement and its bind parameters, which never become part of its text.

    Attributes:
        sql: the statement as written in the flow.
        params: named parameters, or a list of positional ones where the driver knows them.
        source: the file that it is from; empty: the flow itself.
        line: in which line it begins there; 1 is the first one.
        column: at which character of that line.
    """

    sql: str
    params: dict[str, Any] | list[Any] | None = None
    source: str = ""
    line: int = 1
    column: int = 1

    @property
    def first_word(self) -> str:
        """The first word in upper case, behind comments and brackets; empty: there is none."""
        start = _BEFORE_WORD.match(self.sql)
        found = _WORD.match(self.sql, start.end() if start else 0)
        return found[0].upper() if found else ""

    @property
    def shown(self) -> str:
        """The statement, shortened for an error's detail."""
        sql = self.sql.strip()
        return sql if len(sql) <= SHOWN_SQL else f"{sql[: SHOWN_SQL - 3]}..."
