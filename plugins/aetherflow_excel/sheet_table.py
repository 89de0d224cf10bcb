"""Make a table of the rows of a sheet: names from the header, values of the wanted types; blocking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Literal

import msgspec

from aetherflow import StepError, data_files
from aetherflow_excel.casts import Cast, schema_cast
from aetherflow_excel.cell_references import column_letters, place_name
from aetherflow_excel.read_area import ReadArea
from aetherflow_excel.sheet_rows import UNCOMPUTED, CellError, Cells

Errors = Literal["fail", "null", "text"]
BATCH_ROWS = 1000

_TYPES: Mapping[data_files.Kind, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float, Decimal),
    "decimal": (int, float, Decimal),
    "date": (date,),
    "datetime": (datetime,),
    "time": (time,),
    "string": (str,),
}


class TableRules(msgspec.Struct, frozen=True):
    """How rows of a sheet become a table.

    Attributes:
        has_header: whether the first row has the names of the columns.
        errors: what becomes of a cell such as #N/A.
        skips_empty_rows: whether rows without a value are left out.
        dtypes: the kinds of columns by name.
    """

    has_header: bool
    errors: Errors
    skips_empty_rows: bool
    dtypes: Mapping[str, data_files.Column]


class SheetTable:
    """A table that is read from the rows of a sheet.

    Attributes:
        rows: its columns and batches.
        uncomputed: how many formulas without a stored value were read as empty cells, so far.
    """

    def __init__(self, rows: Iterable[tuple[int, Cells]], where: ReadArea, rules: TableRules) -> None:
        """Read the header.

        Raises:
            StepError: the cells have no value (AF976), or dtypes name a column that is not there (AF901).
        """
        self._area, self._rules = where.area, rules
        self._is_open = not where.has_fixed_columns
        self.uncomputed = 0
        inside = self._inside(rows)
        first = next(inside, None)
        if first is None or (where.has_fixed_columns and first[0] != where.area.row and rules.has_header):
            raise StepError(
                f"{where.shown} has no {'header' if first else 'value'}",
                hint="name the range whose first row has the names of the columns, or set header: false",
                code="AF976",
            )
        self._start, cells = first
        columns = range(where.area.column, where.area.last_column + 1)
        if self._is_open:
            columns = range(min(cells), max(cells) + 1)
        self._columns = columns
        names = _names(columns, cells if rules.has_header else {})
        self.columns = data_files.with_dtypes([data_files.Column(name) for name in names], rules.dtypes)
        self._casts = [_cast(column) for column in self.columns]
        rest = inside if rules.has_header else _with_first(first, inside)
        self.rows = data_files.Rows(self.columns, self._batches(rest))

    def _inside(self, rows: Iterable[tuple[int, Cells]]) -> Iterator[tuple[int, Cells]]:
        """Yield the rows that have a value in the area, with the cells that are in it."""
        area = self._area
        for number, cells in rows:
            if number > area.last_row:
                return
            if number >= area.row:
                own = {
                    at: one
                    for at, one in cells.items()
                    if area.column <= at <= area.last_column and one is not UNCOMPUTED
                }
                if len(own) < len(cells):
                    self.uncomputed += sum(
                        one is UNCOMPUTED and area.column <= at <= area.last_column
                        for at, one in cells.items()
                    )
                if own:
                    yield number, own

    def _batches(self, rows: Iterator[tuple[int, Cells]]) -> Iterator[Sequence[Sequence[Any]]]:
        batch: list[Sequence[Any]] = []
        last = self._start - (not self._rules.has_header)
        for number, cells in rows:
            if self._is_open:
                self._check_columns(number, cells)
            if not self._rules.skips_empty_rows:
                batch.extend([None] * len(self._columns) for _ in range(last + 1, number))
            last = number
            batch.append(
                [self._value(number, at, cells.get(column)) for at, column in enumerate(self._columns)]
            )
            if len(batch) >= BATCH_ROWS:
                yield batch
                batch = []
        if batch:
            yield batch

    def _check_columns(self, number: int, cells: Cells) -> None:
        """Check that no value is beside the table.

        Raises:
            StepError: one is (AF976).
        """
        if min(cells) < self._columns[0] or max(cells) > self._columns[-1]:
            outside = next(column for column in cells if column not in self._columns)
            first, last = column_letters(self._columns[0]), column_letters(self._columns[-1])
            raise StepError(
                f"{place_name(self._area.sheet, number, outside)} has a value, and row {self._start},"
                f" the first one, has its values in {first} to {last}",
                hint=f"name the range of the table, such as range: {first}{self._start}:{last}",
                code="AF976",
            )

    def _value(self, number: int, at: int, value: Any) -> Any:
        if type(value) is CellError:
            value = self._of_error(number, at, value)
        cast = self._casts[at]
        return value if cast is None or value is None else cast(self._place(number, at), value)

    def _of_error(self, number: int, at: int, error: CellError) -> str | None:
        match self._rules.errors:
            case "null":
                return None
            case "text":
                return error.text
            case "fail":
                raise StepError(
                    f"{self._place(number, at)} has the error {error.text}",
                    hint="correct the formula, or set errors: null or errors: text",
                    code="AF977",
                )

    def _place(self, number: int, at: int) -> str:
        return place_name(self._area.sheet, number, self._columns[at])


def _with_first(first: tuple[int, Cells], rest: Iterator[tuple[int, Cells]]) -> Iterator[tuple[int, Cells]]:
    yield first
    yield from rest


def _names(columns: Sequence[int], header: Cells) -> list[str]:
    """Return unique names: of a cell without a text `column_3`, of the second `a` `a_2`."""
    names: list[str] = []
    times: Counter[str] = Counter()
    for at, column in enumerate(columns, 1):
        text = " ".join(_header_text(header.get(column)).split()) or f"column_{at}"
        times[text] += 1
        names.append(text if times[text] == 1 else f"{text}_{times[text]}")
    return names


def _header_text(value: Any) -> str:
    if value is None or isinstance(value, CellError):
        return ""
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _cast(column: data_files.Column) -> Callable[[str, Any], Any] | None:
    """Return what makes a value of the kind of a column, given the place of its cell, or fails."""
    wanted = _TYPES.get(column.kind) if column.kind else None
    if wanted is None:
        return None
    convert: Cast = schema_cast(column.kind)

    def cast(place: str, value: Any) -> Any:
        found = convert(value)
        if found is None or (
            isinstance(found, wanted) and (datetime in wanted or type(found) is not datetime)
        ):
            return found
        raise StepError(
            f"{place}: the value {value!r:.60} is no {column.kind}",
            hint=f"correct the cell, or name another type: dtypes: {{{column.name}: string}}",
            code="AF977",
            detail={"cell": place, "column": column.name},
        )

    return cast
