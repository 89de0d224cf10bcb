"""Put the rows of regions between the rows of a template, and into those that are there already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import IO

from aetherflow_excel.beside_cells import RowTemplate
from aetherflow_excel.cell_references import MAX_ROWS
from aetherflow_excel.markup import attribute, with_attribute
from aetherflow_excel.row_changes import emptied
from aetherflow_excel.sheet_text import Cell, Row, cells_of, is_in_group, own_style
from aetherflow_excel.styles import CellStyles

_CHUNK = 1 << 18
_LINES = 1000
_FORMULA = re.compile(r"<(?:\w+:)?f[\s/>]")
_LINE = re.compile(r"(<[^>]*>)(.*)(</[^>]*>)\n?")


class Block:
    """The written rows of one region, each a line of a file, from the row `next` to the row `last`.

    Attributes:
        next: the row of the written sheet that the next line is for.
        last: the last row.
        columns: the columns of the region.
        has_styles: its cells have styles of their own; otherwise they take those of the cells they replace.
        shows: one of its rows replaces the sample row, which is then shown, unless it is in a group.
        beside: the cells to the left and to the right that each row gets, too.
        is_followed: whether the row below the last one has a value of the template in these columns.
        overwritten: row and column of the first cell of the template that is no sample of the data, and that
            they replace: a formula below the first row, or a value below an empty row. None: there is none.
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        first: int,
        last: int,
        columns: range,
        has_styles: bool,
        shows: bool = False,
    ) -> None:
        file.seek(0)
        self._file = file
        self.next = first
        self.last = last
        self.columns = columns
        self.has_styles = has_styles
        self.shows = shows
        self.is_followed = False
        self.overwritten: tuple[int, int] | None = None
        self._first = first
        self._last_value = first - 1
        self.beside: tuple[RowTemplate, RowTemplate] | None = None

    def replaces(self, number: int, cell: Cell) -> None:
        """Note a cell with a value that a cell of the region replaces, from the top to the bottom."""
        is_below_gap = number > self._last_value + 1
        is_foreign = number > self._first and (is_below_gap or _FORMULA.search(cell.content or ""))
        if is_foreign and self.overwritten is None:
            self.overwritten = (number, cell.column)
        self._last_value = number

    def row(self) -> Row:
        """Return the next row."""
        number, self.next = self.next, self.next + 1
        found = _LINE.fullmatch(self._whole(number, self._file.readline()).decode())
        return (
            Row(number, found[1], found[2], found[3])
            if found
            else Row(number, f'<row r="{number}">', "", "</row>")
        )

    def take(self, count: int) -> Iterator[bytes]:
        """Yield the next rows, in pieces."""
        first, self.next = self.next, self.next + count
        if self.beside is None and self.next > self.last:
            yield from iter(lambda: self._file.read(_CHUNK), b"")
            return
        for start in range(first, self.next, _LINES):
            lines = islice(self._file, min(_LINES, self.next - start))
            if self.beside is None:
                yield b"".join(lines)
            else:
                yield b"".join([self._whole(number, line) for number, line in enumerate(lines, start)])

    def _whole(self, number: int, line: bytes) -> bytes:
        """Return the line of a row with the cells beside it."""
        if self.beside is None:
            return line
        left, right = self.beside
        start, end = line.index(b">") + 1, line.rindex(b"</")
        return line[:start] + left.of(number) + line[start:end] + right.of(number) + line[end:]


def merged_rows(rows: Iterator[Row], blocks: Sequence[Block], styles: CellStyles) -> Iterator[bytes]:
    """Yield all rows of a sheet in their order: those of the template and those of the regions."""
    for row in chain(rows, [None]):
        limit = row.number if row is not None else MAX_ROWS + 1
        yield from _rows_before(limit, blocks, styles)
        if row is not None:
            for block in blocks:
                block.is_followed = block.is_followed or _follows(row, block)
            here = [block for block in blocks if block.next == limit <= block.last]
            yield (_merged(row, here, styles) if here else row).text().encode()


def _follows(row: Row, block: Block) -> bool:
    return row.number == block.last + 1 and any(
        cell.content is not None and cell.column in block.columns for cell in cells_of(row)
    )


def _rows_before(limit: int, blocks: Sequence[Block], styles: CellStyles) -> Iterator[bytes]:
    while waiting := [block for block in blocks if block.next < limit and block.next <= block.last]:
        number = min(block.next for block in waiting)
        here = [block for block in waiting if block.next == number]
        if len(here) > 1:
            yield _merged(None, here, styles).text().encode()
            continue
        stop = min([limit, here[0].last + 1, *(block.next for block in waiting if block is not here[0])])
        yield from here[0].take(stop - number)


def _merged(row: Row | None, blocks: Sequence[Block], styles: CellStyles) -> Row:
    """Return a row with the cells of the blocks; those of the template in their columns are replaced."""
    written = [(block, block.row()) for block in blocks]
    base = row if row is not None else written[0][1]
    cells = {cell.column: cell for cell in cells_of(row)} if row is not None else {}
    row_style = own_style(row) if row is not None else None
    for block, added in written:
        new = {cell.column: cell for cell in cells_of(added)}
        beside = [new[column] for column in new if column not in block.columns]
        cells |= {cell.column: cell for cell in beside if row is None or cell.content is not None}
        for column in block.columns:
            old = cells.get(column)
            style = _style(old.tag) if old is not None else row_style
            if old is not None and old.content is not None:
                block.replaces(base.number, old)
            if column in new:
                cells[column] = _styled(new[column], None if block.has_styles else style, styles)
            elif old is not None:
                cells[column] = Cell(column, emptied(old.tag), None, "")
    tag = with_attribute(base.tag, "spans", None)
    if any(block.shows for block in blocks) and not is_in_group(tag):
        tag = with_attribute(tag, "hidden", None)
    end = base.end
    if not end:
        tag, end = tag[:-2].rstrip() + ">", "</" + tag[1:].split(maxsplit=1)[0].rstrip("/>") + ">"
    return Row(base.number, tag, "".join(cells[column].text() for column in sorted(cells)), end)


def _style(tag: str) -> int | None:
    """Return the style of a cell, None if it has none of its own."""
    style = attribute(tag, "s")
    return int(style) if style else None


def _styled(cell: Cell, style: int | None, styles: CellStyles) -> Cell:
    """Return a written cell in the style of the cell that it replaces."""
    if style is None:
        return cell
    number = styles.instead(style, _style(cell.tag) or 0)
    return Cell(cell.column, with_attribute(cell.tag, "s", str(number)), cell.content, cell.end)
