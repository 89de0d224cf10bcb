"""Templates of several programs are filled; LibreOffice computes and reads what was written, calamine too."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference
from openpyxl.comments import Comment
from openpyxl.worksheet.table import Table
from python_calamine import CalamineWorkbook

from tests.plugins.filled_workbooks import filled, inserted, rows_of, same_parts, template, values
from tests.plugins.libreoffice import converted
from tests.plugins.test_excel_moved_parts import report

BY_LIBREOFFICE = Path(__file__).parent / "fixtures/report_by_libreoffice.xlsx"
SHOPS = ("north", "south", "west")
SALES = [[date(2026, 1, day), SHOPS[day % 3], day, day * 10.5] for day in range(1, 13)]


def by_openpyxl(path: Path) -> Path:
    """Write a template with openpyxl: a table with a total below it and a chart of it."""
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Report")
    del book["Sheet"]
    for row in (
        ["shop", "one", "two", "three"],
        ["sample", 1, 2, 3],
        [],
        ["Total", "=SUM(B2:B2)", "=SUM(Sales[two])"],
    ):
        sheet.append(row)
    sheet["B4"].comment = Comment("the total", "ann")
    sheet.add_table(Table(displayName="Sales", ref="A1:D2"))
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=2), titles_from_data=True)
    sheet.add_chart(chart, "F5")
    book.create_sheet("Other")["A1"] = "=Report!B4*2"
    book.save(path)
    return path


pytestmark = pytest.mark.filterwarnings("ignore:.*extension is not supported:UserWarning")
"""openpyxl warns of what it does not know: sparklines, data bars."""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Fill a template of each program."""
    folder = tmp_path_factory.mktemp("programs")
    for name in ("libreoffice", "xlsxwriter", "openpyxl"):
        (folder / name).mkdir()
    own = Path(shutil.copy(BY_LIBREOFFICE, folder / "libreoffice/t.xlsx"))
    found = {
        "libreoffice": filled(own, inserted(SALES)),
        "xlsxwriter": filled(template(folder / "xlsxwriter/t.xlsx", report), inserted(rows_of(10))),
        "openpyxl": filled(by_openpyxl(folder / "openpyxl/t.xlsx"), inserted(rows_of(10), "A2")),
    }
    return {name: path.rename(path.with_name(f"{name}.xlsx")) for name, path in found.items()}


