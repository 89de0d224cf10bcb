"""AF94x and AF96x: workbooks that cannot be filled or read; each step is run in the process of the test."""

from __future__ import annotations

import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aetherflow_excel.cell_values import CellRules
from aetherflow_excel.column_cells import cells_of_batches
from openpyxl import load_workbook

from aetherflow import StepError
from tests.diagnostics.case import Case, Told
from tests.plugins.workbooks import ExcelRun

CELLS = {"A1": "Report", "B2": "Total", "B9": "Total", "Other!A1": "x"}


def fails(act: Callable[[ExcelRun], Awaitable[Any]], **more: Any) -> Told:
    """Return the case of a step beside a template `t.xlsx` and a file `a.csv`."""

    async def by(folder: Path) -> str:
        run = ExcelRun(folder, **more)
        run.template(CELLS, {"SALES": "Report!$B$3"})
        run.write("a.csv", "a,b", "1,2", "3,4")
        try:
            await act(run)
        except StepError as error:
            text = f"{error.code}: {error.message}\n    hint: {error.hint}\n"
            return text.replace(str(folder), "/home/ann/work")
        raise AssertionError("nothing failed")

    return Told(by)


def small(**keys: Any) -> dict[str, Any]:
    """Return a target with two rows."""
    place = {} if {"cell", "anchor"} & keys.keys() else {"anchor": "SALES"}
    return {"rows_json": [[1, 2], [3, 4]], "columns_json": ["a", "b"], **place, **keys}


async def _old(run: ExcelRun) -> None:
    (run.artifacts / "t.xls").write_bytes(bytes.fromhex("D0CF11E0A1B11AE1") + bytes(504))
    await run.small(small(), template_path="t.xls")


async def _cells(rows: list[list[str]]) -> None:
    columns = ["region", "note"]
    list(cells_of_batches([rows], target="sales", columns=columns, casts=[None, None], rules=CellRules()))


async def _damaged(run: ExcelRun) -> None:
    path = run.artifacts / "t.xlsx"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data[:300] if name == "xl/worksheets/sheet1.xml" else data)
    await run.small(small(cell="A1", sheet="Report"))


async def _pushed(run: ExcelRun) -> None:
    run.template({"A1": 1, "A1048576": "last"})
    await run.small(small(cell="A5", sheet="Report", insert="below"))


async def _merged(run: ExcelRun) -> None:
    book = load_workbook(run.artifacts / "t.xlsx")
    book["Report"].merge_cells("A2:C2")
    book.save(run.artifacts / "t.xlsx")
    await run.small(small(cell="B1", sheet="Report"))


REGION = {"source_path": "a.csv", "anchor": "SALES", "mode": "report_region"}

CASES: dict[str, Case | Told] = {
    "AF945": fails(_damaged),
    "AF946": fails(_pushed),
    "AF947": fails(_merged),
    "AF960": fails(lambda run: run.small(small(), template_path="templates/report.xlsx")),
    "AF961": fails(_old),
    "AF962": fails(lambda run: run.small(small(cell="B3", sheet="Reprot"))),
    "AF963": fails(lambda run: run.validate("SALES", "RETURNS")),
    "AF964": fails(lambda run: run.small(small(anchor="total"))),
    "AF965": fails(lambda run: run.small(small(cell="3B", sheet="Report"))),
    "AF966": fails(lambda run: run.small(small(anchor="total")), zip_drivers=frozenset()),
    "AF967": fails(lambda _: _cells([["a", "b"], ["c", "d\x00"]])),
    "AF968": fails(lambda _: _cells([["a", "b"], ["c", "d", "e"]])),
    "AF969": fails(lambda run: run.small(small(max_rows=1))),
    "AF970": fails(lambda run: run.from_file(REGION, rows_threshold=1)),
    "AF971": fails(lambda run: run.small(small(cell="XFD1", sheet="Report"))),
    "AF972": fails(lambda run: run.small(small(name="one"), small(name="two", cell="C4", sheet="Report"))),
    "AF973": fails(lambda run: run.small(small(), output="report.xlsm")),
    "AF976": fails(lambda run: run.read(path="t.xlsx", table="Items")),
    "AF977": fails(
        lambda run: run.read(path="t.xlsx", range="B2:B", dtypes={"Total": "int"}),
    ),
    "AF974": fails(lambda run: run.small(small(rows_json="{}"))),
}
