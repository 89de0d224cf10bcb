"""The step `excel_fill_from_file`: write data files of any size into a copy of a template."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, StepContext, data_files, step
from aetherflow_excel.cell_references import MAX_ROWS
from aetherflow_excel.fill_job import Table, fill
from aetherflow_excel.fill_small import FillOutput
from aetherflow_excel.guards import too_large
from aetherflow_excel.row_counts import CountMode, count_rows
from aetherflow_excel.small_rows import listed
from aetherflow_excel.target_keys import Count, Mode, Target, TargetKeys, check_place, settled

ROWS_THRESHOLD = 50_000
Path_ = Annotated[PathText, Meta(min_length=1)]


class FileTarget(TargetKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target of `excel_fill_from_file`.

    Attributes:
        source_path: the data file, relative to the job's artifacts; .gz and .zst are unpacked.
        source_format: csv, tsv, parquet or jsonl. Default: as the suffix says, tsv if it says nothing.
        mode: data_sheet (a sheet for the data alone, which is made if it does not exist) or report_region (a
            region of a sheet of the template).
        read_header: whether the first line of a csv or tsv has the names of the columns.
        include_header: of AetherFlow 0.0; true is read_header and header_mode append, false is neither.
        columns: the names of the columns if there is no header: a list, or such a list as JSON text.
        columns_json: another name of columns.
        rows_threshold: more rows in a report_region are an error. Default: that of the step.
        fail_on_threshold: whether they are an error; else a warning.
        count_mode: fast (lines are counted) or csv_parse (rows are), before anything is written.
        row_count: how many rows the guard counts, instead of counting them.
        data_sheet_prefix: what the name of a data sheet begins with, before the name of the target.
        freeze_panes: whether the header of a data sheet stays in view.
        autofilter: whether it gets a filter.
        header_bold: whether it is bold.
        encoding: of a csv or tsv file; utf-8 by default.
        delimiter: one character between fields; a tab for tsv, a comma for csv.
        quotechar: `"` by default.
        escapechar: none by default.
        doublequote: whether a quote inside of a field is written twice; true by default.
        quoting: minimal (the default), all, none or nonnumeric.
        linefeed: the end of a line; a line feed by default.
        file: the same keys as a group; those outside of it win.
    """

    source_path: Path_
    source_format: data_files.FileFormat | None = None
    mode: Mode | None = "data_sheet"
    read_header: bool | None = True
    include_header: bool | None = None
    columns: list[Any] | str | None = None
    columns_json: list[Any] | str | None = None
    rows_threshold: Count | None = None
    fail_on_threshold: bool | None = True
    count_mode: CountMode | None = "fast"
    row_count: Count | None = None
    data_sheet_prefix: str | None = "DATA_"
    freeze_panes: bool | None = True
    autofilter: bool | None = True
    header_bold: bool | None = True
    encoding: str | None = None
    delimiter: str | None = None
    quotechar: str | None = None
    escapechar: str | None = None
    doublequote: bool | None = None
    quoting: data_files.Quoting | None = None
    linefeed: str | None = None
    file: data_files.FileOptions | None = None

    def __post_init__(self) -> None:
        """Check what must be there together.

        Raises:
            ValueError: anchor and cell are both there or, in a report_region, neither.
        """
        check_place(self, is_optional=self.mode != "report_region")

    @property
    def has_header(self) -> bool:
        """Whether the first line of the file has the names of the columns."""
        return self.read_header is not False if self.include_header is None else self.include_header

    def dialect(self, file_format: Literal["csv", "tsv"]) -> data_files.Dialect:
        """Return how the file is spelled.

        Raises:
            StepError: a file option is impossible (AF900).
        """
        own = {name: getattr(self, name) for name in data_files.FileOptions.__struct_fields__}
        return data_files.FileKeys(file=self.file, **own).dialect(file_format)


class FillFromFileInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `excel_fill_from_file`.

    Attributes:
        template_path: the workbook to fill, which stays as it is; relative to the job's artifacts.
        output: the workbook to write.
        targets: which file is written where.
        rows_threshold: more rows in a report_region are an error, unless the target says otherwise.
    """

    template_path: Path_
    output: Path_
    targets: Annotated[list[FileTarget], Meta(min_length=1)]
    rows_threshold: Count | None = ROWS_THRESHOLD


class FileSource(msgspec.Struct, frozen=True):
    """The data file of one target."""

    keys: FileTarget
    target: Target
    path: Path
    threshold: int

    @property
    def reading(self) -> dict[str, Any]:
        """How the file is read."""
        keys = self.keys
        file_format = keys.source_format or data_files.format_of(self.path) or "tsv"
        names = keys.columns_json if keys.columns is None else keys.columns
        return {
            "file_format": file_format,
            "dialect": keys.dialect(file_format) if file_format in {"csv", "tsv"} else None,
            "has_header": keys.has_header,
            "names": tuple(str(name) for name in listed(self.target.name, "columns", names)),
        }

    @contextmanager
    def opened(self, ctx: StepContext, *, is_exact: bool) -> Iterator[Table]:
        """Count the rows, check the guard, and open the file.

        Raises:
            StepError: it cannot be read, or there are too many rows (AF970, AF971).
        """
        count = count_rows(ctx, self.path, self.reading, self.keys.count_mode or "fast")
        self._check(ctx, count.rows if self.keys.row_count is None else self.keys.row_count)
        if (is_exact or count.rows > MAX_ROWS) and not count.is_exact:
            count = count_rows(ctx, self.path, self.reading, "csv_parse")
        with data_files.read_data_file(self.path, **self.reading) as rows:
            yield Table(rows.names, len(rows.names), count.rows, rows.batches)

    def _check(self, ctx: StepContext, count: int) -> None:
        if self.target.mode == "report_region" and count > self.threshold:
            error = too_large(self.target.name, count, self.threshold)
            if self.keys.fail_on_threshold is not False:
                raise error
            ctx.log(error.message, "warning")


@step("excel_fill_from_file")
async def excel_fill_from_file(ctx: StepContext, inputs: FillFromFileInput) -> FillOutput:
    """Write data files into a copy of a template: onto sheets of their own, or into regions of a report.

    Raises:
        StepError: the template or a file cannot be used; the output is then what it was before.
    """
    template = await ctx.run_sync(ctx.path, inputs.template_path)
    output = await ctx.run_sync(ctx.path, inputs.output)
    limit = ROWS_THRESHOLD if inputs.rows_threshold is None else inputs.rows_threshold
    sources = [
        FileSource(
            keys,
            _settled(keys),
            await ctx.run_sync(ctx.path, keys.source_path),
            limit if keys.rows_threshold is None else keys.rows_threshold,
        )
        for keys in inputs.targets
    ]
    written = await ctx.run_sync(fill, ctx, template, output, sources)
    read = [template, *(source.path for source in sources)]
    ctx.lineage(reads=map(Dataset.file, read), writes=[Dataset.file(output)])
    return FillOutput(str(output), written)


def _settled(keys: FileTarget) -> Target:
    """Return a target with the defaults of its mode."""
    mode: Mode = keys.mode or "data_sheet"
    is_sheet = mode == "data_sheet"
    own: dict[str, Any] = {}
    if keys.include_header is not None:
        own["header_mode"] = "append" if keys.include_header else "template"
    if is_sheet:
        prefix = "DATA_" if keys.data_sheet_prefix is None else keys.data_sheet_prefix
        own |= {
            "insert": "replace",
            "sheet": keys.sheet or ("" if keys.anchor else prefix + keys.name),
            "makes_sheet": True,
            "freeze_panes": keys.freeze_panes is not False,
            "autofilter": keys.autofilter is not False,
            "header_bold": keys.header_bold is not False,
        }
    return settled(
        keys,
        mode=mode,
        default_header="append" if is_sheet else "template",
        default_insert="replace" if is_sheet else "below",
        **own,
    )