@pytest.fixture(scope="module")
def computed(outputs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Let LibreOffice compute the filled workbooks and write them again."""
    files = converted(list(outputs.values()), "xlsx", tmp_path_factory.mktemp("computed"))
    return dict(zip(outputs, files, strict=True))


def cells(path: Path, sheet: str, *names: str) -> list[Any]:
    """Return the computed values of cells."""
    found = openpyxl.load_workbook(path, data_only=True)[sheet]
    return [found[name].value for name in names]


def series(path: Path) -> list[list[str]]:
    """Return the areas of each chart."""
    with zipfile.ZipFile(path) as archive:
        charts = [name for name in archive.namelist() if "charts/chart" in name]
    return [values(path, r"<c:f>([^<]*)</c:f>", name) for name in charts]


def test_libreoffice_computes_its_own_template(computed: Mapping[str, Path]) -> None:
    path = computed["libreoffice"]

    assert cells(path, "Report", "B2", "C18", "D18", "D19", "A21") == [
        819,
        78,
        819,
        10.5,
        "printed for the meeting",
    ]
    assert cells(path, "Summary", "B1", "B2") == [1638, 315]


def test_libreoffice_refreshes_the_pivot_table_of_its_own_template(computed: Mapping[str, Path]) -> None:
    rows = openpyxl.load_workbook(computed["libreoffice"], data_only=True)["Summary"].iter_rows(
        min_row=6, values_only=True
    )

    assert [row[:2] for row in rows] == [
        ("shop", "Sum - amount"),
        *(("north", 315), ("south", 231), ("west", 273), ("Total Result", 819)),
    ]


def test_libreoffice_reads_the_rules_and_the_chart_of_its_own_template(computed: Mapping[str, Path]) -> None:
    path = computed["libreoffice"]

    assert series(path) == [["Report!$D$4", "Report!$B$5:$B$16", "Report!$D$5:$D$16"]]
    assert len(values(path, r'(<c:pt idx="\d+">)', "charts/chart1.xml")) == 1 + 2 * len(SALES)
    assert values(path, r'<conditionalFormatting sqref="([^"]*)"') == ["C5:C16"]
    assert values(path, r'<dataValidation [^>]*sqref="([^"]*)"') == ["B5:B16"]
    assert values(path, r'<autoFilter ref="([^"]*)"') == ["A4:D16"]
    assert values(path, r'<mergeCell ref="([^"]*)"') == ["A1:D1", "A21:D21"]
    assert values(path, r'<comment ref="([^"]*)"', "comments1.xml") == ["D18"]
    assert values(path, r'<row r="(\d+)"[^>]*customHeight="true"') == ["18"]


def test_libreoffice_keeps_the_formats_of_the_sample_row(computed: Mapping[str, Path]) -> None:
    sheet = openpyxl.load_workbook(computed["libreoffice"])["Report"]

    assert {sheet.cell(row, 1).number_format for row in range(5, 17)} == {r"dd\.mm\.yyyy"}
    assert {sheet.cell(row, 4).fill.fgColor.rgb for row in range(5, 17)} == {"FFE2EFDA"}


def test_libreoffice_computes_a_template_of_xlsxwriter(computed: Mapping[str, Path]) -> None:
    path = computed["xlsxwriter"]

    assert cells(path, "Report", "C1", "B17", "C17", "D17", "E17", "E18") == [110, 55, 110, 165, 110, 0]
    assert cells(path, "Other", "A1") == [165]
    assert [areas[-1] for areas in sorted(series(path))] == [
        *("Report!$B$17:$D$17", "Report!$C$5:$C$16", "Report!$D$5:$D$14"),
    ]


def test_libreoffice_computes_a_template_of_openpyxl(computed: Mapping[str, Path]) -> None:
    path = computed["openpyxl"]

    assert cells(path, "Report", "B14", "C14") == [55, 110]
    assert cells(path, "Other", "A1") == [110]
    sheet = openpyxl.load_workbook(path)["Report"]
    assert [cell.coordinate for row in sheet["A1:D20"] for cell in row if cell.comment] == ["B14"]
    assert [areas[-1] for areas in series(path)] == ["Report!$B$2:$B$11"]


def test_the_frame_of_a_comment_of_openpyxl_moves_with_its_cell(outputs: Mapping[str, Path]) -> None:
    drawing = "drawings/commentsDrawing1.vml"

    assert values(outputs["openpyxl"], r'<comment ref="([^"]*)"', "comments/comment1.xml") == ["B14"]
    assert values(outputs["openpyxl"], r"Row>(\d+)<", drawing) == ["13"]


@pytest.mark.parametrize("name", ["libreoffice", "xlsxwriter", "openpyxl"])
def test_calamine_and_openpyxl_read_the_same_cells(outputs: Mapping[str, Path], name: str) -> None:
    sheet = CalamineWorkbook.from_path(outputs[name]).get_sheet_by_name("Report")
    first = 2 if name == "openpyxl" else 5

    by_calamine = [row[:4] for row in sheet.to_python(skip_empty_area=False)[first - 1 : first + 9]]
    by_other = openpyxl.load_workbook(outputs[name])["Report"].iter_rows(
        min_row=first, max_row=first + 9, max_col=4, values_only=True
    )

    def plain(value: Any) -> Any:
        return value.isoformat()[:10] if isinstance(value, date) else value

    assert [list(map(plain, row)) for row in by_calamine] == [list(map(plain, row)) for row in by_other]


def test_what_does_not_change_in_the_template_of_libreoffice_keeps_its_bytes(
    outputs: Mapping[str, Path],
) -> None:
    same, other = same_parts(BY_LIBREOFFICE, outputs["libreoffice"])

    assert other == {
        *("xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml", "xl/comments1.xml"),
        *("xl/charts/chart1.xml", "xl/drawings/drawing1.xml", "xl/drawings/vmlDrawing1.vml"),
        "xl/pivotCache/pivotCacheDefinition1.xml",
    }
    assert {"xl/styles.xml", "xl/sharedStrings.xml", "xl/pivotTables/pivotTable1.xml"} <= same
