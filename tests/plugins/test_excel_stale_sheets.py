"""Sheets whose formulas do not depend on the data keep their bytes; the results of the others are removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xlsxwriter import Workbook

from tests.plugins.filled_workbooks import filled, inserted, part, rows_of, same_parts, template


def is_stale(folder: Path, formula: str) -> bool:
    """Whether the result of a formula on the sheet Other is removed when the sheet Report is filled."""

    def make(book: Workbook, sheet: Any) -> None:
        sheet.add_table("H1:H2", {"name": "Sales"})
        other, middle, lonely = (book.add_worksheet(name) for name in ("Other", "Mid dle", "Lonely"))
        other.write_formula("A1", formula, None, 5)
        middle.write_formula("A1", "=Report!A5*2", None, 5)
        lonely.write_formula("A1", "=A2*2", None, 5)
        book.define_name("direct", "=Report!$A$5")
        book.define_name("by_way", "=direct*2")
        book.define_name("rate", "=Lonely!$A$2")

    path = template(folder / "t.xlsx", make)
    output = filled(path, inserted(rows_of(3)))
    same, _ = same_parts(path, output)
    is_same = "xl/worksheets/sheet2.xml" in same
    assert is_same == ("<v>5</v>" in part(output, "worksheets/sheet2.xml"))
    assert "xl/worksheets/sheet4.xml" in same
    return not is_same


@pytest.mark.parametrize(
    "formula",
    [
        *("=Report!Z99", "='Mid dle'!A1+1", "=direct", "=Lonely!A1+by_way", "=SUM(Sales[Column1])"),
        *('=INDIRECT("A1")', "=TODAY()", "=SUM(Lonely:Report!A1)", "=SUM(OFFSET(A1,1,1))"),
    ],
)
def test_the_result_of_a_formula_that_may_depend_on_the_data_is_removed(tmp_path: Path, formula: str) -> None:
    assert is_stale(tmp_path, formula)


@pytest.mark.parametrize("formula", ["=A2+1", "=Lonely!A1*rate", '="Report"&A2', "=SUM(B1:B9)/LOG10(A3)"])
def test_a_sheet_that_does_not_depend_on_the_data_keeps_its_bytes(tmp_path: Path, formula: str) -> None:
    assert not is_stale(tmp_path, formula)
