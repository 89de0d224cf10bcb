"""The step `excel_read`: sheets, ranges, tables and names to data files, with their types."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aetherflow_excel.number_formats import Meaning, meaning_of, moment
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.table import Table
from xlsxwriter import Workbook as WrittenBook

from aetherflow import StepError
from tests.plugins.workbooks import ExcelRun

DAY = date(2026, 1, 31)


@pytest.fixture
def run(tmp_path: Path) -> ExcelRun:
    return ExcelRun(tmp_path)


def make(path: Path) -> Path:
    """Write a workbook with a title above a table, a table of Excel, a name, and all kinds of values."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Sales"
    sheet["A1"] = "Sales of January"
    table_rows: list[list[Any]] = [
        ["shop", "day", "amount", "ok", "note"],
        ["north", DAY, 5, True, "two\nlines"],
        ["south", date(2026, 2, 1), 7.25, False, None],
        [None] * 5,
        ["ost & <west>", None, 0, None, "=1"],
    ]
    for row in table_rows:
        sheet.append(row)
    sheet["E6"].data_type = "s"
    sheet["E6"].value = "'=1"
    other = book.create_sheet("My Data")
    other_rows: list[list[Any]] = [[None, "id", "name"], [None, 1, "a"], [None, 2, "b"], [None, "sum", 3]]
    for row in other_rows:
        other.append(row)
    table = Table(displayName="Items", ref="B1:C4")
    table.totalsRowCount = 1
    other.add_table(table)
    book.defined_names["AREA"] = DefinedName("AREA", attr_text="'My Data'!$B$1:$C$3")
    book.save(path)
    return path


@pytest.mark.asyncio
async def test_a_range_becomes_csv(run: ExcelRun) -> None:
    make(run.artifacts / "b.xlsx")
    done = await run.read(range="A2:E")
    assert (run.artifacts / "o.csv").read_text() == (
        "shop,day,amount,ok,note\n"
        'north,2026-01-31,5,true,"two\nlines"\n'
        "south,2026-02-01,7.25,false,\n"
        "ost & <west>,,0,,'=1\n"
    )
    assert {**done, "sha256": ""} == {
        "output": str(run.artifacts / "o.csv"),
        "format": "csv",
        "sheet": "Sales",
        "range": "Sales!A2:E1048576",
        "columns": ["shop", "day", "amount", "ok", "note"],
        "rows": 3,
        "dtypes": {"shop": "string", "day": "date", "amount": "float", "ok": "bool", "note": "string"},
        "sha256": "",
    }


@pytest.mark.asyncio
async def test_a_table_and_a_name_become_json_lines(run: ExcelRun) -> None:
    make(run.artifacts / "b.xlsx")
    for choice in ({"table": "items"}, {"name": "AREA"}, {"range": "'My Data'!B1:C3"}):
        done = await run.read(output="o.jsonl", **choice)
        assert (run.artifacts / "o.jsonl").read_text() == '{"id":1,"name":"a"}\n{"id":2,"name":"b"}\n'
        assert done["range"] == "'My Data'!B1:C3"


@pytest.mark.asyncio
async def test_a_sheet_becomes_parquet_with_the_types_of_all_its_values(run: ExcelRun) -> None:
    make(run.artifacts / "b.xlsx")
    done = await run.read(output="o.parquet", sheet="Sales", range="2:6")
    table = pq.read_table(run.artifacts / "o.parquet")
    assert [str(field.type) for field in table.schema] == [
        "string",
        "date32[day]",
        "double",
        "bool",
        "string",
    ]
    assert table.column("day").to_pylist() == [DAY, date(2026, 2, 1), None]
    assert done["dtypes"]["amount"] == "float"


@pytest.mark.asyncio
async def test_types_are_those_of_dtypes(run: ExcelRun) -> None:
    make(run.artifacts / "b.xlsx")
    await run.read(output="o.jsonl", name="AREA", dtypes={"id": "string"})
    assert json.loads((run.artifacts / "o.jsonl").read_text().splitlines()[0]) == {"id": "1", "name": "a"}
    with pytest.raises(StepError, match=r"^'My Data'!C2: the value 'a' is no int$") as error:
        await run.read(name="AREA", dtypes={"name": "int"})
    assert error.value.code == "AF977"
    with pytest.raises(StepError, match="'gone', which is not there"):
        await run.read(name="AREA", dtypes={"gone": "int"})


