"""Say which row, column and value of a file does not fit a table, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

import msgspec

from aetherflow import FinalError, StepError
from aetherflow_db.column_mapping import Mapped
from aetherflow_db.constraints import broken_constraint
from aetherflow_db.failures import first_line
from aetherflow_db.query import Row

SHOWN = 60
"""How many characters of a value are shown."""


class Source(msgspec.Struct, frozen=True):
    """What is loaded: the file and the table, as messages name them."""

    file: str
    table: str


def misfit(source: Source, row: int, mapped: Mapped, value: Any) -> StepError:
    """Return the error for a value that is none of its column; rows count from 1, without the header."""
    if value is None:
        return _row_error(source, row, f", column {mapped.source.name!r}: it has no value, and is NOT NULL")
    kind = mapped.target.column.kind
    return _row_error(source, row, f", column {mapped.source.name!r}: the value {shown(value)} is no {kind}")


def refused(
    source: Source, row: int, columns: Sequence[Mapped], values: Row, error: BaseException
) -> StepError:
    """Return the error for a row that the database refuses; its message may name the column."""
    said = first_line(error)
    if (constraint := broken_constraint(error, said)) is not None:
        said = f"{constraint.said}: {said}"
    named = [number for number, one in enumerate(columns) if _names(said, one.target.name)]
    if len(named) == 1:
        mapped, value = columns[named[0]], values[named[0]]
        return _row_error(source, row, f", column {mapped.source.name!r}, value {shown(value)}: {said}")
    return _row_error(source, row, f": {said}")


def refused_value(source: Source, row: int, column: str, value: str | None, why: str) -> StepError:
    """Return the error for a row of which the database itself names column and value."""
    said = f", value {shown(value)}" if value is not None else ""
    column = f", column {column!r}" if column else ""
    return _row_error(source, row, f"{column}{said}: {why}")


def refused_among(source: Source, first_row: int, count: int, error: BaseException) -> StepError:
    """Return the error for rows among which the database refuses one, and does not say which."""
    last = first_row + count - 1
    if count == 1:
        return _row_error(source, first_row, f": {first_line(error)}")
    return _row_error(source, first_row, f": {first_line(error)}", f"rows {first_row:,} to {last:,}")


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    match value:
        case None:
            text = "NULL"
        case Decimal() | date() | time():
            text = str(value)
        case _:
            text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _names(message: str, column: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", message, re.IGNORECASE) is not None


def _row_error(source: Source, row: int, rest: str, place: str = "") -> StepError:
    return FinalError(
        f"{source.file}, {place or f'row {row:,}'}{rest}",
        hint=f"correct the file, or the table {source.table}, which has its old content",
        code="AF923",
        detail={"row": row},
    )
