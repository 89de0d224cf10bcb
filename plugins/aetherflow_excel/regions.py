"""What is written into a workbook and where: regions of rows; plain data, no workbook needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

CellValue = bool | int | float | Decimal | str | date | datetime | time | None
"""What a cell holds. Texts have only characters that XML can hold; dates are within Excel's calendar."""


class Insert(StrEnum):
    """How the rows of a region find their place."""

    REPLACE = "replace"
    """They are written over what is there."""

    BELOW = "below"
    """Rows are inserted for them, so that what follows moves down."""


class Box(msgspec.Struct, frozen=True):
    """A rectangle of cells; rows and columns count from 1, and the last ones belong to it."""

    row: int
    column: int
    last_row: int
    last_column: int


class Region(msgspec.Struct, frozen=True):
    """Rows for one place of a workbook. All rows and columns count from 1, as the template has them.

    Attributes:
        name: what messages call it.
        sheet: the name of its sheet.
        first_row: the row of the first data row. Insertions by other regions above move it.
        column: the first column.
        width: how many columns the data have.
        batches: the data rows, in batches of up to some thousand rows; read once. A short row ends with
            empty cells.
        header: texts for the row above the data; None leaves that row as it is.
        insert: whether rows are inserted for the data, above what `first_row` holds in the template.
        inserts_header: the header row is inserted too: `first_row` is then one more than the row of the
            template above which the block is inserted.
        style_row: the row of the template whose cell styles the written rows get; inserted rows also get its
            height.
        takes_style_row: the style row, which is `first_row` of a region that inserts, is a sample: the last
            data row replaces it, so one row less is inserted.
        styles_data: whether the data rows get the styles of the style row.
        styles_header: whether the header gets the styles of the style row.
        clear: cells of the template whose content is removed; they keep their style.
        is_new_sheet: the sheet is not in the template and is added at the end.
        freezes_header: the rows down to the header stay in view.
        filters_header: the header gets a filter; only with `header`.
        bold_header: the header is bold.
    """

    name: str
    sheet: str
    first_row: int
    column: int
    width: int
    batches: Iterable[Sequence[Sequence[Any]]]
    header: Sequence[str] | None = None
    insert: Insert = Insert.REPLACE
    inserts_header: bool = False
    style_row: int | None = None
    takes_style_row: bool = False
    styles_data: bool = True
    styles_header: bool = False
    clear: tuple[Box, ...] = ()
    is_new_sheet: bool = False
    freezes_header: bool = False
    filters_header: bool = False
    bold_header: bool = False


class Written(msgspec.Struct, frozen=True):
    """Where a region is in the written workbook.

    Attributes:
        name: the name of the region.
        sheet: the name of its sheet.
        first_row: the row of the first data row; insertions above are counted in.
        column: the first column.
        rows: how many data rows there are, without the header.
        width: how many columns there are.
        has_header: whether a header was written, in the row above the data.
        is_followed: whether the row below the data has a value of the template in their columns.
        overwritten: the first cell of the template that the data overwrite and that is no sample of them,
            such as B9: a formula, or a value below an empty row. Empty: there is none.
    """

    name: str
    sheet: str
    first_row: int
    column: int
    rows: int
    width: int
    has_header: bool
    is_followed: bool
    overwritten: str = ""
