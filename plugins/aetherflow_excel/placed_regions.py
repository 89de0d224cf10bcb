"""Read the rows of regions, write them to temporary files, and find out where each region is on its sheet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import IO

import msgspec

from aetherflow import StepError
from aetherflow_excel.beside_cells import BesideCell, beside_cells
from aetherflow_excel.cell_markup import RowsMarkup
from aetherflow_excel.cell_references import MAX_ROWS, cell_name, column_letters
from aetherflow_excel.regions import Box, Insert, Region, Written
from aetherflow_excel.row_merging import Block
from aetherflow_excel.row_shifts import Placed, RowShift
from aetherflow_excel.sheet_facts import SheetFacts
from aetherflow_excel.styles import CellStyles

_IN_MEMORY = 4 << 20
"""So many bytes of rows are held in memory; more are in a temporary file."""


class PlacedRegion(msgspec.Struct, frozen=True):
    """A region whose rows were read: where it is, its written rows, and what each row has beside them."""

    region: Region
    placed: Placed
    blocks: tuple[Block, ...]
    size: int
    beside: tuple[BesideCell, ...] = ()

    @property
    def box(self) -> Box:
        """The cells of the written sheet that the region has, its header included."""
        p = self.placed
        return Box(
            p.first if p.header is None else p.header, p.column, max(p.last, p.header or 0), p.last_column
        )

    def written(self, sheet: str) -> Written:
        """Return what the caller is interested in."""
        p, r = self.placed, self.region
        return Written(
            name=r.name,
            sheet=sheet,
            first_row=p.first,
            column=r.column,
            rows=p.last - p.first + 1,
            width=r.width,
            has_header=p.header is not None,
            is_followed=self.blocks[-1].is_followed,
            overwritten=cell_name(*cell) if (cell := self.blocks[-1].overwritten) else "",
        )


class Placing(msgspec.Struct, frozen=True):
    """What reading regions needs.

    Attributes:
        folder: for temporary files.
        styles: the cell styles of the workbook.
        is_1904: whether its dates count from 1904.
        stack: closes the temporary files.
        check: called between batches; what it raises ends the work.
    """

    folder: Path
    styles: CellStyles
    is_1904: bool
    stack: ExitStack
    check: Callable[[], None]


def insertion_row(region: Region) -> int:
    """Return the row of the template above which rows are inserted, or the first one that data replace."""
    return region.first_row - (region.insert is Insert.BELOW and region.inserts_header)


def placed_regions(regions: Sequence[Region], facts: SheetFacts, placing: Placing) -> list[PlacedRegion]:
    """Read the regions of one sheet, from its top to its bottom.

    Raises:
        StepError: rows do not fit on the sheet (AF946), or meet merged cells (AF947).
    """
    found: list[PlacedRegion] = []
    taken = {column for region in regions for column in columns_of(region)}
    for region in sorted(regions, key=lambda one: (insertion_row(one), one.insert is Insert.REPLACE)):
        # Regions that insert above the same row are side by side; one that replaces moves with its row.
        at = insertion_row(region) + (region.insert is Insert.REPLACE)
        above = RowShift(tuple(other.placed for other in found if other.placed.at < at))
        beside = _beside(region, facts, taken)
        found.append(_placed(region, region.first_row + above.above(at), facts, placing, beside))
    shift = RowShift(tuple(other.placed for other in found))
    if facts.last_row + shift.above(facts.last_row) > MAX_ROWS:
        raise _too_many_rows(regions[0], "what is below the inserted rows would be pushed off the sheet")
    for merged in facts.merged:
        _refuse_merged(
            Box(shift.row(merged.row), merged.column, shift.row(merged.last_row), merged.last_column), found
        )
    return found


def columns_of(region: Region) -> range:
    """Return the columns of a region."""
    return range(region.column, region.column + region.width)


def copies_sample(region: Region) -> bool:
    """Whether a region inserts rows above the row whose styles it gets: each is a copy of that row."""
    return region.insert is Insert.BELOW and region.styles_data and region.style_row == insertion_row(region)


def _beside(region: Region, facts: SheetFacts, taken: Collection[int]) -> tuple[BesideCell, ...]:
    """Return what each inserted row gets beside the data, if the style row is the sample row."""
    sample = facts.rows.get(insertion_row(region))
    return beside_cells(sample, taken) if sample is not None and copies_sample(region) else ()


def _placed(
    region: Region, first: int, facts: SheetFacts, placing: Placing, beside: tuple[BesideCell, ...]
) -> PlacedRegion:
    columns = columns_of(region)
    at = insertion_row(region)
    blocks = []
    has_styles = region.style_row is not None
    if region.header is not None:
        is_styled = has_styles and region.styles_header
        styles = facts.styles(region.style_row if is_styled else None, columns)
        if region.bold_header:
            styles = [placing.styles.bold(style) for style in styles]
        markup = RowsMarkup(styles, first_column=region.column, book=placing.styles, prefix=facts.prefix)
        file = BytesIO(markup.lines(first - 1, [list(region.header)]).encode())
        blocks.append(Block(file, first=first - 1, last=first - 1, columns=columns, has_styles=is_styled))
    is_styled = has_styles and region.styles_data
    style_row = region.style_row if is_styled else None
    markup = RowsMarkup(
        facts.styles(style_row, columns),
        first_column=region.column,
        book=placing.styles,
        is_1904=placing.is_1904,
        prefix=facts.prefix,
        row_attributes=facts.row_attributes(style_row),
    )
    spool = placing.stack.enter_context(
        tempfile.SpooledTemporaryFile(  # noqa: SIM115 - the stack closes it
            max_size=_IN_MEMORY, dir=str(placing.folder)
        )
    )
    count = _spooled(region, first, markup, spool, placing)
    size = spool.tell()
    last = first + count - 1
    blocks.append(
        Block(
            spool,
            first=first,
            last=last,
            columns=columns,
            has_styles=is_styled,
            shows=region.takes_style_row,
        )
    )
    inserted = 0
    if region.insert is Insert.BELOW:
        inserted = max(count - region.takes_style_row, 0) + region.inserts_header
    placed = Placed(
        at=at,
        inserted=inserted,
        first=first,
        last=last,
        header=first - 1 if region.header is not None else None,
        column=columns.start,
        last_column=columns.stop - 1,
        has_stand_in=region.style_row == at or not facts.has_formula(at, columns),
        titles=tuple(map(str, region.header or ())),
        beside=frozenset(cell.column for cell in beside if cell.formula),
        copies_sample=copies_sample(region),
    )
    return PlacedRegion(region, placed, tuple(blocks), size, beside)


def _spooled(region: Region, first: int, markup: RowsMarkup, spool: IO[bytes], placing: Placing) -> int:
    """Write the rows of a region to a file and return how many there are."""
    count = 0
    for batch in region.batches:
        placing.check()
        if first + count + len(batch) - 1 > MAX_ROWS:
            raise _too_many_rows(region, f"its data begin in row {first:,} and have more rows than fit below")
        if batch:
            spool.write(markup.lines(first + count, batch).encode())
            count += len(batch)
    return count


def _too_many_rows(region: Region, why: str) -> StepError:
    return StepError(
        f"target {region.name!r}: {why}; sheet {region.sheet!r} has {MAX_ROWS:,} rows at most",
        hint="write fewer rows, or divide them among several sheets",
        code="AF946",
    )


def _refuse_merged(merged: Box, found: Sequence[PlacedRegion]) -> None:
    """Refuse a region that has a cell that others hide: all merged ones but the first."""
    for one in found:
        box = one.box
        if not _meet(merged, box):
            continue
        row, column = max(merged.row, box.row), max(merged.column, box.column)
        is_first_only = (row, column) == (merged.row, merged.column) and (
            min(merged.last_row, box.last_row),
            min(merged.last_column, box.last_column),
        ) == (row, column)
        if not is_first_only:
            raise StepError(
                f"target {one.region.name!r}: its cells {_area(box)} on sheet {one.region.sheet!r} meet the "
                f"merged cells {_area(merged)}, which hide all values but one",
                hint="unmerge them in the template, or write elsewhere",
                code="AF947",
            )


def _meet(one: Box, other: Box) -> bool:
    return (
        one.row <= other.last_row
        and other.row <= one.last_row
        and one.column <= other.last_column
        and other.column <= one.last_column
    )


def _area(box: Box) -> str:
    return f"{column_letters(box.column)}{box.row}:{column_letters(box.last_column)}{box.last_row}"
