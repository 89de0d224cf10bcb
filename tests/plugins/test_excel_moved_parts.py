"""All that a template has beside cells follows the rows: rules, names, tables, charts, comments, pictures."""

from __future__ import annotations

import re
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from xlsxwriter import Workbook

from tests.plugins.filled_workbooks import (
    filled,
    inserted,
    part,
    region,
    rows_of,
    same_parts,
    template,
    values,
    with_parts,
)

SHEET, OTHER = "worksheets/sheet1.xml", "worksheets/sheet2.xml"
ROWS = 10


def picture() -> BytesIO:
    """Return a small picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + b"\x20\x80\xc0" * 8 for _ in range(8)))
    return BytesIO(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def report(book: Workbook, sheet: Any) -> None:
    """A header in row 4, a sample row 5, totals in row 7, and much that refers to them."""
    sheet.write("A1", "Sales")
    sheet.write_formula("C1", "=SUM(C5:C5)")
    sheet.write_row("A4", ["shop", "one", "two", "three"])
    sheet.write_row("A5", ["sample", 1, 2, 3])
    sheet.write_row("A7", ["Total", "=SUM(B5:B6)", "=SUM(C5:C5)", "=B7+C7"])
    sheet.write_array_formula("E7:E8", "{=B7:B8*2}")
    sheet.merge_range("A10:D10", "footer")
    red = book.add_format({"bg_color": "#FF0000"})
    sheet.conditional_format("B5:D5", {"type": "cell", "criteria": ">", "value": "$B$7", "format": red})
    sheet.conditional_format("A5:A6", {"type": "formula", "criteria": "=$B5>$B$7", "format": red})
    sheet.conditional_format("C5", {"type": "data_bar", "data_bar_2010": True})
    sheet.conditional_format("A7:D7", {"type": "formula", "criteria": "=$B7>$C6", "format": red})
    sheet.data_validation("A5:A5", {"validate": "list", "source": "=$H$7:$H$9"})
    sheet.data_validation("B7", {"validate": "custom", "value": "=B7>B1"})
    sheet.autofilter("A4:D5")
    sheet.print_area("A1:F12")
    sheet.repeat_rows(3)
    sheet.set_row(6, 33)
    sheet.set_h_pagebreaks([7])
    sheet.write_url("A12", "internal:'Report'!B7", string="jump")
    sheet.ignore_errors({"number_stored_as_text": "A5:A5"})
    sheet.unprotect_range("A5:D5", "input")
    sheet.write_comment("B7", "the total")
    sheet.insert_image("F7", "p.png", {"image_data": picture()})
    sheet.insert_image("F5", "p.png", {"image_data": picture(), "object_position": 2})
    sheet.insert_image("F12", "p.png", {"image_data": picture(), "object_position": 3})
    sheet.add_sparkline("E2", {"range": "Report!B5:B6"})
    sheet.add_sparkline("E5", {"range": "Report!B5:D5"})
    chart = book.add_chart({"type": "column"})
    chart.add_series(
        {"name": "=Report!$B$4", "categories": "=Report!$A$5:$A$5", "values": "=Report!$B$5:$B$5"}
    )
    chart.add_series({"name": "=Report!$A$7", "values": "=Report!$B$7:$D$7"})
    sheet.insert_chart("H3", chart)
    other = book.add_worksheet("Other")
    other.write_formula("A1", "=Report!B7+SUM(Report!C5:C5)", None, 5)
    other.write_url("A2", "internal:Report!A10", string="jump")
    other.conditional_format("A1", {"type": "formula", "criteria": "=A1>Report!$B$7", "format": red})
    other.data_validation("A3", {"validate": "list", "source": "=Report!$A$5:$A$6"})
    beside = book.add_chart({"type": "line"})
    beside.add_series({"values": "=Report!$C$5:$C$6"})
    other.insert_chart("B7", beside)
    book.add_chartsheet("Chart").set_chart(_pie(book))
    book.define_name("total", "=Report!$B$7")
    book.define_name("start", "=Report!$A$5")
    book.define_name("data", "=Report!$A$5:$D$5")
    book.define_name("column", "=Report!$B:$B")
    book.define_name("rate", "=0.19")


def _pie(book: Workbook) -> Any:
    pie = book.add_chart({"type": "pie"})
    pie.add_series({"values": "=Report!$D$5:$D$5"})
    return pie


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    path = template(tmp_path_factory.mktemp("moved") / "t.xlsx", report)
    return path, filled(path, inserted(rows_of(ROWS)))


@pytest.fixture(scope="module")
def output(paths: tuple[Path, Path]) -> Path:
    return paths[1]


def test_formulas_in_this_and_other_sheets(output: Path) -> None:
    assert values(output, r"<f[^>]*>([^<]*)</f>") == [
        "SUM(C5:C14)",
        "SUM(B5:B16)",
        "SUM(C5:C14)",
        "B17+C17",
        "B17:B18*2",
    ]
    assert 't="array" ref="E17:E18"' in part(output, SHEET)
    assert values(output, r"<f>([^<]*)</f>(?=</c>)", OTHER) == ["Report!B17+SUM(Report!C5:C14)"]


def test_merged_cells_heights_breaks_and_the_size_of_the_sheet(output: Path) -> None:
    assert values(output, r'<mergeCell ref="([^"]*)"') == ["A20:D20"]
    assert values(output, r'<row r="(\d+)"[^>]* ht="33"') == ["17"]
    assert values(output, r'<brk id="(\d+)"') == ["17"]
    assert values(output, r'<dimension ref="([^"]*)"') == ["A1:E22"]


def test_conditional_formats_grow_with_the_data_or_move(output: Path) -> None:
    sheet = part(output, SHEET)

    assert re.findall(r'<conditionalFormatting sqref="([^"]*)"', sheet) == [
        "B5:D14",
        "A5:A16",
        "C5:C14",
        "A17:D17",
    ]
    assert values(output, r"<formula>([^<]*)</formula>(?=</cfRule>)") == [
        "$B$17",
        "$B5>$B$17",
        "$B17>$C16",
    ]
    assert re.findall(r"<xm:sqref>([^<]*)</xm:sqref></x14:conditionalFormatting>", sheet) == ["C5:C14"]
    assert values(output, r"<formula>([^<]*)</formula>(?=</cfRule>)", OTHER) == ["A1>Report!$B$17"]


def test_validations_filter_ignored_errors_and_protected_ranges(output: Path) -> None:
    assert values(output, r'<dataValidation [^>]*sqref="([^"]*)"') == ["A5:A14", "B17"]
    assert values(output, r"<formula1>([^<]*)</formula1>") == ["$H$17:$H$19", "B17>B1"]
    assert values(output, r"<formula1>([^<]*)</formula1>", OTHER) == ["Report!$A$5:$A$16"]
    assert values(output, r'<autoFilter ref="([^"]*)"') == ["A4:D14"]
    assert values(output, r'<ignoredError sqref="([^"]*)"') == ["A5:A14"]
    assert values(output, r'<protectedRange [^>]*sqref="([^"]*)"') == ["A5:D14"]


def test_links_into_the_workbook(output: Path) -> None:
    assert values(output, r'<hyperlink ref="(A\d+)" location="\'Report\'!B17"') == ["A22"]
    assert values(output, r'location="([^"]*)"', OTHER) == ["Report!A20"]


def test_names(output: Path) -> None:
    names = dict(re.findall(r'<definedName name="([^"]*)"[^>]*>([^<]*)<', part(output, "workbook.xml")))

    assert names == {
        "_xlnm._FilterDatabase": "Report!$A$4:$D$14",
        "_xlnm.Print_Area": "Report!$A$1:$F$22",
        "_xlnm.Print_Titles": "Report!$4:$4",
        "column": "Report!$B:$B",
        "data": "Report!$A$5:$D$14",
        "rate": "0.19",
        "start": "Report!$A$5",
        "total": "Report!$B$17",
    }


def test_charts_on_this_and_other_sheets_and_on_their_own(output: Path) -> None:
    series = [values(output, r"<c:f>([^<]*)</c:f>", f"charts/chart{number}.xml") for number in (1, 2, 3)]

    assert series == [
        ["Report!$B$4", "Report!$A$5:$A$14", "Report!$B$5:$B$14", "Report!$A$17", "Report!$B$17:$D$17"],
        ["Report!$C$5:$C$16"],
        ["Report!$D$5:$D$14"],
    ]


def test_charts_forget_the_values_of_the_template_but_not_the_names_of_series(
    paths: tuple[Path, Path],
) -> None:
    assert "numCache" in part(paths[0], "charts/chart1.xml")
    assert "numCache" not in part(paths[1], "charts/chart1.xml")
    assert values(paths[1], r"<c:v>([^<]*)</c:v>", "charts/chart1.xml") == ["one", "Total"]


def test_a_title_that_is_linked_to_a_value_is_remembered_since_libreoffice_shows_nothing_else(
    tmp_path: Path,
) -> None:
    linked = ("A1", "C1", "B4", "A5", "A7", "H1")

    def make(book: Workbook, sheet: Any) -> None:
        report(book, sheet)
        sheet.write("H1", "it's a <title>")
        for number, cell in enumerate(linked):
            chart = book.add_chart({"type": "column"})
            chart.add_series({"name": "=Report!$A$5", "values": "=Report!$B$5:$B$5"})
            chart.set_title({"name": f"=Report!${cell[0]}${cell[1:]}", "data": [f"old {cell}"]})
            sheet.insert_chart(20 * number + 20, 9, chart)

    path = template(tmp_path / "t.xlsx", make)
    output = filled(path, inserted(rows_of(ROWS), header=["a", "b", "c", "d"]))
    titles = {
        areas[0]: values(output, r"<c:v>([^<]*)</c:v>", f"charts/chart{number}.xml")
        for number in range(1, 10)
        if (
            areas := values(
                output, r"<c:title>.*?<c:f>([^<]*)</c:f>.*?</c:title>", f"charts/chart{number}.xml"
            )
        )
    }
    assert titles == {
        "Report!$A$1": ["old A1"],
        "Report!$C$1": [],
        "Report!$B$4": [],
        "Report!$A$5": [],
        "Report!$A$17": ["old A7"],
        "Report!$H$1": ["old H1"],
    }
    names = r"<c:ser>.*?<c:tx>.*?<c:f>([^<]*)</c:f>"
    assert values(output, names, "charts/chart2.xml") == ["Report!$A$5"]


def test_sparklines_grow_or_stay_in_their_row(output: Path) -> None:
    found = re.findall(r"<xm:f>([^<]*)</xm:f><xm:sqref>([^<]*)</xm:sqref>", part(output, SHEET))

    assert len(found) == ROWS + 2
    assert found[-2:] == [("Report!B15:D15", "E15"), ("Report!B5:B16", "E2")]


def test_comments_and_their_frames(output: Path) -> None:
    assert values(output, r'<comment ref="([^"]*)"', "comments1.xml") == ["B17"]
    assert values(output, r"<x:Row>(\d+)</x:Row>", "drawings/vmlDrawing1.vml") == ["16"]
    assert values(output, r"<x:Anchor>([^<]*)<", "drawings/vmlDrawing1.vml") == [
        "2, 15, 15, 10, 4, 15, 18, 0"
    ]


def test_pictures_and_charts_move_with_their_row_and_keep_their_size(output: Path) -> None:
    rows = values(output, r"<xdr:row>(\d+)</xdr:row>", "drawings/drawing1.xml")

    assert rows == ["16", "16", "4", "4", "11", "11", "2", "15"]


def test_what_does_not_change_keeps_its_bytes(paths: tuple[Path, Path]) -> None:
    same, other = same_parts(*paths)

    assert {name for name in same if "media" in name or "theme" in name} == {
        "xl/media/image1.png",
        "xl/theme/theme1.xml",
    }
    assert other == {
        *("xl/workbook.xml", f"xl/{SHEET}", f"xl/{OTHER}", "xl/comments1.xml"),
        *("xl/drawings/drawing1.xml", "xl/drawings/vmlDrawing1.vml"),
        *("xl/charts/chart1.xml", "xl/charts/chart2.xml", "xl/charts/chart3.xml"),
    }


def test_rows_that_replace_grow_what_is_about_them_and_move_nothing(tmp_path: Path) -> None:
    def make(book: Workbook, sheet: Any) -> None:
        sheet.write_row("A4", ["shop", "one", "two", "three"])
        sheet.write_row("A20", ["Total", "=SUM(B5:B6)"])
        sheet.conditional_format("B5:D5", {"type": "2_color_scale"})
        sheet.autofilter("A4:D4")
        sheet.print_area("A1:D6")
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": "=Report!$B$5:$B$6"})
        sheet.insert_chart("H5", chart)

    output = filled(template(tmp_path / "t.xlsx", make), region(rows_of(ROWS)))

    assert values(output, r"<f>([^<]*)</f>") == ["SUM(B5:B14)"]
    assert values(output, r'sqref="(B[^"]*)"') == ["B5:D14"]
    assert values(output, r'<autoFilter ref="([^"]*)"') == ["A4:D14"]
    assert values(output, r"Print_Area[^>]*>([^<]*)<", "workbook.xml") == ["Report!$A$1:$D$14"]
    assert values(output, r"<c:f>([^<]*)</c:f>", "charts/chart1.xml") == ["Report!$B$5:$B$14"]
    assert values(output, r"<xdr:row>(\d+)</xdr:row>", "drawings/drawing1.xml")[0] == "4"


@pytest.mark.parametrize("totals", [False, True])
def test_a_table_grows_with_its_rows(tmp_path: Path, *, totals: bool) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        columns = [{"header": "shop", "total_string": "all"}, {"header": "one", "total_function": "sum"}]
        sheet.add_table(
            "A4:B6" if totals else "A4:B5", {"columns": columns, "total_row": totals, "name": "Sales"}
        )
        sheet.write_formula("D1", "=SUM(Sales[one])")

    output = filled(template(tmp_path / "t.xlsx", make), inserted(rows_of(ROWS, 2)))

    # The sample row, now empty, is the last row of the table only if the row of totals is below it.
    assert values(output, r'ref="([^"]*)"', "tables/table1.xml") == (
        ["A4:B16", "A4:B15"] if totals else ["A4:B14", "A4:B14"]
    )
    assert "SUM(Sales[one])" in part(output, SHEET)


def test_inserted_rows_get_the_formulas_and_styles_beside_the_sample_row(tmp_path: Path) -> None:
    def make(book: Workbook, sheet: Any) -> None:
        bold = book.add_format({"bold": True})
        sheet.write_formula("A5", "=ROW()-4")
        sheet.write_row("B5", [0, 0])
        sheet.write_formula("D5", '=B5*$H$9+SUM(B$5:B5)/SUM($B$5:$B$5)&"50%<"', bold)
        sheet.write_blank("F5", None, bold)
        sheet.write("G5", "only in the sample")
        sheet.write_row("B7", ["=SUM(B5:B5)", "", "=SUM(D5:D5)"])
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": "=Report!$D$5:$D$5"})
        sheet.insert_chart("J9", chart)

    path = template(tmp_path / "t.xlsx", make)
    output = filled(path, inserted(rows_of(3, 2), "B5", takes_style_row=True))

    assert values(output, r'<c r="D\d"[^>]*><f>([^<]*)</f>') == [
        *('B5*$H$11+SUM(B$5:B5)/SUM($B$5:$B$7)&"50%<"', 'B6*$H$11+SUM(B$5:B6)/SUM($B$5:$B$7)&"50%<"'),
        *('B7*$H$11+SUM(B$5:B7)/SUM($B$5:$B$7)&"50%<"', "SUM(D5:D7)"),
    ]
    assert values(output, r'<c r="(A\d)"[^>]*><f>ROW\(\)-4</f>') == ["A5", "A6", "A7"]
    assert len(set(values(output, r'<c r="F[567]" (s="\d+")/>'))) == 1
    assert values(output, r'<c r="(G\d)"') == ["G7"]
    assert values(output, r"<c:f>([^<]*)</c:f>", "charts/chart1.xml") == ["Report!$D$5:$D$7"]


@pytest.mark.parametrize("is_left_longer", [True, False])
def test_formulas_beside_two_regions_are_as_long_as_the_longer_one(
    tmp_path: Path, *, is_left_longer: bool
) -> None:
    def make(book: Workbook, sheet: Any) -> None:
        sheet.write_row("A5", ["a", 1, "=B5*2", "x", 2])
        sheet.write_row("A6", ["", "=SUM(B5:B5)", "=SUM(C5:C5)", "", "=SUM(E5:E5)"])
        chart = book.add_chart({"type": "line"})
        chart.add_series({"values": "=Report!$C$5:$C$5"})
        sheet.insert_chart("J9", chart)

    counts = (4, 2) if is_left_longer else (2, 4)
    regions = [
        inserted(rows_of(count, 2), at, takes_style_row=True)
        for count, at in zip(counts, ("A5", "D5"), strict=True)
    ]
    output = filled(template(tmp_path / "t.xlsx", make), *regions)

    assert values(output, r'<c r="C[5-8]"[^>]*><f>([^<]*)</f>') == ["B5*2", "B6*2", "B7*2", "B8*2"]
    ends = [4 + count for count in counts]
    assert values(output, r"<f>(SUM[^<]*)</f>") == [
        *(f"SUM(B5:B{ends[0]})", "SUM(C5:C8)", f"SUM(E5:E{ends[1]})"),
    ]
    assert values(output, r"<c:f>([^<]*)</c:f>", "charts/chart1.xml") == ["Report!$C$5:$C$8"]


def test_a_sheet_with_a_table_gets_no_second_filter(tmp_path: Path) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        sheet.add_table("A1:B2", {"columns": [{"header": "shop"}, {"header": "one"}]})

    new = region(rows_of(ROWS, 2), "A2", header=["shop", "one"], filters_header=True)
    output = filled(template(tmp_path / "t.xlsx", make), new)

    assert "<autoFilter" not in part(output, SHEET)
    assert values(output, r'ref="([^"]*)"', "tables/table1.xml") == ["A1:B11", "A1:B11"]


def test_a_picture_where_the_data_begin_moves_and_one_beside_them_stays(tmp_path: Path) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        sheet.insert_image("C5", "p.png", {"image_data": picture()})
        sheet.insert_image("E5", "p.png", {"image_data": picture()})

    output = filled(template(tmp_path / "t.xlsx", make), inserted(rows_of(ROWS), style_row=None, clear=()))

    assert values(output, r"<xdr:row>(\d+)</xdr:row>", "drawings/drawing1.xml") == ["14", "14", "4", "4"]


def test_rules_of_later_versions_of_excel_follow_too(tmp_path: Path) -> None:
    rules = (
        "<extLst><ext><x14:conditionalFormatting><x14:cfRule><xm:f>$B5&gt;Other!$A$1+$B$7</xm:f></x14:cfRule>"
        "<xm:sqref>A5:D5</xm:sqref></x14:conditionalFormatting>"
        '<x14:dataValidation type="list"><x14:formula1><xm:f>Report!$H$7:$H$9</xm:f></x14:formula1>'
        "<xm:sqref>B5 B7</xm:sqref></x14:dataValidation></ext></extLst></worksheet>"
    )

    def make(_: Workbook, sheet: Any) -> None:
        sheet.write("A7", "Total")

    path = template(tmp_path / "t.xlsx", make)
    with_parts(path, {f"xl/{SHEET}": lambda text: text.replace("</worksheet>", rules)})
    output = filled(path, inserted(rows_of(ROWS)))

    assert values(output, r"<xm:sqref>([^<]*)<") == ["A5:D14", "B5:B14 B17"]
    assert values(output, r"<xm:f>([^<]*)<") == ["$B5>Other!$A$1+$B$17", "Report!$H$17:$H$19"]


def test_each_inserted_row_gets_the_sparkline_beside_the_sample_row(tmp_path: Path) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        sheet.write_row("A5", ["sample", 1, 2, 3])
        sheet.add_sparkline("E5", {"range": "Report!B5:D5"})
        sheet.add_sparkline("E7", {"range": "Report!B7:D7"})

    path = template(tmp_path / "t.xlsx", make)
    found = {
        takes: values(
            filled(path, inserted(rows_of(3), takes_style_row=takes)),
            r"<xm:f>Report!([^<]*</xm:f><xm:sqref>[^<]*)</xm:sqref>",
        )
        for takes in (True, False)
    }

    between = "</xm:f><xm:sqref>"
    rows = {takes: [text.replace(between, " ") for text in texts] for takes, texts in found.items()}
    assert rows[True] == ["B9:D9 E9", "B5:D5 E5", "B6:D6 E6", "B7:D7 E7"]
    assert rows[False] == ["B10:D10 E10", "B5:D5 E5", "B6:D6 E6", "B7:D7 E7", "B8:D8 E8"]
