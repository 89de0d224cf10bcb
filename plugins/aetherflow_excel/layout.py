"""Compute which rows and cells of a template each target takes, and whether two targets collide; pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

import msgspec

from aetherflow import StepError
from aetherflow_excel.anchor_search import Anchor
from aetherflow_excel.cell_references import MAX_COLUMNS, MAX_ROWS, column_letters, place_name
from aetherflow_excel.regions import Box
from aetherflow_excel.target_keys import Target


class Block(msgspec.Struct, frozen=True):
    """Where a target is, in rows and columns of the template, which count from 1.

    Attributes:
        name: the name of the target.
        sheet: its sheet.
        row: the first row of the region: its header, if it has one.
        column: its first column.
        width: how many columns are written.
        data_row: the first row of data.
        data_rows: how many rows of data there are.
        writes_header: whether a header is written, into `row`.
        has_template_header: whether `row` is a header of the template.
        inserts: whether rows are inserted for the data.
        style_row: the row whose formats are copied, or None.
        clear: cells that are emptied.
        takes_style_row: whether the last row of data replaces the style row.
    """

    name: str
    sheet: str
    row: int
    column: int
    width: int
    data_row: int
    data_rows: int
    writes_header: bool
    has_template_header: bool
    inserts: bool
    style_row: int | None
    clear: tuple[Box, ...]
    takes_style_row: bool

    @property
    def first_written(self) -> int:
        """The first row that is written."""
        return self.row if self.writes_header else self.data_row

    @property
    def rows(self) -> int:
        """How many rows are written, with the header."""
        return self.data_rows + self.writes_header

    @property
    def inserts_header(self) -> bool:
        """Whether a row is inserted for the header too."""
        return self.inserts and self.writes_header and not self.has_template_header

    @property
    def inserts_at(self) -> int:
        """The row above which rows are inserted."""
        return self.row if self.inserts_header else self.data_row

    @property
    def inserted(self) -> int:
        """How many rows are inserted."""
        if not self.inserts:
            return 0
        return max(self.data_rows - self.takes_style_row, 0) + self.inserts_header


def block_of(target: Target, anchor: Anchor, width: int, data_rows: int) -> Block:
    """Return where a target is.

    Raises:
        StepError: it would leave the sheet (AF971), or its style row is no row (AF965).
    """
    is_marker, has_header = _header_of(target, anchor)
    row = anchor.row + is_marker
    data_row = row + (target.writes_header or has_header)
    inserts = target.insert == "below"
    uses_style = target.copies_style_row or target.header_of_style_row or target.clear_style_row
    style_row = (anchor.row if is_marker else row) + target.style_row_offset if uses_style else None
    if style_row is not None and not 1 <= style_row <= MAX_ROWS:
        raise StepError(
            f"target {target.name!r}: its style row would be row {style_row}",
            hint=f"style_row_offset counts from row {anchor.row if is_marker else row}",
            code="AF965",
        )
    block = Block(
        name=target.name,
        sheet=anchor.sheet,
        row=row,
        column=anchor.column,
        width=width,
        data_row=data_row,
        data_rows=data_rows if width else 0,
        writes_header=target.writes_header and width > 0,
        has_template_header=has_header,
        inserts=inserts,
        style_row=style_row,
        clear=(),
        takes_style_row=False,
    )
    _check_size(block)
    is_sample = block.inserts and not block.inserts_header and style_row == data_row
    return msgspec.structs.replace(
        block, clear=_cleared(target, anchor, block), takes_style_row=is_sample and target.clear_style_row
    )


def _header_of(target: Target, anchor: Anchor) -> tuple[bool, bool]:
    """Return whether the anchor is a marker, and whether the region begins with a header of the template."""
    is_report = target.mode == "report_region"
    by_kind = bool(target.anchor) and is_report and anchor.kind != "name"
    is_marker = by_kind if target.anchor_is_marker is None else target.anchor_is_marker
    has_header = bool(target.anchor) and is_report and is_marker
    if target.template_has_header is not None:
        has_header = target.template_has_header
    return is_marker, has_header


def _check_size(block: Block) -> None:
    """Check that all rows and columns are on the sheet.

    Raises:
        StepError: they are not (AF971).
    """
    last_row, last_column = block.first_written + block.rows - 1, block.column + block.width - 1
    place = place_name(block.sheet, block.first_written, block.column)
    if last_row > MAX_ROWS:
        raise StepError(
            f"target {block.name!r}: {block.rows:,} rows from {place} on would end in row {last_row:,}, and a"
            f" sheet has {MAX_ROWS:,}",
            hint="select fewer rows, or divide them among several targets or workbooks",
            code="AF971",
            detail={"target": block.name, "rows": block.rows},
        )
    if last_column > MAX_COLUMNS:
        raise StepError(
            f"target {block.name!r}: {block.width:,} columns from {place} on would end in column"
            f" {last_column:,}, and a sheet has {MAX_COLUMNS:,} ({column_letters(MAX_COLUMNS)})",
            hint="select fewer columns",
            code="AF971",
            detail={"target": block.name, "columns": block.width},
        )


def _cleared(target: Target, anchor: Anchor, block: Block) -> tuple[Box, ...]:
    """Return the cells that are emptied: of the anchor, the header and the style row."""
    boxes = []
    if target.anchor and target.anchor_clear_width != 0:
        width = target.anchor_clear_width
        first = anchor.column if width else 1
        boxes.append(_cells(anchor.row, first, width or MAX_COLUMNS))
    if block.writes_header and target.header_clear and not block.inserts_header:
        boxes.append(_cells(block.row, block.column, target.header_clear_width or block.width))
    if target.clear_style_row and block.style_row is not None:
        boxes.append(_cells(block.style_row, block.column, block.width))
    return tuple(boxes)


def _cells(row: int, column: int, width: int) -> Box:
    return Box(row, column, row, min(column + max(width, 1) - 1, MAX_COLUMNS))


def check_overlap(blocks: Sequence[Block]) -> None:
    """Check that no two targets take the same cells, and none inserts rows in the middle of another.

    Raises:
        StepError: two do (AF972).
    """
    for one, other in permutations(blocks, 2):
        if one.sheet != other.sheet or not one.inserted:
            continue
        last = other.first_written + (other.writes_header if other.inserts else other.rows) - 1
        if other.first_written < one.inserts_at <= last:
            raise _collision(
                one, other, f"the rows that {one.name!r} inserts would go through {other.name!r}"
            )
    for one, other in combinations(blocks, 2):
        if one.sheet != other.sheet:
            continue
        if _share_cells(_final(one, blocks), _final(other, blocks)):
            raise _collision(one, other, "they would write to the same cells")


def _final(block: Block, blocks: Sequence[Block]) -> Box | None:
    """Return the cells that a target takes when the rows of all others are inserted.

    Where several insert above the same row, side by side, there are as many new rows as the longest needs.
    """
    most: dict[int, int] = {}
    for other in blocks:
        is_beside = block.inserts and other.inserts_at == block.inserts_at
        if other.sheet == block.sheet and other.inserts_at <= block.first_written and not is_beside:
            most[other.inserts_at] = max(most.get(other.inserts_at, 0), other.inserted)
    first = block.first_written + sum(most.values())
    if not block.rows or not block.width:
        return None
    return Box(first, block.column, first + block.rows - 1, block.column + block.width - 1)


def _share_cells(one: Box | None, other: Box | None) -> bool:
    return (
        one is not None
        and other is not None
        and one.row <= other.last_row
        and other.row <= one.last_row
        and one.column <= other.last_column
        and other.column <= one.last_column
    )


def _described(block: Block) -> str:
    place = place_name(block.sheet, block.first_written, block.column)
    return f"{block.name!r} ({block.rows:,} rows from {place} on)"


def _collision(one: Block, other: Block, why: str) -> StepError:
    places = " and ".join(map(_described, (one, other)))
    return StepError(
        f"the targets {places} overlap: {why}",
        hint="put them farther apart, or let the upper one insert its rows (insert: below)",
        code="AF972",
        detail={"targets": [one.name, other.name]},
    )
