"""Helpers of the Excel tests: run the steps in the process, and make templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from aetherflow_excel.fill_from_file import excel_fill_from_file
from aetherflow_excel.fill_small import excel_fill_small
from aetherflow_excel.read_step import excel_read
from aetherflow_excel.validate_template import excel_validate_template
from lxml import etree
from openpyxl import Workbook, load_workbook
from openpyxl.workbook.defined_name import DefinedName

from aetherflow import StepType
from aetherflow.testing import FakeRun, run_step

CARD = "4000123412341234"
MARKED = {
    "B2": "SALES",
    "B3": "shop",
    "C3": "amount",
    "B4": "sample",
    "C4": 1,
    "B5": "Total",
    "C5": "=SUM(C4:C4)",
}
NAMED = {"B3": "shop", "C3": "amount", "B5": "Total", "C5": "=SUM(C4:C4)"}


class ExcelRun(FakeRun):
    """A run whose steps read and write below the artifacts of one job."""

    def __init__(self, root: Path, **more: Any) -> None:
        super().__init__(root, **more)
        self.artifacts = self.context().artifacts

    async def small(self, *targets: Mapping[str, Any], **inputs: Any) -> dict[str, Any]:
        """Run `excel_fill_small`; return the outputs."""
        return await self._fill(excel_fill_small, targets, inputs)

    async def from_file(self, *targets: Mapping[str, Any], **inputs: Any) -> dict[str, Any]:
        """Run `excel_fill_from_file`; return the outputs."""
        return await self._fill(excel_fill_from_file, targets, inputs)

    async def validate(self, *names: str, **inputs: Any) -> dict[str, Any]:
        """Run `excel_validate_template`; return the outputs."""
        given = {"template_path": "t.xlsx", "required_names": list(names), **inputs}
        return dict((await run_step(excel_validate_template, given, self)).outputs)

    async def read(self, **inputs: Any) -> dict[str, Any]:
        """Run `excel_read` on `b.xlsx`; return the outputs."""
        return dict(
            (await run_step(excel_read, {"path": "b.xlsx", "output": "o.csv", **inputs}, self)).outputs
        )

    async def _fill(
        self, step: StepType, targets: tuple[Mapping[str, Any], ...], more: Any
    ) -> dict[str, Any]:
        given = {"template_path": "t.xlsx", "output": "o.xlsx", "targets": list(targets), **more}
        done = dict((await run_step(step, given, self)).outputs)
        with ZipFile(done["output"]) as package:
            for part in package.namelist():
                etree.fromstring(package.read(part))  # strict, unlike the readers of the tests
        return done

    def template(
        self, cells: Mapping[str, Any], names: Mapping[str, str] | None = None, name: str = "t.xlsx"
    ) -> Path:
        """Write a template with a sheet `Report` and these cells; `Other!A1` is on another sheet."""
        book = Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.title = "Report"
        for place, value in cells.items():
            of, _, cell = place.rpartition("!")
            if of and of not in book.sheetnames:
                book.create_sheet(of)
            book[of or "Report"][cell] = value
        for key, text in (names or {}).items():
            book.defined_names[key] = DefinedName(key, attr_text=text)
        book.save(self.artifacts / name)
        return self.artifacts / name

    def write(self, name: str, *lines: str) -> Path:
        """Write a data file of these lines."""
        (self.artifacts / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return self.artifacts / name

    def values(self, sheet: str = "Report", name: str = "o.xlsx") -> list[tuple[Any, ...]]:
        """Return the values of a sheet of a written workbook, as openpyxl reads it; formulas are texts."""
        return list(load_workbook(self.artifacts / name)[sheet].iter_rows(values_only=True))


def cells(run: ExcelRun, area: str, sheet: str = "Report") -> list[list[Any]]:
    """Return the values of an area of the written workbook."""
    return [[cell.value for cell in row] for row in load_workbook(run.artifacts / "o.xlsx")[sheet][area]]


def rows(*values: Any) -> dict[str, Any]:
    """Return the inputs of a target for rows of two columns."""
    return {"rows_json": [list(one) for one in values], "columns_json": ["shop", "amount"]}
