"""Where an anchor is in a real workbook, and what is said of a file that is no workbook."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aetherflow_excel.fill_from_file import FileTarget, _settled
from aetherflow_excel.places import places_of
from aetherflow_excel.validate_template import excel_validate_template
from aetherflow_excel.workbook_file import opened_workbook
from openpyxl import Workbook
from openpyxl.workbook.defined_name import DefinedName

from aetherflow import MissingExtra, StepError
from aetherflow.testing import run_step

Find = Callable[..., tuple[str, int, int, str]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("t") / "t.xlsx"
    book = Workbook()
    first, second = book.active, book.create_sheet("My Sheet")
    assert first is not None
    first.title = "Report"
    first["B4"], first["C9"], second["A1"] = "Sales  by\nregion", "Total", "total"
    first["D1"], first["D2"] = "twice", "Twice"
    second["E5"], second["A20000"] = "below", "far"
    for row in range(6, 10_010):
        second.cell(row, 1, row)
    for name, text in (
        ("SALES", "'My Sheet'!$C$3:$F$9"),
        ("CONSTANT", "0.19"),
        ("GONE", "Report!#REF!"),
        ("BOTH", "Report!$A$7"),
    ):
        book.defined_names[name] = DefinedName(name, attr_text=text)
    second.defined_names["BOTH"] = DefinedName("BOTH", attr_text="'My Sheet'!$A$8")
    book.active = 1
    book.save(path)
    return path


@pytest.fixture
def find(template: Path) -> Find:
    def place(is_enterprise: bool = False, **keys: Any) -> tuple[str, int, int, str]:  # noqa: FBT001, FBT002 - as in places_of
        target = _settled(
            msgspec.convert({"source_path": "a.csv", "mode": "report_region", **keys}, FileTarget)
        )
        with opened_workbook(template) as package:
            (found,) = places_of(package, [target], is_enterprise=is_enterprise)
        return found.sheet, found.row, found.column, found.kind

    return place


def test_a_name_wins_over_a_reference_and_this_over_a_text(find: Find) -> None:
    assert find(anchor="SALES") == ("My Sheet", 3, 3, "name")
    assert find(anchor="sales") == ("My Sheet", 3, 3, "name")
    assert find(anchor="BOTH") == ("Report", 7, 1, "name")
    assert find(anchor="BOTH", sheet="My Sheet") == ("My Sheet", 8, 1, "name")
    assert find(anchor="Report!$B$2") == ("Report", 2, 2, "reference")
    assert find(anchor="'my sheet'!B2") == ("My Sheet", 2, 2, "reference")
    assert find(anchor="B2", sheet="Report") == ("Report", 2, 2, "reference")
    assert find(anchor="B2") == ("My Sheet", 2, 2, "reference"), "the sheet that is shown first"
    assert find(cell="B2", sheet="report") == ("Report", 2, 2, "reference")


def test_a_text_is_found_whatever_its_blanks_and_case(find: Find) -> None:
    assert find(anchor="sales BY region") == ("Report", 4, 2, "text")
    assert find(anchor="below") == ("My Sheet", 5, 5, "text")
    assert find(anchor="Total") == ("Report", 9, 3, "text"), "the spelling decides between two"
    assert find(anchor="twice ") == ("Report", 1, 4, "text")
    assert find(anchor="total", sheet="My Sheet") == ("My Sheet", 1, 1, "text")
    assert find(anchor="7000", sheet="My Sheet") == ("My Sheet", 7000, 1, "text")


@pytest.mark.parametrize(
    ("keys", "code", "why"),
    [
        ({"anchor": "nowhere"}, "AF963", "no name 'nowhere', and no cell with this text"),
        ({"anchor": "far"}, "AF963", "no name 'far'"),
        ({"anchor": "TWICE"}, "AF964", "is in 2 cells of the template .*: Report!D1, Report!D2$"),
        ({"anchor": "CONSTANT"}, "AF965", "the name 'CONSTANT' .* refers to no area of cells: 0.19"),
        ({"anchor": "GONE"}, "AF965", "refers to no area of cells: Report!#REF!"),
        ({"cell": "B", "sheet": "Report"}, "AF965", "'B' is no cell"),
        ({"cell": "Report!B2", "sheet": "Report"}, "AF965", "is no cell"),
        ({"cell": "B2", "sheet": "Other"}, "AF962", "the sheet 'Other' does not exist in the template"),
        ({"anchor": "Other!B2"}, "AF962", "the sheet 'Other' does not exist"),
        ({"anchor": "below", "is_enterprise": True}, "AF966", "the text 'below' needs a sheet"),
        ({"mode": "data_sheet", "name": "a/b"}, "AF962", "no sheet can have the name 'DATA_a/b'"),
        ({"mode": "data_sheet", "name": "x" * 27}, "AF962", "no sheet can have the name"),
        ({"mode": "data_sheet", "name": "", "data_sheet_prefix": ""}, "AF962", "have the name ''$"),
    ],
)
def test_what_is_no_place_is_an_error(find: Find, keys: dict[str, Any], code: str, why: str) -> None:
    with pytest.raises(StepError, match=why) as error:
        find(**keys)
    assert error.value.code == code


def test_a_data_sheet_is_new_or_one_of_the_template(find: Find) -> None:
    assert find(mode="data_sheet", name="raw") == ("DATA_raw", 1, 1, "reference")
    assert find(mode="data_sheet", sheet="report", cell="C3") == ("Report", 3, 3, "reference")
    assert find(anchor="below", sheet="My Sheet", is_enterprise=True) == ("My Sheet", 5, 5, "text")


async def validate(template: Path, names: Any, place: Path, **inputs: Any) -> dict[str, Any]:
    given = {"template_path": str(template), "required_names": names, **inputs}
    return dict((await run_step(excel_validate_template, given, place)).outputs)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "names", [["SALES", "Sales by region", "far"], '["SALES", "Sales by region", "far"]']
)
async def test_a_template_with_all_names_is_valid(template: Path, names: Any, tmp_path: Path) -> None:
    assert await validate(template, names, tmp_path) == {
        "template_ok": True,
        "found_named_ranges": ["SALES"],
        "found_anchor_cells": ["Sales by region", "far"],
        "places": {"SALES": "'My Sheet'!C3", "Sales by region": "Report!B4", "far": "'My Sheet'!A20000"},
    }
    assert (await validate(template, "SALES", tmp_path))["found_named_ranges"] == ["SALES"]


@pytest.mark.asyncio
async def test_a_template_that_lacks_names_lists_them(template: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"has no name and no cell 'sales by region', 'x'$"):
        await validate(template, ["SALES", "sales by region", "x"], tmp_path)
    with pytest.raises(StepError, match=r"the sheet 'My Sheet' of .* has no name and no cell 'Total'"):
        await validate(template, ["Total"], tmp_path, sheet="My Sheet")
    with pytest.raises(StepError, match="the sheet 'x' does not exist"):
        await validate(template, ["Total"], tmp_path, sheet="x")


OLE = bytes.fromhex("D0CF11E0A1B11AE1") + bytes(504)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "code", "why"),
    [
        (None, "AF960", "t.xlsx does not exist"),
        (b"a,b\n1,2\n", "AF961", "is no workbook"),
        (b"", "AF961", "is no workbook"),
        (OLE, "AF961", "is an old Excel file"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "AF961", "is encrypted with a password"),
        (b"PK\x03\x04 and no more", "AF961", "is a damaged workbook: its end is missing"),
        ({"a.csv": b"a"}, "AF961", "is a zip file and no workbook"),
        ({"xl/workbook.bin": b"a"}, "AF961", "is a binary workbook"),
        ({"content.xml": b"a"}, "AF961", "is an OpenDocument file"),
        ({"[Content_Types].xml": b"<a/>"}, "AF945", "is no workbook that can be read"),
        ({"[Content_Types].xml": b"<a", "_rels/.rels": b"<b"}, "AF945", "is no workbook that can be read"),
    ],
)
async def test_a_file_that_is_no_workbook_says_what_it_is(
    content: Any, code: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.xlsx"
    match content:
        case bytes():
            path.write_bytes(content)
        case dict():
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in content.items():
                    archive.writestr(name, data)
        case _:
            assert not path.exists()
    with pytest.raises(StepError, match=why) as error:
        await validate(path, ["SALES"], tmp_path)
    assert error.value.code == code


@pytest.mark.asyncio
async def test_a_damaged_sheet_is_an_error(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(template) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, content[:400] if name.endswith("sheet1.xml") else content)
    with pytest.raises(StepError, match=r"its part xl/worksheets/sheet1.xml is damaged"):
        await validate(path, ["nowhere"], tmp_path)


def test_a_folder_is_no_template(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot read the template"), opened_workbook(tmp_path):
        pass


@pytest.mark.asyncio
async def test_without_lxml_the_extra_is_named(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lxml", None)
    assert (await validate(template, ["SALES"], tmp_path))["template_ok"], "names need no package"
    with pytest.raises(MissingExtra, match="needs lxml, which is not installed") as error:
        await validate(template, ["Total"], tmp_path)
    assert "aetherflow[excel]" in error.value.hint
