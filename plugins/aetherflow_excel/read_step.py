"""The step `excel_read`: write the rows of a sheet, range, table or named range to a data file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, StepContext, StepError, data_files, files, step
from aetherflow_excel.other_workbooks import SUFFIXES, other_rows
from aetherflow_excel.read_area import Choice, ReadArea, chosen_area, range_area
from aetherflow_excel.sheet_rows import Cells, SheetRows
from aetherflow_excel.sheet_table import Errors, SheetTable, TableRules
from aetherflow_excel.workbook_file import opened_workbook, worksheet

Path_ = Annotated[PathText, Meta(min_length=1)]


class ExcelReadInput(data_files.FileKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The inputs of `excel_read`.

    Attributes:
        path: the workbook, relative to the job's artifacts: .xlsx or .xlsm; .xls, .xlsb and .ods too, which
            are taken into memory.
        output: the file to write.
        sheet: the sheet. Default: the one that is shown first.
        range: cells such as B4:F200, B4:F (all rows below) or Report!A:F. Default: all of the sheet.
        table: the name of a table, without its row of totals.
        name: a defined name.
        format: csv, tsv, jsonl or parquet. Default: as the suffix of output says, csv if it says nothing.
        compression: gz or zst, of csv, tsv and jsonl. Default: as the suffix of output says.
        header: whether the first row has the names of the columns.
        skip_empty_rows: whether rows without a value are left out.
        errors: what becomes of a cell such as #N/A: fail, null or text.
        dtypes: types of columns, {column: word}: string, int, float, decimal, bool, date, datetime or time. A
            cell that does not fit is an error. Default: as the cells are.
        dtypes_json: another name of dtypes.
    """

    path: Path_
    output: Path_
    sheet: str | None = None
    range: str | None = None
    table: str | None = None
    name: str | None = None
    format: data_files.FileFormat | None = None
    compression: data_files.Compression | None = None
    header: bool = True
    skip_empty_rows: bool = True
    errors: Errors = "fail"
    dtypes: dict[str, str] | str | None = None
    dtypes_json: dict[str, str] | str | None = None

    def __post_init__(self) -> None:
        """Check what must not be there together.

        Raises:
            ValueError: more than one of range, table and name.
        """
        if sum(map(bool, (self.range, self.table, self.name))) > 1:
            raise ValueError("name one of range, table and name")
        if self.sheet and self.table:
            raise ValueError("a table has its sheet; leave out sheet")

    @property
    def choice(self) -> Choice:
        """Which cells are read."""
        return Choice(self.sheet or "", self.range or "", self.table or "", self.name or "")


class ExcelReadOutput(msgspec.Struct, frozen=True):
    """The outputs of `excel_read`.

    Attributes:
        output: the absolute path of the file.
        format: how it is written.
        sheet: the sheet that was read.
        range: the cells that were read.
        columns: the names of the columns.
        rows: how many rows the file has, without the header.
        dtypes: the type of each column that all its values have; string if they differ.
        sha256: of the file.
    """

    output: str
    format: data_files.FileFormat
    sheet: str
    range: str
    columns: list[str]
    rows: int
    dtypes: dict[str, str]
    sha256: str


@step("excel_read")
async def excel_read(ctx: StepContext, inputs: ExcelReadInput) -> ExcelReadOutput:
    """Write the rows of a sheet, range, table or named range to a data file, in bounded memory.

    Raises:
        StepError: the workbook cannot be read, or a cell is not what was expected.
    """
    path = await ctx.run_sync(ctx.path, inputs.path)
    output = await ctx.run_sync(ctx.path, inputs.output)
    return await ctx.run_sync(_read, ctx, inputs, path, output)


def _read(ctx: StepContext, inputs: ExcelReadInput, path: Path, output: Path) -> ExcelReadOutput:
    file_format = inputs.format or data_files.format_of(output) or "csv"
    rules = TableRules(
        inputs.header,
        inputs.errors,
        inputs.skip_empty_rows,
        data_files.read_dtypes(inputs.dtypes, inputs.dtypes_json),
    )
    with _opened(path, inputs.choice) as (where, rows):
        table = SheetTable(_until_stopped(ctx, rows), where, rules)
        observed = data_files.Observed(table.rows)
        try:
            with ctx.writing(output) as part:
                written = data_files.write_data_file(
                    part,
                    observed.rows,
                    file_format,
                    compression=inputs.compression or data_files.compression_of(output),
                    dialect=inputs.dialect(file_format) if file_format in {"csv", "tsv"} else None,
                    report=lambda done, size: ctx.progress(done, unit="rows", note=f"{size:,} bytes"),
                )
        except OSError as error:
            raise files.cannot_write(output, error) from error
    ctx.lineage(reads=[Dataset.file(path)], writes=[Dataset.file(output, rows=written.rows)])
    if table.uncomputed:
        ctx.log(
            f"{table.uncomputed:,} formulas of {path.name} have no stored value, and were read as empty"
            " cells: open and save the workbook in Excel or LibreOffice before it is read",
            "warning",
        )
    return ExcelReadOutput(
        output=str(output),
        format=file_format,
        sheet=where.area.sheet,
        range=where.shown,
        columns=[column.name for column in table.columns],
        rows=written.rows,
        dtypes=data_files.dtype_words(observed.columns),
        sha256=written.sha256,
    )


@contextmanager
def _opened(path: Path, choice: Choice) -> Iterator[tuple[ReadArea, Iterable[tuple[int, Cells]]]]:
    """Open a workbook and give which cells are read, and the rows of their sheet."""
    if path.suffix.lower() in SUFFIXES:
        if choice.table or choice.name:
            raise StepError(
                f"tables and names of {path.suffix} files cannot be read: {path}",
                hint="name the range, or save the workbook as .xlsx",
                code="AF976",
            )
        area = range_area(choice)
        with other_rows(path, area.sheet or choice.sheet) as (sheet, rows):
            yield ReadArea.of(msgspec.structs.replace(area, sheet=sheet)), rows
        return
    with opened_workbook(path, "workbook") as package:
        where = chosen_area(package, choice)
        own = worksheet(package, where.area.sheet)
        with closing(iter(SheetRows(package, own))) as rows:
            yield where, rows


def _until_stopped(ctx: StepContext, rows: Iterable[tuple[int, Cells]]) -> Iterator[tuple[int, Cells]]:
    for row in rows:
        ctx.raise_if_stopping()
        yield row
