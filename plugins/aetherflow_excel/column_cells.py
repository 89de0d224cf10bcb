"""Make cells of the rows of a target, column by column, or say which value cannot be a cell; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from aetherflow import StepError
from aetherflow_excel.casts import Cast, many_floats, many_ints, schema_cast
from aetherflow_excel.cell_values import (
    FIRST_DAY,
    ILLEGAL,
    LARGEST,
    MOST_TEXT,
    BadCell,
    CellRules,
    cell_value,
)
from aetherflow_excel.regions import CellValue

Many = Callable[[Sequence[Any]], "list[Any] | None"]
_REMEMBERED = 10_000
_NOT_SEEN = object()
_NONE = type(None)


def cells_of_batches(
    batches: Iterable[Sequence[Sequence[Any]]],
    *,
    target: str,
    columns: Sequence[str],
    casts: Sequence[Cast | None],
    rules: CellRules,
) -> Iterator[Sequence[Sequence[CellValue]]]:
    """Yield the rows of each batch as cells; a short row ends with empty ones.

    Raises:
        StepError: a value cannot be a cell (AF967), or a row has more values than there are columns (AF968).
    """
    width, done = len(columns), 0
    converters = [_Column(cast, rules) for cast in casts]
    for batch in batches:
        rows = batch
        if any(len(row) != width for row in batch):
            rows = [_padded(target, number, row, width) for number, row in enumerate(batch, done + 1)]
        cells = []
        for name, convert, values in zip(columns, converters, zip(*rows, strict=True), strict=False):
            try:
                cells.append(convert(values))
            except BadCell:
                raise _bad_cell(target, name, convert, values, done) from None
        yield list(zip(*cells, strict=True)) if cells else [() for _ in batch]
        done += len(batch)


def cells_of_header(names: Sequence[str], *, target: str, rules: CellRules) -> tuple[str, ...]:
    """Return the names of columns as cells.

    Raises:
        StepError: one of them cannot be a cell (AF967).
    """
    found = []
    for number, name in enumerate(names, 1):
        try:
            found.append(str(cell_value(name, rules) or ""))
        except BadCell as error:
            raise StepError(
                f"target {target!r}: the header, the name {name!r:.60} of column {number:,} {error}",
                hint="clean the data, or set on_illegal: replace",
                code="AF967",
                detail={"row": 0, "column": name},
            ) from None
    return tuple(found)


def _padded(target: str, number: int, row: Sequence[Any], width: int) -> Sequence[Any]:
    if len(row) > width:
        raise StepError(
            f"target {target!r}: row {number:,} has {len(row)} values, but there are {width} columns",
            hint="give each row as many values as there are columns",
            code="AF968",
        )
    return [*row, *[None] * (width - len(row))]


def _bad_cell(target: str, name: str, convert: _Column, values: Sequence[Any], done: int) -> StepError:
    """Return the error for the first value of a column that cannot be a cell."""
    for number, value in enumerate(values, done + 1):
        try:
            convert((value,))
        except BadCell as error:
            return StepError(
                f"target {target!r}: row {number:,}, column {name!r} {error}",
                hint="clean the data, or set on_illegal: replace",
                code="AF967",
                detail={"row": number, "column": name},
            )
    raise AssertionError("no value is bad")


class _Column:
    """Makes cells of the values of one column: many at once where they are alike, else one by one."""

    def __init__(self, cast: Cast | None, rules: CellRules) -> None:
        self._cast, self._rules = cast, rules
        self._many = _alike(rules) if cast is None else _MANY.get(cast)
        self._known: dict[str, CellValue] = {}

    def __call__(self, values: Sequence[Any]) -> Sequence[CellValue]:
        """Return the cells for some values.

        Raises:
            BadCell: one of them cannot be a cell.
        """
        found = self._many(values) if self._many is not None else None
        return [self._one(value) for value in values] if found is None else found

    def _one(self, value: Any) -> CellValue:
        if type(value) is not str:
            return cell_value(value if self._cast is None else self._cast(value), self._rules)
        known: Any = self._known.get(value, _NOT_SEEN)
        if known is _NOT_SEEN:
            known = cell_value(value if self._cast is None else self._cast(value), self._rules)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            if len(value) < 100:  # noqa: PLR2004 - longer texts seldom repeat
                self._known[value] = known
        found: CellValue = known
        return found


def _alike(rules: CellRules) -> Many:
    """Return what makes cells of values of one type that need no change; it returns None for others."""
    first = FIRST_DAY[rules.is_1904]

    def many(values: Sequence[Any]) -> list[Any] | None:
        kinds = {*map(type, values)} - {_NONE}
        if kinds == {str}:
            texts = [value for value in values if value]
            is_fine = not ILLEGAL.search("".join(texts)) and max(map(len, texts), default=0) <= MOST_TEXT // 2
            return [value or None for value in values] if is_fine else None
        there = [value for value in values if value is not None]
        if (
            kinds <= {bool}
            or (kinds == {int} and min(there) > -LARGEST and max(there) < LARGEST)
            or (kinds == {float} and all(map(math.isfinite, there)))
            or (kinds == {date} and min(there) >= first)
        ):
            return list(values)
        return None

    return many


_MANY: dict[Cast, Many] = {schema_cast("int"): many_ints, schema_cast("float"): many_floats}
