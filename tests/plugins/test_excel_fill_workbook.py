"""Regions in a copy of a workbook: values, styles, where they are, and what stays as it was."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from aetherflow_excel.filling import fill_workbook
from xlsxwriter import Workbook

from aetherflow import StepError
from tests.plugins.filled_workbooks import (
    filled,
    filled_with_places,
    inserted,
    region,
    rows_of,
    same_parts,
    template,
    values,
)
from tests.sizes import LARGE


def plain(book: Workbook, sheet: Any) -> None:
    """A title, a header, a sample row, and a total below."""
    money = book.add_format({"num_format": "#,##0.00", "bg_color": "#FFFFCC"})
    day = book.add_format({"num_format": "dd.mm.yyyy"})
    sheet.write("A1", "Sales")
    sheet.write_row("A4", ["shop", "day", "amount", "id"])
    sheet.write_row("A5", ["x", 1, 2, 3], money)
    sheet.write("B5", 1, day)
    sheet.set_row(4, 30)
    sheet.write("A7", "Total")
    sheet.write_formula("C7", "=SUM(C5:C5)")


def test_rows_replace_cells_and_what_is_beside_and_below_stays(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)

    output, written = filled_with_places(path, region([["a", 1], ["b", 2]], "B5"))

    sheet = openpyxl.load_workbook(output)["Report"]
    assert [[cell.value for cell in row] for row in sheet["A5:D6"]] == [
        ["x", "a", 1, 3],
        [None, "b", 2, None],
    ]
    assert sheet["C7"].value == "=SUM(C5:C6)"
    assert (written[0].first_row, written[0].column, written[0].rows, written[0].width) == (5, 2, 2, 2)


def test_inserted_rows_push_down_what_follows(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)

    sheet = openpyxl.load_workbook(filled(path, inserted(rows_of(3))))["Report"]

    assert [row[0].value for row in sheet["A4:A10"]] == ["shop", "r1", "r2", "r3", None, None, "Total"]
    assert sheet["C10"].value == "=SUM(C5:C7)"


def test_values_of_all_kinds_come_back_as_they_were(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)
    row = [
        *(
            "=1+1",
            "+49",
            "-x",
            "@me",
            " a  b ",
            "x\ny\r\nz\tw",
            "<&>\"'",
            "_x0041_",
            "1234567890123456",
            "äöü 😀",
        ),
        *(True, False, 0, -5, 1.5, 1e-20, 123456789012345, Decimal("1.10"), Decimal("-0.000001")),
        *(
            date(2026, 2, 28),
            datetime.fromisoformat("2026-02-28T13:45:30"),
            datetime.fromisoformat("1900-03-01T00:00:00"),
            time(23, 59, 59),
            None,
            "",
        ),
    ]

    sheet = openpyxl.load_workbook(filled(path, region([row, row[::-1], row], "A8")))["Report"]

    got = [cell.value for cell in sheet[8]]
    assert got[:5] == row[:5]
    assert got[5] == "x\ny\r\nz\tw"
    assert got[6:19] == [*row[6:7], "_x005F_x0041_", *row[8:17], 1.1, -0.000001]
    assert [cell.data_type for cell in sheet[8]][:5] == ["s"] * 5
    assert got[19:] == [
        datetime.fromisoformat("2026-02-28T00:00:00"),
        datetime.fromisoformat("2026-02-28T13:45:30"),
        datetime.fromisoformat("1900-03-01T00:00:00"),
        time(23, 59, 59),
        None,
        None,
    ]
    assert [cell.value for cell in sheet[9]] == got[::-1]


def test_a_style_row_gives_styles_and_height_and_dates_get_a_format_only_where_they_have_none(
    tmp_path: Path,
) -> None:
    path = template(tmp_path / "t.xlsx", plain)
    rows = [[date(2026, 1, 1), date(2026, 1, 1), 1, None, date(2026, 1, 1)]] * 2

    sheet = openpyxl.load_workbook(filled(path, inserted(rows)))["Report"]

    formats = [cell.number_format for cell in sheet[6]]
    assert formats == ["yyyy-mm-dd", "dd.mm.yyyy", "#,##0.00", "#,##0.00", "yyyy-mm-dd"]
    assert [cell.fill.fgColor.rgb for cell in sheet[6]][::2] == ["FFFFFFCC", "FFFFFFCC", "00000000"]
    assert [sheet.row_dimensions[n].height for n in (5, 6, 7)] == [30, 30, 30]
    assert sheet["B7"].number_format == "dd.mm.yyyy"


@pytest.mark.parametrize("level", [0, 1])
def test_inserted_rows_have_the_format_and_the_group_of_the_sample_row(tmp_path: Path, level: int) -> None:
    def make(book: Workbook, sheet: Any) -> None:
        grey = book.add_format({"bg_color": "#DDDDDD"})
        sheet.write_row("A5", ["sample", 1])
        sheet.set_row(4, 21, grey, {"level": level, "hidden": True})
        sheet.set_row(5, None, None, {"collapsed": bool(level)})

    output = filled(template(tmp_path / "t.xlsx", make), inserted(rows_of(3, 2), takes_style_row=True))

    tags = values(output, r'<row r="[567]"([^>]*)>')
    style = values(output, r'<row r="7"[^>]* (s="\d+" customFormat="1")')[0]
    assert [style in tag and 'ht="21"' in tag for tag in tags] == [True] * 3
    assert ['outlineLevel="1"' in tag for tag in tags] == [level == 1] * 3
    assert ["hidden" in tag for tag in tags] == [level == 1] * 3


def test_rows_that_replace_take_the_styles_of_the_cells(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)

    sheet = openpyxl.load_workbook(filled(path, region([[date(2026, 1, 1), date(2026, 1, 1), 1]] * 2)))[
        "Report"
    ]

    assert [cell.number_format for cell in sheet[5]][:3] == ["yyyy-mm-dd", "dd.mm.yyyy", "#,##0.00"]
    assert [cell.number_format for cell in sheet[6]][:3] == ["yyyy-mm-dd", "yyyy-mm-dd", "General"]
    assert sheet["A5"].fill.fgColor.rgb == "FFFFFFCC"


def test_a_header_is_written_in_the_row_above_and_a_new_sheet_has_view_and_filter(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)
    settings = {"is_new_sheet": True, "freezes_header": True, "filters_header": True, "bold_header": True}
    new = region(rows_of(2, 2), "A2", sheet="DATA_<x> & 'y'", header=["a", "b"], **settings)

    output = filled(path, new, inserted(rows_of(1), header=["w", "x", "y", "z"]))

    book = openpyxl.load_workbook(output)
    sheet = book["DATA_<x> & 'y'"]
    assert [[cell.value for cell in row] for row in sheet.rows] == [["a", "b"], ["r1", 1], ["r2", 2]]
    assert (sheet.freeze_panes, sheet.auto_filter.ref, sheet["A1"].font.b) == ("A2", "A1:B3", True)
    assert [cell.value for cell in book["Report"][4]] == ["w", "x", "y", "z"]
    assert book["Report"]["A5"].value == "r1"


def test_a_header_can_be_inserted_with_the_rows(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)
    block = inserted(rows_of(2), "A8", header=["a"] * 4, inserts_header=True, style_row=None, clear=())

    sheet = openpyxl.load_workbook(filled(path, block))["Report"]

    assert [row[0].value for row in sheet["A5:A10"]] == ["x", None, "a", "r1", "r2", "Total"]


def test_two_regions_on_one_sheet_one_below_and_one_beside_the_other(tmp_path: Path) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        sheet.write_row("A4", ["a", "b", None, "c"])
        sheet.write("A7", "middle")
        sheet.write("A10", "end")

    path = template(tmp_path / "t.xlsx", make)
    left, right = inserted(rows_of(3, 2), "A5"), inserted(rows_of(1, 2), "D5")
    below = inserted(rows_of(2, 2), "B9", name="below")

    output, written = filled_with_places(path, below, left, right)

    sheet = openpyxl.load_workbook(output)["Report"]
    assert [[cell.value for cell in row] for row in sheet["A5:E6"]] == [
        ["r1", 1, None, "r1", 1],
        ["r2", 2, None, None, None],
    ]
    assert (sheet["A10"].value, sheet["B12"].value, sheet["B13"].value, sheet["A15"].value) == (
        "middle",
        "r1",
        "r2",
        "end",
    )
    assert [place.first_row for place in written] == [12, 5, 5]


def test_parts_that_do_not_change_keep_their_bytes(tmp_path: Path) -> None:
    def make(book: Workbook, sheet: Any) -> None:
        plain(book, sheet)
        book.add_worksheet("Notes").write("A1", "as it was")

    path = template(tmp_path / "t.xlsx", make)

    same, other = same_parts(path, filled(path, inserted(rows_of(3))))

    assert other == {"xl/worksheets/sheet1.xml"}  # xlsxwriter already asks to compute all formulas
    assert "xl/worksheets/sheet2.xml" in same


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)

    one = filled(path, inserted(rows_of(30))).read_bytes()

    assert filled(path, inserted(rows_of(30))).read_bytes() == one


def test_no_rows_leave_a_report_without_data(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)

    output, written = filled_with_places(path, inserted([]))

    sheet = openpyxl.load_workbook(output)["Report"]
    assert (written[0].rows, sheet["C7"].value, sheet["A5"].value) == (0, "=SUM(C5:C5)", None)


def test_rows_that_do_not_fit_and_merged_cells_are_errors_before_the_output_is_touched(
    tmp_path: Path,
) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        sheet.merge_range("A7:C7", "merged")
        sheet.write(1048573, 0, "last")

    path = template(tmp_path / "t.xlsx", make)
    cases = {
        "its data begin in row 1,048,575": region(rows_of(3), "A1048575"),
        "pushed off the sheet": inserted(rows_of(4)),
        "meet the merged cells A7:C7": region(rows_of(3)),
    }

    for words, wrong in cases.items():
        with pytest.raises(StepError, match=words):
            filled(path, wrong)
    assert [file.name for file in tmp_path.iterdir()] == ["t.xlsx"]


def test_what_check_raises_ends_the_work(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    path = template(tmp_path / "t.xlsx", plain)
    with pytest.raises(Stopped):
        fill_workbook(path, tmp_path / "o.xlsx", [inserted(rows_of(5))], check=stop)
    assert [file.name for file in tmp_path.iterdir()] == ["t.xlsx"]


ROWS = 1_000_000 if LARGE else 20_000


@pytest.mark.sized
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", plain)
    script = Path(__file__).parents[1] / "benchmarks/excel_fill_only.py"
    command = [
        sys.executable,
        str(script),
        "aetherflow",
        str(ROWS),
        str(path),
        str(tmp_path / "o.xlsx"),
    ]

    _, peak = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())

    assert peak < 150
    with zipfile.ZipFile(tmp_path / "o.xlsx") as archive:
        size = sum(info.file_size for info in archive.infolist())
    assert size > ROWS * 400
