"""Fill a template with the rows of several targets: find their places, check all, write; blocking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Protocol

import msgspec

from aetherflow import StepContext, data_files, files
from aetherflow_excel.casts import TypeCast, casts_of
from aetherflow_excel.cell_references import cell_name, place_name
from aetherflow_excel.cell_values import CellRules
from aetherflow_excel.column_cells import cells_of_batches, cells_of_header
from aetherflow_excel.filling import fill_workbook
from aetherflow_excel.layout import Block, block_of, check_overlap
from aetherflow_excel.output_kind import check_output_kind
from aetherflow_excel.places import places_of
from aetherflow_excel.regions import Insert, Region, Written
from aetherflow_excel.target_keys import HeaderMode, HeaderStyle, Mode, StyleMode, Target
from aetherflow_excel.target_keys import Insert as InsertWord
from aetherflow_excel.workbook_file import opened_workbook


class Table(msgspec.Struct, frozen=True):
    """The data of a target.

    Attributes:
        columns: the names of the columns; empty if they have none.
        width: how many columns there are.
        count: how many rows there are.
        batches: the rows, which are read once.
    """

    columns: tuple[str, ...]
    width: int
    count: int
    batches: Iterable[Sequence[Sequence[Any]]]


class Source(Protocol):
    """What gives the data of a target."""

    @property
    def target(self) -> Target:
        """Where the data go."""

    def opened(self, ctx: StepContext, *, is_exact: bool) -> AbstractContextManager[Table]:
        """Open the data in a `with` block, counted and checked against the guards.

        `is_exact`: the rows are counted; else it is enough to count lines.
        """


class WrittenTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What was written for a target.

    Attributes:
        name: its name.
        sheet: the sheet that it is on.
        rows: how many rows were written, with the header.
        cols: how many columns.
        data_rows: how many rows were written, without the header.
        start_cell: row and column of the region in the written file, counted from 1.
        start: the same as a text, such as Report!B5.
        first_data_cell: where the data begin, such as B6.
        mode: report_region or data_sheet.
        insert: replace or below.
        header_mode: template, override or append.
        header_style: template or style_row.
        style_mode: none or copy_row.
        template_has_header: whether the region begins with a header of the template.
        type_cast: none, basic or schema.
    """

    name: str
    sheet: str
    rows: int
    cols: int
    data_rows: int
    start_cell: tuple[int, int]
    start: str
    first_data_cell: str
    mode: Mode
    insert: InsertWord
    header_mode: HeaderMode
    header_style: HeaderStyle
    style_mode: StyleMode
    template_has_header: bool
    type_cast: TypeCast


def fill(ctx: StepContext, template: Path, output: Path, sources: Sequence[Source]) -> list[WrittenTarget]:
    """Write the data of all targets into a copy of the template; blocking.

    Raises:
        StepError: see the modules that this one calls; the output is then what it was before.
    """
    targets = [source.target for source in sources]
    with opened_workbook(template) as package:
        check_output_kind(package, output)
        places = places_of(package, targets, is_enterprise=ctx.is_enterprise)
        known = {sheet.name.casefold() for sheet in package.sheets}
        is_1904 = package.is_1904
    with ExitStack() as stack:
        on_sheet = Counter(place.sheet for place in places)
        tables = [
            stack.enter_context(source.opened(ctx, is_exact=on_sheet[place.sheet] > 1))
            for source, place in zip(sources, places, strict=True)
        ]
        blocks = [
            block_of(target, place, table.width, table.count)
            for target, place, table in zip(targets, places, tables, strict=True)
        ]
        check_overlap(blocks)
        progress = _Progress(ctx, sum(table.count for table in tables))
        regions = [
            _region(
                target, block, table, progress, is_1904=is_1904, is_new=block.sheet.casefold() not in known
            )
            for target, block, table in zip(targets, blocks, tables, strict=True)
        ]
        try:
            with ctx.writing(output) as part:
                written = fill_workbook(template, part, regions, check=ctx.raise_if_stopping)
        except OSError as error:
            raise files.cannot_write(output, error) from error
        progress.end()
    for target, one in zip(targets, written, strict=True):
        if target.mode == "data_sheet" and one.is_followed:
            ctx.log(
                f"target {target.name!r}: sheet {one.sheet!r} still has values of the template below its"
                f" {one.rows:,} rows of data, from row {one.first_row + one.rows:,} on: delete them there",
                "warning",
            )
        if target.mode == "report_region" and one.overwritten:
            ctx.log(
                f"target {target.name!r}: its {one.rows:,} rows overwrite what sheet {one.sheet!r}"
                f" of the template has below the region, from {one.overwritten} on;"
                " with insert: below it moves down",
                "warning",
            )
    return [_written(*one) for one in zip(targets, blocks, written, strict=True)]


class _Progress:
    """Counts the rows of all targets as they are read."""

    def __init__(self, ctx: StepContext, total: int) -> None:
        self._ctx, self._done, self._total = ctx, 0, total

    def watch(self, batches: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        """Pass batches on, and report each."""
        for batch in batches:
            self._ctx.raise_if_stopping()
            yield batch
            self._done += len(batch)
            self._ctx.progress(self._done, max(self._total, self._done), unit="rows")

    def end(self) -> None:
        """Report the rows that there were; the total may have been counted as lines."""
        self._ctx.progress(self._done, self._done, unit="rows")


def _region(
    target: Target, block: Block, table: Table, progress: _Progress, *, is_1904: bool, is_new: bool
) -> Region:
    """Return what the engine writes for a target."""
    names = table.columns or tuple(f"column {number}" for number in range(1, table.width + 1))
    if names and target.type_cast == "schema":
        data_files.with_dtypes(data_files.untyped(names), target.dtypes)
    rules = CellRules(target.on_illegal, is_1904)
    batches = cells_of_batches(
        progress.watch(table.batches if table.width else ()),
        target=target.name,
        columns=names,
        casts=casts_of(target.type_cast, target.dtypes, names),
        rules=rules,
    )
    sheet = target.mode == "data_sheet"
    return Region(
        name=target.name,
        sheet=block.sheet,
        first_row=block.data_row,
        column=block.column,
        width=block.width,
        batches=batches,
        header=cells_of_header(names, target=target.name, rules=rules) if block.writes_header else None,
        insert=Insert.BELOW if block.inserts else Insert.REPLACE,
        inserts_header=block.inserts_header,
        style_row=block.style_row,
        takes_style_row=block.takes_style_row,
        styles_data=target.copies_style_row,
        styles_header=target.header_of_style_row and block.writes_header,
        clear=block.clear,
        is_new_sheet=is_new,
        freezes_header=sheet and target.freeze_panes and block.data_row > 1,
        filters_header=sheet and target.autofilter and block.writes_header,
        bold_header=sheet and target.header_bold and block.writes_header,
    )


def _written(target: Target, block: Block, written: Written) -> WrittenTarget:
    """Return the output for a target."""
    row = written.first_row - (block.data_row - block.row)
    return WrittenTarget(
        name=target.name,
        sheet=written.sheet,
        rows=written.rows + written.has_header,
        cols=written.width,
        data_rows=written.rows,
        start_cell=(row, written.column),
        start=place_name(written.sheet, row, written.column),
        first_data_cell=cell_name(written.first_row, written.column),
        mode=target.mode,
        insert=target.insert,
        header_mode=target.header_mode,
        header_style=target.header_style,
        style_mode=target.style_mode,
        template_has_header=block.has_template_header,
        type_cast=target.type_cast,
    )
