"""Write a copy of a workbook: rows of regions added, what refers to them changed, all else as it was."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from aetherflow_excel.beside_cells import RowTemplate, row_template
from aetherflow_excel.cell_references import column_letters, quoted_sheet
from aetherflow_excel.formulas import Moves
from aetherflow_excel.package import Package, Sheet, decoded, encoded
from aetherflow_excel.package_changes import package_changes
from aetherflow_excel.placed_regions import PlacedRegion
from aetherflow_excel.row_changes import RowChanges
from aetherflow_excel.row_merging import merged_rows
from aetherflow_excel.row_shifts import RowShift
from aetherflow_excel.sheet_extras import NEW_SHEET, with_dimension, with_filter, with_frozen_rows
from aetherflow_excel.sheet_settings import moved_settings
from aetherflow_excel.sheet_text import CHUNK, SheetText
from aetherflow_excel.stale_sheets import Outline, outline, stale_sheets
from aetherflow_excel.styles import CellStyles

LEVEL = 4
"""How hard parts are packed."""


class Copy(msgspec.Struct, frozen=True):
    """One copy of a workbook.

    Attributes:
        package: the template.
        target: the archive that is written.
        placed: the regions by the name of their sheet.
        moves: how references move.
        styles: the styles of the workbook; more may be added while rows are written.
        outlines: the other sheets by name.
        stale: the names of those whose formulas may give other results.
        check: called between pieces; what it raises ends the work.
    """

    package: Package
    target: zipfile.ZipFile
    placed: Mapping[str, Sequence[PlacedRegion]]
    moves: Moves
    styles: CellStyles
    outlines: Mapping[str, Outline]
    stale: Collection[str]
    check: Callable[[], None]

    def write(self, info: zipfile.ZipInfo, pieces: Iterator[bytes], size: int) -> None:
        """Write a part; `size` is about how large it is."""
        # zipfile adds the extension for large files only if it expects one; Excel dislikes it in small ones.
        own = zipfile.ZipInfo(info.filename, info.date_time)
        own.compress_type = info.compress_type
        own.external_attr = info.external_attr
        own.file_size = size
        with self.target.open(own, "w") as file:
            waiting = bytearray()
            for piece in pieces:
                waiting += piece
                if len(waiting) >= CHUNK:
                    self.check()
                    file.write(waiting)
                    waiting = bytearray()
            file.write(waiting)

    def read(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the content of a part of the template, as it is."""
        with self.package.archive.open(info) as file:
            yield from iter(lambda: file.read(CHUNK), b"")


def write_package(
    package: Package,
    output: Path,
    placed: Mapping[str, Sequence[PlacedRegion]],
    styles: CellStyles,
    check: Callable[[], None],
) -> None:
    """Write a copy of a workbook with regions, which are given by the name of their sheet."""
    moves = Moves({name.casefold(): RowShift(tuple(p.placed for p in own)) for name, own in placed.items()})
    filters = {
        name: f"{quoted_sheet(name)}!{area}"
        for name, own in placed.items()
        if (area := _filter_area(own, "$"))
    }
    new_sheets = [name for name in placed if package.sheet(name) is None]
    changes = package_changes(package, moves, new_sheets, filters)
    styles_part = package.styles_part or next(part.part for part in changes.added if not part.sheet)
    others = [sheet for sheet in package.sheets if sheet.has_cells and sheet.name not in placed]
    outlines = {sheet.name: outline(package, sheet) for sheet in others}
    stale = stale_sheets(package, outlines, placed)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as target:
        copy = Copy(package, target, placed, moves, styles, outlines, stale, check)
        for info in package.archive.infolist():
            part = info.filename.casefold()
            if part in changes.dropped or part == styles_part.casefold():
                continue
            sheet, change = changes.sheets.get(part), changes.texts.get(part)
            if sheet is not None:
                _write_sheet(copy, sheet, info)
            elif change is not None:
                data = package.archive.read(info)
                old = decoded(data)
                new = change(old)
                data = data if new == old else encoded(new)
                copy.write(info, iter([data]), len(data))
            else:
                copy.write(info, copy.read(info), info.file_size)
        for added in changes.added:
            if added.sheet:
                sheet = Sheet(added.sheet, added.part, has_cells=True)
                _write_sheet(copy, sheet, _new_info(package, added.part))
        found = package.find(styles_part)
        info = package.archive.getinfo(found) if found else _new_info(package, styles_part)
        data = encoded(styles.text()) if styles.is_changed or not found else package.archive.read(info)
        copy.write(info, iter([data]), len(data))


