"""The step `excel_fill_small`: write rows of the inputs into a copy of a template."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, StepContext, step
from aetherflow_excel.fill_job import Table, WrittenTarget, fill
from aetherflow_excel.guards import check_most
from aetherflow_excel.small_rows import no_names, small_rows
from aetherflow_excel.target_keys import Count, Target, TargetKeys, check_place, settled

BATCH_ROWS = 1000
Path_ = Annotated[PathText, Meta(min_length=1)]


class SmallTarget(TargetKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target of `excel_fill_small`.

    Attributes:
        rows_json: the rows: a list of lists or of mappings, or such a list as JSON text.
        columns_json: the names of the columns: a list, or such a list as JSON text.
        row_count: how many rows the guards count. Default: as many as there are.
        max_rows: more rows of data are an error.
        max_total_rows: more rows, with the header, are an error.
        max_cols: more columns are an error.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("anchor", "cell"),)

    rows_json: list[Any] | str
    columns_json: list[Any] | str | None = None
    row_count: Count | None = None
    max_rows: Count | None = None
    max_total_rows: Count | None = None
    max_cols: Count | None = None

    def __post_init__(self) -> None:
        """Check what must be there together.

        Raises:
            ValueError: anchor and cell are both there, or neither, or cell is without a sheet.
        """
        check_place(self)


class FillSmallInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `excel_fill_small`.

    Attributes:
        template_path: the workbook to fill, which stays as it is; relative to the job's artifacts.
        output: the workbook to write.
        targets: what is written where.
    """

    template_path: Path_
    output: Path_
    targets: Annotated[list[SmallTarget], Meta(min_length=1)]


class FillOutput(msgspec.Struct, frozen=True):
    """The outputs of the steps that fill a template.

    Attributes:
        output: the absolute path of the workbook.
        written: what was written for each target.
    """

    output: str
    written: list[WrittenTarget]


class SmallSource(msgspec.Struct, frozen=True):
    """The rows of one target."""

    keys: SmallTarget
    target: Target

    @contextmanager
    def opened(self, _: StepContext, *, is_exact: bool) -> Iterator[Table]:  # noqa: ARG002 - it always is
        """Check the guards and give the rows."""
        keys, name = self.keys, self.target.name
        found = small_rows(name, keys.rows_json, keys.columns_json)
        count = len(found.rows) if keys.row_count is None else keys.row_count
        if self.target.writes_header and found.rows and not found.columns:
            raise no_names(name)
        check_most(name, "rows", count, "max_rows", keys.max_rows)
        total = count + self.target.writes_header
        check_most(name, "rows with the header", total, "max_total_rows", keys.max_total_rows)
        check_most(name, "columns", found.width, "max_cols", keys.max_cols)
        batches = (found.rows[begin : begin + BATCH_ROWS] for begin in range(0, len(found.rows), BATCH_ROWS))
        yield Table(found.columns, found.width, len(found.rows), batches)


@step("excel_fill_small")
async def excel_fill_small(ctx: StepContext, inputs: FillSmallInput) -> FillOutput:
    """Write rows that are inputs, such as the result of db_fetch_small, into a copy of a template.

    Raises:
        StepError: the template or the rows cannot be used; the output is then what it was before.
    """
    template = await ctx.run_sync(ctx.path, inputs.template_path)
    output = await ctx.run_sync(ctx.path, inputs.output)
    sources = [
        SmallSource(
            keys, settled(keys, mode="report_region", default_header="template", default_insert="replace")
        )
        for keys in inputs.targets
    ]
    written = await ctx.run_sync(fill, ctx, template, output, sources)
    ctx.lineage(reads=[Dataset.file(template)], writes=[Dataset.file(output)])
    return FillOutput(str(output), written)
