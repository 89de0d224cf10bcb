"""Say where the rows of a sheet are after regions were written, and which areas grow with a region; pure."""

from __future__ import annotations

import msgspec

from aetherflow_excel.cell_references import MAX_ROWS


class Placed(msgspec.Struct, frozen=True):
    """A region whose rows are known. Rows of the template and of the written sheet are both counted from 1.

    Attributes:
        at: the row of the template above which rows were inserted, or that the first data row replaced.
        inserted: how many rows were inserted there; 0 for a region that replaces.
        first: the first data row of the written sheet.
        last: the last one; less than `first` if there are none.
        header: the written sheet's row above the data, if the region wrote a header.
        column: the first column.
        last_column: the last column.
        has_stand_in: the row `at` of the template is a sample of the data: a reference to it means the data.
        titles: the texts of the header.
        beside: the columns whose formulas each inserted row gets, too.
        copies_sample: whether each inserted row gets what is in the sample row beside the data.
    """

    at: int
    inserted: int
    first: int
    last: int
    header: int | None
    column: int
    last_column: int
    has_stand_in: bool
    titles: tuple[str, ...] = ()
    beside: frozenset[int] = frozenset()
    copies_sample: bool = False

    def crosses(self, column: int, last_column: int) -> bool:
        """Whether columns have one in common with the region."""
        is_own = column <= self.last_column and last_column >= self.column
        return is_own or any(column <= beside <= last_column for beside in self.beside)


class RowShift(msgspec.Struct, frozen=True):
    """What happened to the rows of one sheet: the regions written to it, in the order of `at`."""

    placed: tuple[Placed, ...] = ()

    def row(self, row: int) -> int:
        """Return the row to which a row of the template moved."""
        return min(row + self.above(row), MAX_ROWS)

    def above(self, row: int) -> int:
        """Return how many rows were inserted above a row of the template."""
        most: dict[int, int] = {}
        for placed in self.placed:
            if placed.at <= row:
                most[placed.at] = max(most.get(placed.at, 0), placed.inserted)
        return sum(most.values())

    def point(self, row: int, column: int) -> int:
        """Return the row of a single cell: a cell of the sample row is now one of the first data row."""
        for placed in self.placed:
            if (
                placed.inserted
                and placed.has_stand_in
                and placed.at == row
                and placed.crosses(column, column)
            ):
                return placed.first
        return self.row(row)

    def span(self, first: int, last: int, column: int, last_column: int) -> tuple[int, int]:
        """Return the rows of an area, which grows with the data of a region that it is about.

        With inserted rows: an area that begins with the sample row begins with the data, and one that ends
        with it ends with the data. With rows that replace: an area that the data begin in reaches at least
        to their end. Of several regions side by side the longest counts: its rows have the formulas beside.
        """
        begin, end = self.row(first), self.row(last)
        begins, ends = [], []
        for placed in self.placed:
            if placed.last < placed.first or not placed.crosses(column, last_column):
                continue
            if not placed.inserted:
                if first <= placed.at <= last:
                    end = max(end, placed.last)
            elif placed.has_stand_in:
                begins += [placed.first] if first == placed.at else []
                ends += [placed.last] if last == placed.at else []
        return min(begins, default=begin), max(ends, default=end)

    def filter_span(self, first: int, last: int, column: int, last_column: int) -> tuple[int, int]:
        """Return the rows of a filter or table; a header without rows grows with the data below it, too."""
        begin, end = self.span(first, last, column, last_column)
        for placed in self.placed:
            if last == placed.at - 1 and placed.crosses(column, last_column):
                end = max(end, placed.last)
        return begin, end

    def about_data(self, row: int) -> bool:
        """Whether a formula in this row of the template is about this row only, so that it does not grow."""
        moved = self.row(row)
        return any(
            row == placed.at if placed.inserted else placed.first <= moved <= placed.last
            for placed in self.placed
        )