def _write_sheet(copy: Copy, sheet: Sheet, info: zipfile.ZipInfo) -> None:
    """Write a sheet: as it was, unless it has regions, or refers to cells that move or change."""
    own = copy.placed.get(sheet.name, ())
    is_new = copy.package.sheet(sheet.name) is None
    if (old := copy.outlines.get(sheet.name)) is not None and sheet.name not in copy.stale:
        new = (
            moved_settings(old.head, sheet.name, copy.moves),
            moved_settings(old.tail, sheet.name, copy.moves),
        )
        if new == (old.head, old.tail):
            copy.write(info, copy.read(info), info.file_size)
            return
    file: Any = BytesIO(NEW_SHEET.encode()) if is_new else copy.package.open(sheet.part)
    with file:
        copy.write(info, _sheet(copy, sheet, SheetText(file)), info.file_size + sum(p.size for p in own))


def _sheet(copy: Copy, sheet: Sheet, text: SheetText) -> Iterator[bytes]:
    """Yield the XML of a changed sheet."""
    own = copy.placed.get(sheet.name, ())
    head = moved_settings(text.head, sheet.name, copy.moves)
    for one in own:
        box = one.box
        head = with_dimension(head, (box.row, max(box.row, box.last_row)), (box.column, box.last_column))
        if one.region.freezes_header:
            head = with_frozen_rows(head, one.placed.first - 1, text.prefix)
    yield encoded(head)
    clear = [box for one in own for box in one.region.clear]
    rows = text.rows()
    if own or sheet.name in copy.stale:
        rows = RowChanges(sheet.name, copy.moves, clear).rows(rows)
    for one in own:
        if one.beside:
            one.blocks[-1].beside = _beside(one, sheet.name, copy.moves, text.prefix)
    blocks = [block for one in own for block in one.blocks]
    yield from merged_rows(rows, blocks, copy.styles)
    tail = moved_settings(text.tail, sheet.name, copy.moves)
    if area := _filter_area(own):
        tail = with_filter(tail, area, text.prefix)
    yield tail.encode()


def _beside(one: PlacedRegion, sheet: str, moves: Moves, prefix: str) -> tuple[RowTemplate, RowTemplate]:
    """Return the cells to the left and to the right of the rows of a region."""
    left = [cell for cell in one.beside if cell.column < one.region.column]
    right = [cell for cell in one.beside if cell.column > one.region.column]
    at = one.placed.at
    return row_template(left, at, sheet, moves, prefix), row_template(right, at, sheet, moves, prefix)


def _filter_area(own: Sequence[PlacedRegion], fixed: str = "") -> str:
    """Return the area of the filter that a region adds, or nothing; `fixed` precedes columns and rows."""
    for one in own:
        if one.region.filters_header and one.placed.header is not None:
            p = one.placed
            first, last = (fixed + column_letters(column) + fixed for column in (p.column, p.last_column))
            return f"{first}{p.header}:{last}{max(p.last, one.placed.header)}"
    return ""


def _new_info(package: Package, part: str) -> zipfile.ZipInfo:
    """Return the entry for a part that the template does not have, with the time of one that it has."""
    info = zipfile.ZipInfo(part, package.archive.infolist()[0].date_time)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