@pytest.mark.asyncio
async def test_empty_rows_and_headers(run: ExcelRun) -> None:
    make(run.artifacts / "b.xlsx")
    await run.read(range="A2:C6", skip_empty_rows=False)
    assert (run.artifacts / "o.csv").read_text().splitlines()[3:] == [",,", "ost & <west>,,0"]
    done = await run.read(range="A3:B4", header=False)
    assert (done["columns"], done["rows"]) == (["column_1", "column_2"], 2)
    run.template({"A1": "a", "B1": " a \n b ", "C1": "a", "D1": 5, "F1": "f", "A2": 1}, name="b.xlsx")
    assert (await run.read())["columns"] == ["a", "a b", "a_2", "5", "column_5", "f"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "code", "why"),
    [
        ({}, "AF976", "Sales!B2 has a value, and row 1, the first one, has its values in A to A"),
        ({"sheet": "x"}, "AF962", "the sheet 'x' does not exist in the workbook"),
        ({"range": "x"}, "AF965", "the range 'x' is no reference"),
        ({"table": "x"}, "AF976", "has no table 'x'"),
        ({"name": "x"}, "AF976", "has no name 'x'"),
        ({"range": "H1:J9"}, "AF976", "Sales!H1:J9 has no value"),
        ({"range": "B1:C9"}, "AF976", "Sales!B1:C9 has no header"),
        ({"path": "gone.xlsx"}, "AF960", "gone.xlsx does not exist"),
        ({"path": "gone.xls"}, "AF960", "gone.xls does not exist"),
        ({"range": "A1", "table": "x"}, "", "name one of range, table and name"),
    ],
)
async def test_what_cannot_be_read_is_an_error(
    run: ExcelRun, inputs: dict[str, Any], code: str, why: str
) -> None:
    make(run.artifacts / "b.xlsx")
    with pytest.raises(StepError, match=why) as error:
        await run.read(**inputs)
    assert code in {"", error.value.code}
    assert not (run.artifacts / "o.csv").exists()


@pytest.mark.asyncio
async def test_errors_and_formulas_without_a_value(run: ExcelRun) -> None:
    with WrittenBook(run.artifacts / "b.xlsx") as book:
        sheet = book.add_worksheet("S")
        sheet.write_row(0, 0, ["a", "b", "c"])
        sheet.write_formula("A2", "=1/0", None, "#DIV/0!")
        sheet.write_formula("B2", "=1+1", None, 2)
        sheet.write_formula("C2", '="x"', None, "")
    with pytest.raises(StepError, match="S!A2 has the error #DIV/0!") as error:
        await run.read()
    assert error.value.code == "AF977"
    await run.read(errors="null")
    assert (run.artifacts / "o.csv").read_text() == "a,b,c\n,2,\n"
    await run.read(errors="text")
    assert (run.artifacts / "o.csv").read_text() == "a,b,c\n#DIV/0!,2,\n"

    run.template({"A1": "a", "B1": "b", "A2": 1, "B2": "=A2"}, name="b.xlsx")
    await run.read()
    assert (run.artifacts / "o.csv").read_text() == "a,b\n1,\n"
    assert any("1 formulas of b.xlsx have no stored value" in str(event) for event in run.events)


@pytest.mark.asyncio
@pytest.mark.parametrize("is_1904", [False, True])
async def test_dates_times_and_durations(run: ExcelRun, is_1904: bool) -> None:  # noqa: FBT001 - a parameter
    book = Workbook()
    if is_1904:
        book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert sheet is not None
    moment_ = datetime(2026, 1, 31, 13, 45, 30)  # noqa: DTZ001 - Excel has no zones
    sheet.append(["date", "moment", "time", "duration", "number"])
    sheet.append([DAY, moment_, time(13, 45), timedelta(hours=26, minutes=30), 46053])
    sheet["D2"].number_format = "[h]:mm:ss"
    book.save(run.artifacts / "b.xlsx")
    await run.read()
    assert (run.artifacts / "o.csv").read_text().splitlines()[1] == (
        "2026-01-31,2026-01-31T13:45:30,13:45:00,26:30:00,46053"
    )


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("General", Meaning.NUMBER), ("0.00", Meaning.NUMBER), ('#,##0 "days"', Meaning.NUMBER),
        ("0.00E+00", Meaning.NUMBER), ("[Red]0;[Blue]-0", Meaning.NUMBER), ("0\\d", Meaning.NUMBER),
        ("yyyy-mm-dd", Meaning.DATE), ("[$-407]d. mmmm yyyy;@", Meaning.DATE), ("mmm", Meaning.DATE),
        ("dd.mm.yyyy hh:mm", Meaning.DATETIME), ("h:mm AM/PM", Meaning.TIME), ("mm:ss.0", Meaning.TIME),
        ("[h]:mm", Meaning.DURATION), ("[mm]:ss", Meaning.DURATION),
    ],
)  # fmt: skip
def test_a_format_says_what_a_number_means(code: str, meaning: Meaning) -> None:
    assert meaning_of(code) is meaning


def test_serial_numbers() -> None:
    assert moment(1, Meaning.DATE, is_1904=False) == date(1900, 1, 1)
    assert moment(59, Meaning.DATE, is_1904=False) == date(1900, 2, 28)
    assert moment(61, Meaning.DATE, is_1904=False) == date(1900, 3, 1)
    assert moment(0, Meaning.DATE, is_1904=True) == date(1904, 1, 1)
    assert moment(0.999999999, Meaning.DATETIME, is_1904=True) == datetime(1904, 1, 2)  # noqa: DTZ001
    assert moment(-5.0, Meaning.DATE, is_1904=False) == -5.0
    assert moment(1e12, Meaning.DATE, is_1904=False) == 1e12


@pytest.mark.asyncio
async def test_a_file_that_calamine_cannot_read_is_an_error(run: ExcelRun) -> None:
    (run.artifacts / "b.xls").write_text("no workbook")
    with pytest.raises(StepError, match="cannot read the workbook"):
        await run.read(path="b.xls")
    with pytest.raises(StepError, match=r"tables and names of .ods files cannot be read"):
        await run.read(path="b.ods", table="Items")
