"""A table in batches: the names and kinds of its columns, and its rows. Imports nothing of AetherFlow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

Kind = Literal["bool", "int", "float", "decimal", "date", "time", "datetime", "string", "binary", "json"]
"""What the values of a column are; the same words as in `dtypes`."""

Row = Sequence[Any]
"""None, bool, int, float, Decimal, str, date, datetime, time, bytes, or a JSON value (list, dict)."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        name: as the query or the file has it; several columns may have the same name.
        kind: None: not known, a value may be of any kind.
        precision: of a decimal: how many digits it has at most; None: not known.
        scale: of a decimal: how many of these are behind the point; None: not known.
        is_zoned: of a datetime: whether its values are points in time (they have an offset to UTC).
        is_soft: whether values may be of another kind: SQLite stores any value in any column.
    """

    name: str
    kind: Kind | None = None
    precision: int | None = None
    scale: int | None = None
    is_zoned: bool = False
    is_soft: bool = False


class Rows(msgspec.Struct, frozen=True):
    """The columns of a table, and its rows in batches of bounded size."""

    columns: tuple[Column, ...]
    batches: Iterator[Sequence[Row]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


def untyped(names: Sequence[str]) -> tuple[Column, ...]:
    """Return columns of which only the names are known."""
    return tuple(Column(name) for name in names)
