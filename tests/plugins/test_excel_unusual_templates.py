"""Templates as other programs write them: prefixes, shared formulas, macros, pivot tables, controls."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from xlsxwriter import Workbook

from aetherflow import StepError
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

SHEET = "xl/worksheets/sheet1.xml"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MICROSOFT = "http://schemas.microsoft.com/office/2007/relationships"


def simple(_: Workbook, sheet: Any) -> None:
    """A header, a sample row and a total."""
    sheet.write_row("A4", ["shop", "one", "two", "three"])
    sheet.write_row("A5", ["sample", 1, 2, 3])
    sheet.write_row("A7", ["Total", "=SUM(B5:B5)"])


def related(path: Path, name: str, kind: str, target: str, content: str | bytes, of: str = SHEET) -> None:
    """Add a part that another part refers to."""
    folder, _, own = of.rpartition("/")
    rels = f"{folder}/_rels/{own}.rels"
    entry = f'<Relationship Id="rId99{len(name)}" Type="{kind}" Target="{target}"/>'
    root = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    old = part(path, rels) if rels in _names(path) else f"{root}</Relationships>"
    with_parts(path, {rels: old.replace("</Relationships>", f"{entry}</Relationships>"), name: content})


def _names(path: Path) -> set[str]:
    return set.union(*same_parts(path, path))


def rows_xml(*rows: str) -> Any:
    """Return the change that gives a sheet these rows."""
    return lambda text: re.sub(r"<sheetData>.*</sheetData>", f"<sheetData>{''.join(rows)}</sheetData>", text)


def test_a_prefix_before_all_names(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

    def prefixed(text: str) -> str:
        text = re.sub(r"<(/?)(?![?/])([a-zA-Z])", r"<\1x:\2", text)
        return text.replace(f'xmlns="{main}"', f'xmlns:x="{main}"')

    names = (SHEET, "xl/workbook.xml", "xl/styles.xml")
    with_parts(path, dict.fromkeys(names, prefixed))
    new = region(rows_of(1), "A2", sheet="New", is_new_sheet=True, header=list("abcd"), filters_header=True)

    book = openpyxl.load_workbook(filled(path, inserted([[date(2026, 1, 1), 1, 2, 3]] * 2), new))

    assert [[cell.value for cell in row][:2] for row in book["Report"]["A5:B9"]][::4][1] == [
        "Total",
        "=SUM(B5:B6)",
    ]
    assert book["Report"]["A5"].number_format == "yyyy-mm-dd"
    assert book["New"].auto_filter.ref == "A1:D2"


def test_shared_formulas_become_single_ones_that_mean_the_same(tmp_path: Path) -> None:
    path = with_parts(
        template(tmp_path / "t.xlsx", simple),
        {
            SHEET: rows_xml(
                '<row r="2"><c r="F2"><f t="shared" ref="F2:F9" si="0">D2*$D$7</f><v>1</v></c></row>',
                '<row r="4"><c r="F4" t="str"><f t="shared" si="0"/><v>x</v></c></row>',
                '<row r="9"><c r="F9"><f t="shared" si="0"/><v>1</v></c></row>',
            )
        },
    )

    output = filled(path, inserted(rows_of(3), style_row=None, clear=()))

    assert values(output, r'<c r="(F\d+)"') == ["F2", "F4", "F12"]
    assert values(output, r"<f>([^<]*)</f>") == ["D2*$D$10", "D4*$D$10", "D12*$D$10"]


def test_shared_formulas_of_another_sheet_stay_if_nothing_moves_for_them(tmp_path: Path) -> None:
    def make(book: Workbook, sheet: Any) -> None:
        simple(book, sheet)
        book.add_worksheet("Other").write("A1", 1)

    first = '<c r="B1"><f t="shared" ref="B1:C1" si="0">{}</f></c>'
    shared = f'<row r="1">{first}<c r="C1"><f t="shared" si="0"/></c></row>'
    other = "xl/worksheets/sheet2.xml"
    path = template(tmp_path / "t.xlsx", make)

    own = filled(with_parts(path, {other: rows_xml(shared.format("A1*2"))}), inserted(rows_of(3)))
    assert 't="shared"' in part(own, other)
    both = filled(with_parts(path, {other: rows_xml(shared.format("Report!A9*2"))}), inserted(rows_of(3)))
    assert values(both, r"<f>([^<]*)</f>", other) == ["Report!A12*2", "Report!B12*2"]


def test_rows_and_cells_that_do_not_say_their_place(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    rows = ("<row><c><v>1</v></c></row>", '<row r="5"/>', "<row><c/><c><v>2</v></c><c><f>B6</f></c></row>")
    with_parts(path, {SHEET: rows_xml(*rows)})

    sheet = openpyxl.load_workbook(filled(path, inserted(rows_of(2), style_row=None, clear=())))["Report"]

    assert (sheet["A1"].value, sheet["A5"].value, sheet["B8"].value, sheet["C8"].value) == (1, "r1", 2, "=B8")


def test_dates_of_a_workbook_that_counts_from_1904(tmp_path: Path) -> None:
    path = with_parts(
        template(tmp_path / "t.xlsx", simple),
        {"xl/workbook.xml": lambda text: text.replace("<workbookPr", '<workbookPr date1904="1"')},
    )

    sheet = openpyxl.load_workbook(filled(path, region([[date(2026, 1, 1)]])))["Report"]

    assert sheet["A5"].value.date() == date(2026, 1, 1)


def test_an_encoding_that_is_not_utf_8(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    text = part(path, SHEET).replace("UTF-8", "UTF-16")
    with_parts(path, {SHEET: text.encode("utf-16")})

    assert openpyxl.load_workbook(filled(path, region([["ä"]])))["Report"]["A5"].value == "ä"


@pytest.mark.parametrize("strange", ['<!-- <row r="9"/> -->', "<![CDATA[ ]]>"])
def test_what_is_no_row_between_rows_is_an_error(tmp_path: Path, strange: str) -> None:
    path = template(tmp_path / "t.xlsx", lambda _, sheet: sheet.write_row("A5", ["sample", 1]))
    with_parts(path, {SHEET: lambda text: text.replace("<row", f"{strange}<row", 1)})
    with pytest.raises(StepError, match="comments or CDATA between its rows") as error:
        filled(path, inserted(rows_of(2)))
    assert error.value.code == "AF945"


def test_macros_and_unknown_parts_keep_their_bytes(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsm", simple)
    related(
        path,
        "xl/vbaProject.bin",
        f"{MICROSOFT}/vbaProject",
        "vbaProject.bin",
        bytes(range(256)) * 40,
        "xl/workbook.xml",
    )
    related(
        path,
        "customXml/item1.xml",
        f"{RELATIONS}/customXml",
        "../customXml/item1.xml",
        "<a/>",
        "xl/workbook.xml",
    )

    same, other = same_parts(path, filled(path, inserted(rows_of(3))))

    assert other == {SHEET}
    assert {"xl/vbaProject.bin", "customXml/item1.xml", "xl/_rels/workbook.xml.rels"} <= same


def test_the_order_of_calculation_is_left_out(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    chain = '<calcChain xmlns="x"><c r="B7" i="1"/></calcChain>'
    related(path, "xl/calcChain.xml", f"{RELATIONS}/calcChain", "calcChain.xml", chain, "xl/workbook.xml")
    override = '<Override PartName="/xl/calcChain.xml" ContentType="x"/></Types>'
    with_parts(path, {"[Content_Types].xml": lambda text: text.replace("</Types>", override)})

    output = filled(path, inserted(rows_of(3)))

    assert "xl/calcChain.xml" not in _names(output)
    assert "calcChain" not in part(output, "[Content_Types].xml") + part(output, "xl/_rels/workbook.xml.rels")


def test_pivot_tables_move_and_their_sources_grow(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    source = '<cacheSource type="worksheet"><worksheetSource {}/></cacheSource>'
    cache = f'<pivotCacheDefinition xmlns="m" r:id="rId1">{source}</pivotCacheDefinition>'
    for number, place in enumerate(
        ('ref="A4:D5" sheet="Report"', 'name="Sales"', 'ref="A4:D5" sheet="Other"')
    ):
        name = f"pivotCacheDefinition{'x' * number}.xml"
        kind = f"{RELATIONS}/pivotCacheDefinition"
        related(
            path, f"xl/pivotCache/{name}", kind, f"pivotCache/{name}", cache.format(place), "xl/workbook.xml"
        )
    pivot = '<pivotTableDefinition xmlns="m"><location ref="A9:B12" firstDataRow="1"/></pivotTableDefinition>'
    related(path, "xl/pivotTables/p.xml", f"{RELATIONS}/pivotTable", "../pivotTables/p.xml", pivot)

    output = filled(path, inserted(rows_of(3)))

    texts = [part(output, f"pivotCache/pivotCacheDefinition{'x' * n}.xml") for n in range(3)]
    sources = [re.findall(r"<worksheetSource ([^/]*)/>", text)[0] for text in texts]
    assert sources == ['ref="A4:D7" sheet="Report"', 'name="Sales"', 'ref="A4:D5" sheet="Other"']
    assert all('refreshOnLoad="1"' in text for text in texts)
    assert 'ref="A12:B15"' in part(output, "pivotTables/p.xml")


def test_controls_slicers_and_threaded_comments(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    control = (
        '<controls><control shapeId="1" r:id="rId1"><controlPr linkedCell="$B$7"'
        ' listFillRange="Report!$A$5:$A$6">'
        "<anchor><from><xdr:col>1</xdr:col><xdr:row>8</xdr:row></from><to><xdr:col>2</xdr:col><xdr:row>9</xdr:row>"
        "</to></anchor></controlPr></control></controls>"
    )
    with_parts(path, {SHEET: lambda text: text.replace("</worksheet>", f"{control}</worksheet>")})
    slicer = '<slicers><slicer name="s" cache="c"/></slicers>'
    related(path, "xl/slicers/s.xml", f"{MICROSOFT}/slicer", "../slicers/s.xml", slicer)
    related(
        path,
        "xl/ctrlProps/c.xml",
        f"{RELATIONS}/ctrlProp",
        "../ctrlProps/c.xml",
        '<formControlPr fmlaLink="$B$7"/>',
    )
    related(
        path,
        "xl/tc.xml",
        f"{MICROSOFT}/threadedComment",
        "../tc.xml",
        '<T><threadedComment ref="B7" id="1"/></T>',
    )

    output = filled(path, inserted(rows_of(3)))

    sheet = part(output, SHEET)
    assert 'linkedCell="$B$10" listFillRange="Report!$A$5:$A$9"' in sheet
    assert re.findall(r"<xdr:row>(\d+)", sheet) == ["11", "12"]
    assert part(output, "slicers/s.xml") == slicer
    assert (part(output, "ctrlProps/c.xml"), part(output, "tc.xml")) == (
        '<formControlPr fmlaLink="$B$10"/>',
        '<T><threadedComment ref="B10" id="1"/></T>',
    )


def test_a_workbook_without_styles_gets_those_that_dates_need(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    with_parts(
        path,
        {
            "xl/styles.xml": None,
            "xl/_rels/workbook.xml.rels": lambda text: re.sub(r'<Relationship [^>]*/styles"[^>]*>', "", text),
            "[Content_Types].xml": lambda text: re.sub(
                r'<Override PartName="/xl/styles.xml"[^>]*>', "", text
            ),
        },
    )

    sheet = openpyxl.load_workbook(filled(path, region([[date(2026, 1, 1)]])))["Report"]

    assert sheet["A5"].number_format == "yyyy-mm-dd"


def test_a_header_over_the_header_of_a_table_renames_its_columns(tmp_path: Path) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        sheet.add_table("A4:C5", {"columns": [{"header": "shop"}, {"header": "one"}, {"header": "two"}]})

    output = filled(template(tmp_path / "t.xlsx", make), inserted(rows_of(2, 2), header=["Shop <1>", "Ö"]))

    assert values(output, r'<tableColumn [^>]*name="([^"]*)"', "tables/table1.xml") == [
        "Shop <1>",
        "Ö",
        "two",
    ]


def test_the_columns_of_a_table_have_different_names_whatever_the_header_is(tmp_path: Path) -> None:
    def make(_: Workbook, sheet: Any) -> None:
        columns = [{"header": name} for name in ("a", "b", "c", "d", "Sum")]
        sheet.add_table("B4:F5", {"columns": columns})

    header = ["left", "sum", "shop", "Shop", ""]
    output = filled(template(tmp_path / "t.xlsx", make), inserted(rows_of(2, 5), header=header))

    titles = ["sum2", "shop", "Shop2", "Column4"]
    written = openpyxl.load_workbook(output)["Report"]
    assert [cell.value for cell in written[4]] == ["left", *titles, "Sum"]
    assert written.tables["Table1"].column_names == [*titles, "Sum"]


def test_a_pivot_table_of_several_areas(tmp_path: Path) -> None:
    path = template(tmp_path / "t.xlsx", simple)
    areas = (
        '<rangeSets><rangeSet ref="A4:D5" sheet="Report"/><rangeSet ref="A4:D5" sheet="Other"/></rangeSets>'
    )
    text = f"<pivotCacheDefinition><consolidation>{areas}</consolidation></pivotCacheDefinition>"
    kind = f"{RELATIONS}/pivotCacheDefinition"
    related(path, "xl/pivotCache/c.xml", kind, "pivotCache/c.xml", text, "xl/workbook.xml")

    output = filled(path, inserted(rows_of(3)))

    assert values(output, r'ref="([^"]*)"', "pivotCache/c.xml") == ["A4:D7", "A4:D5"]
