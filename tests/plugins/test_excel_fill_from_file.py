"""The step that fills a template from data files: formats, data sheets, large files, LibreOffice."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import anyio
import anyio.from_thread
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aetherflow_excel.fill_from_file import FileTarget
from aetherflow_excel.fill_small import SmallTarget
from openpyxl import load_workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from python_calamine import load_workbook as load_calamine

from aetherflow import StepContext, StepError
from aetherflow.events.run_events import StepProgress
from tests.plugins.libreoffice import converted
from tests.plugins.workbooks import CARD, MARKED, NAMED, ExcelRun, cells, rows


@pytest.fixture
def run(tmp_path: Path) -> ExcelRun:
    return ExcelRun(tmp_path)


@pytest.fixture
def named(run: ExcelRun) -> ExcelRun:
    run.template(NAMED, {"SALES": "Report!$B$4"})
    return run


REGION = {"name": "sales", "anchor": "SALES", "mode": "report_region"}
LINES = ("shop,amount", "north,5", '"south\nwest",7')


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.csv.gz", "a.jsonl", "a.parquet", "odd.csv"])
async def test_files_of_every_format_go_into_a_region(named: ExcelRun, name: str) -> None:
    more: dict[str, Any] = {"dtypes": {"amount": "int"}}
    path = named.artifacts / name
    match name:
        case "a.csv":
            named.write(name, *LINES)
        case "a.tsv" | "a.txt":
            named.write(name, *(line.replace(",", "\t") for line in LINES))
        case "a.csv.gz":
            path.write_bytes(gzip.compress("\n".join(LINES).encode()))
        case "a.jsonl":
            named.write(name, '{"shop":"north","amount":5}', '{"shop":"south\\nwest","amount":7}')
        case "a.parquet":
            pq.write_table(pa.table({"shop": ["north", "south\nwest"], "amount": [5, 7]}), path)
        case _:
            path.write_bytes("shop;amount\r\n'north';5\r\n'south\nwest';7\r\n".encode("utf-16"))
            more |= {"delimiter": ";", "file": {"quotechar": "'", "encoding": "utf-16", "delimiter": "!"}}
    done = await named.from_file({**REGION, "source_path": name, **more})

    assert cells(named, "B3:C6") == [["shop", "amount"], ["north", 5], ["south\nwest", 7], [None, None]]
    (written,) = done["written"]
    assert (written["insert"], written["mode"], written["rows"]) == ("below", "report_region", 2)
    assert cells(named, "B7:C7") == [["Total", "=SUM(C4:C5)"]]


@pytest.mark.asyncio
async def test_a_header_that_no_workbook_can_hold_is_changed_if_this_is_wanted(named: ExcelRun) -> None:
    given = {**rows(["n", 1]), "columns_json": ["shop", "a\x02"], "header_mode": "append"}
    await named.small({"anchor": "SALES", "on_illegal": "replace", **given})
    assert cells(named, "B4:C5") == [["shop", "a\ufffd"], ["n", 1]]


@pytest.mark.asyncio
async def test_columns_without_a_header_in_the_file(named: ExcelRun) -> None:
    named.write("a.csv", "north,5")
    target = {**REGION, "source_path": "a.csv", "read_header": False, "header_mode": "append"}
    await named.from_file({**target, "columns": ["x", "y"]})
    assert cells(named, "B4:C5") == [["x", "y"], ["north", "5"]]
    await named.from_file({**target, "columns_json": '["x", "y"]'})
    assert cells(named, "B4:C5") == [["x", "y"], ["north", "5"]]
    await named.from_file({**target, "include_header": False})
    assert cells(named, "B4:C4") == [["north", "5"]]


@pytest.mark.asyncio
async def test_a_data_sheet_is_made_with_header_filter_and_frozen_pane(named: ExcelRun) -> None:
    named.write("a.csv", *LINES)
    plain = {
        "name": "plain",
        "source_path": "a.csv",
        "freeze_panes": False,
        "autofilter": False,
        "header_bold": False,
    }
    old = {"name": "old", "source_path": "a.csv", "sheet": "Report", "cell": "F1"}
    done = await named.from_file(
        {"name": "raw", "source_path": "a.csv"}, {**plain, "data_sheet_prefix": "d "}, old
    )

    book = load_workbook(named.artifacts / "o.xlsx")
    assert book.sheetnames == ["Report", "DATA_raw", "d plain"]
    raw, plain_sheet = book["DATA_raw"], book["d plain"]
    assert (raw.freeze_panes, raw.auto_filter.ref, raw["A1"].font.bold) == ("A2", "A1:B3", True)
    assert (plain_sheet.freeze_panes, plain_sheet.auto_filter.ref, plain_sheet["A1"].font.bold) == (
        None,
        None,
        False,
    )
    assert [[cell.value for cell in row] for row in raw["A1:B3"]] == [
        ["shop", "amount"],
        ["north", "5"],
        ["south\nwest", "7"],
    ]
    assert cells(named, "F1:G2") == [["shop", "amount"], ["north", "5"]]
    assert [one["start"] for one in done["written"]] == ["DATA_raw!A1", "'d plain'!A1", "Report!F1"]
    assert {one["mode"] for one in done["written"]} == {"data_sheet"}


@pytest.mark.asyncio
@pytest.mark.parametrize(("lines", "row"), [(2, 4), (0, 2), (3, None), (4, None)])
async def test_values_of_the_template_below_the_data_of_a_data_sheet_are_a_warning(
    run: ExcelRun, lines: int, row: int | None
) -> None:
    run.template({**{f"Raw!A{n}": "old" for n in range(1, 5)}, "Raw!C3": "a note"})
    run.write("a.csv", "shop,amount", *["n,1"] * lines)
    await run.from_file({"name": "raw", "sheet": "Raw", "source_path": "a.csv"})
    found = [str(event) for event in run.events if "still has values of the template" in str(event)]
    assert ["sheet 'Raw' still has values" in one and f"from row {row} on" in one for one in found] == (
        [] if row is None else [True]
    )


@pytest.mark.asyncio
async def test_an_empty_file_leaves_the_place_empty_and_a_sheet_is_made_once(named: ExcelRun) -> None:
    named.write("header.csv", "a,b")
    named.write("empty.csv")
    region = {**REGION, "header_mode": "append", "source_path": "empty.csv"}
    targets: list[dict[str, Any]] = [
        {"sheet": "Raw", "source_path": "header.csv"},
        {"sheet": "RAW", "cell": "D1", "source_path": "empty.csv"},
        {"sheet": "raw", "cell": "E1", "source_path": "header.csv"},
    ]
    done = await named.from_file(region, *targets)
    assert [(one["start"], one["rows"], one["cols"]) for one in done["written"]] == [
        ("Report!B4", 0, 0), ("Raw!A1", 1, 2), ("Raw!D1", 0, 0), ("Raw!E1", 1, 2),
    ]  # fmt: skip
    assert load_workbook(named.artifacts / "o.xlsx").sheetnames == ["Report", "Raw"]
    assert named.values("Raw") == [("a", "b", None, None, "a", "b")]
    assert cells(named, "B3:B5") == [["shop"], [None], ["Total"]]


@pytest.mark.asyncio
async def test_a_protected_sheet_is_filled_and_stays_protected(run: ExcelRun) -> None:
    book = load_workbook(run.template(NAMED, {"SALES": "Report!$B$4"}))
    book["Report"].protection.set_password("secret")
    book.epoch = CALENDAR_MAC_1904
    book.save(run.artifacts / "t.xlsx")
    data = {
        "rows_json": [["n", "2026-01-31"], ["s", "1903-01-31"]],
        "columns_json": ["a", "b"],
        "dtypes": {"b": "date"},
    }
    await run.small({"anchor": "SALES", "insert": "below", **data})

    written = load_workbook(run.artifacts / "o.xlsx")
    assert written["Report"].protection.sheet
    assert cells(run, "B4:C5") == [["n", datetime(2026, 1, 31)], ["s", "1903-01-31"]]  # noqa: DTZ001 - openpyxl
    await run.read(path="o.xlsx", range="B4:C5", header=False)
    assert (run.artifacts / "o.csv").read_text().splitlines()[1:] == ["n,2026-01-31", "s,1903-01-31"]


@pytest.mark.asyncio
async def test_a_region_with_more_rows_than_its_threshold_is_an_error(named: ExcelRun) -> None:
    named.write("a.csv", *LINES)
    target = {**REGION, "source_path": "a.csv"}
    with pytest.raises(StepError, match="target 'sales' has 3 rows, and its rows_threshold is 2") as error:
        await named.from_file({**target, "rows_threshold": 2})
    assert error.value.code == "AF970"
    with pytest.raises(StepError, match="has 2 rows, and its rows_threshold is 1"):
        await named.from_file({**target, "count_mode": "csv_parse"}, rows_threshold=1)
    with pytest.raises(StepError, match="has 99 rows"):
        await named.from_file({**target, "row_count": 99, "rows_threshold": 2})
    await named.from_file({**target, "rows_threshold": 2, "count_mode": "csv_parse"})
    await named.from_file({**target, "rows_threshold": 1, "fail_on_threshold": False})
    await named.from_file({"name": "raw", "source_path": "a.csv"}, rows_threshold=1)


@pytest.mark.asyncio
async def test_more_rows_than_a_sheet_has_fail_before_anything_is_written(named: ExcelRun) -> None:
    (named.artifacts / "a.csv").write_bytes(b"x\n" + b"1\n" * 1_048_576)
    with pytest.raises(StepError, match=r"would end in row 1,048,577, and a sheet has 1,048,576"):
        await named.from_file({"source_path": "a.csv"})
    assert not (named.artifacts / "o.xlsx").exists()


@pytest.mark.asyncio
async def test_a_file_that_is_not_there_is_an_error(named: ExcelRun) -> None:
    with pytest.raises(StepError, match=r"cannot read .*gone.csv"):
        await named.from_file({**REGION, "source_path": "gone.csv"})


@pytest.mark.asyncio
async def test_parquet_values_are_dates_and_decimals(named: ExcelRun) -> None:
    table = pa.table(
        {
            "day": [date(2026, 1, 31), None],
            "amount": pa.array([Decimal("12.50"), Decimal("12345678901234.5678")], pa.decimal128(18, 4)),
            "id": [int(CARD), 5],
        }
    )
    pq.write_table(table, named.artifacts / "a.parquet")
    await named.from_file({**REGION, "source_path": "a.parquet"})
    assert cells(named, "B4:D5") == [
        [datetime(2026, 1, 31), 12.5, CARD],  # noqa: DTZ001 - openpyxl
        [None, "12345678901234.5678", 5],
    ]


@pytest.mark.asyncio
async def test_lines_within_fields_do_not_make_two_targets_overlap(named: ExcelRun) -> None:
    named.write("a.csv", *LINES)
    upper = {"cell": "F1", "sheet": "Report", "source_path": "a.csv"}
    await named.from_file(upper, {**upper, "cell": "F4"})
    assert cells(named, "F3:F5") == [["south\nwest"], ["shop"], ["north"]]
    with pytest.raises(StepError, match="they would write to the same cells"):
        await named.from_file(upper, {**upper, "cell": "F3"})


@pytest.mark.asyncio
async def test_a_template_may_be_filled_in_place_and_its_own_kind_decides_the_suffix(named: ExcelRun) -> None:
    await named.small({"anchor": "SALES", "insert": "below", **rows(["n", 1])}, output="t.xlsx")
    await named.small({"anchor": "SALES", "insert": "below", **rows(["s", 2])}, template_path="t.xlsx")
    assert [row[0] for row in cells(named, "B4:B5")] == ["s", "n"]
    for name in ("o.xlsm", "o.xls", "o.xltx", "o.csv"):
        with pytest.raises(StepError, match=f"Excel would not open {name}"):
            await named.small({"anchor": "SALES", **rows(["n", 1])}, output=name)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "becomes", "name", "wrong"),
    [
        (
            "application/vnd.openxmlformats-officedocument.spreadsheetml.template.main+xml",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
            "o.xlsx",
            "o.xlsm",
        ),
        (
            "application/vnd.ms-excel.template.macroEnabled.main+xml",
            "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
            "o.xlsm",
            "o.xlsx",
        ),
    ],
)
async def test_a_template_file_of_excel_becomes_a_workbook(
    named: ExcelRun, kind: str, becomes: str, name: str, wrong: str
) -> None:
    with ZipFile(named.artifacts / "t.xlsx") as old, ZipFile(named.artifacts / "t.xltx", "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part == "[Content_Types].xml":
                plain = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
                content = content.replace(plain, kind.encode())
            new.writestr(part, content)
    target = {"anchor": "SALES", **rows(["n", 1])}
    await named.small(target, template_path="t.xltx", output=name)
    with ZipFile(named.artifacts / name) as written:
        types = written.read("[Content_Types].xml").decode()
    assert (becomes in types, kind in types) == (True, False)
    with pytest.raises(StepError, match=f"Excel would not open {wrong}"):
        await named.small(target, template_path="t.xltx", output=wrong)


MAKE = """
import excelize

book = excelize.new_file()
book.set_sheet_name("Sheet1", "Report")
style = book.new_style(excelize.Style(num_fmt=4, font=excelize.Font(bold=True)))
for cell, text in {"A1": "Sales", "A3": "shop", "B3": "amount", "A5": "Total"}.items():
    book.set_cell_value("Report", cell, text)
book.set_cell_style("Report", "A4", "C4", style)
book.set_cell_formula("Report", "B5", "SUM(B4:B4)")
book.set_defined_name(excelize.DefinedName(name="SALES", refers_to="Report!$A$4"))
book.auto_filter("Report", "A3:B4", [])
book.set_panes("Report", excelize.Panes(freeze=True, y_split=3, top_left_cell="A4", active_pane="bottomLeft"))
book.save_as("t.xlsx")
"""


@pytest.mark.asyncio
async def test_a_template_of_excelize_which_writes_empty_elements_with_an_end_tag(run: ExcelRun) -> None:
    await anyio.run_process([sys.executable, "-c", MAKE], cwd=run.artifacts)
    run.write("a.csv", "shop,amount,day", "north,5,2026-01-31", "south,7,2026-02-28")
    sample = {"style_mode": "copy_row", "style_row_offset": 0, "clear_style_row": True}
    own = {"source_path": "a.csv", "dtypes": {"amount": "int", "day": "date"}}
    await run.from_file({**REGION, **own, **sample}, {"name": "raw", **own}, {"name": "more", **own})

    book = load_workbook(run.artifacts / "o.xlsx")
    assert book.sheetnames == ["Report", "DATA_raw", "DATA_more"]
    assert cells(run, "A4:C6") == [
        ["north", 5, datetime(2026, 1, 31)],  # noqa: DTZ001 - openpyxl
        ["south", 7, datetime(2026, 2, 28)],  # noqa: DTZ001
        ["Total", "=SUM(B4:B5)", None],
    ]
    assert str(book["Report"].auto_filter.ref).replace("$", "") == "A3:B5"
    assert book["Report"]["B5"].font.bold


@pytest.mark.asyncio
async def test_libreoffice_opens_what_was_written_and_computes_it(run: ExcelRun, tmp_path: Path) -> None:
    make: dict[str, Callable[[dict[str, Any]], Any]] = {"small": run.small, "file": run.from_file}
    run.template({**MARKED, "Other!A1": "=SUM(Report!C4:C4)"})
    run.write("a.csv", "shop,amount,day", "=1+1,5,2026-01-31", "süd & <ost>,7,2026-02-28")
    target = {
        "anchor": "SALES",
        "insert": "below",
        "clear_style_row": True,
        "dtypes": {"amount": "int", "day": "date"},
    }
    data = {"rows_json": [["=1+1", 5, "2026-01-31"], ["süd & <ost>", 7, "2026-02-28"]]}
    files = []
    for name, fill in make.items():
        own = data | {"columns_json": ["shop", "amount", "day"]}
        more = own if name == "small" else {"source_path": "a.csv", "mode": "report_region"}
        await fill({**target, **more})
        files.append((run.artifacts / "o.xlsx").rename(run.artifacts / f"{name}.xlsx"))
    for path in converted(files, "ods", tmp_path):
        report = load_calamine(str(path)).get_sheet_by_name("Report").to_python()
        other = load_calamine(str(path)).get_sheet_by_name("Other").to_python()
        assert report[2:5] == [
            ["=1+1", 5.0, date(2026, 1, 31)],
            ["süd & <ost>", 7.0, date(2026, 2, 28)],
            ["Total", 12.0, ""],
        ]
        assert other == [[12.0]]
        for choice, text in (
            ("B4:D5", "=1+1,5,2026-01-31\nsüd & <ost>,7,2026-02-28\n"),
            ("Other!A1", "12\n"),
        ):
            await run.read(path=str(path), range=choice, header=False)
            assert (run.artifacts / "o.csv").read_text().partition("\n")[2] == text
    with pytest.raises(StepError, match="the sheet 'x' does not exist"):
        await run.read(path=str(path), sheet="x")


@pytest.mark.asyncio
async def test_a_step_that_is_cancelled_ends_soon_and_leaves_nothing(
    named: ExcelRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "shop,amount\n" + "".join(f"shop {number},{number}\n" for number in range(100_000))
    (named.artifacts / "a.csv").write_text(text)
    scope = anyio.CancelScope()
    report = StepContext.progress

    def cancel_at_the_first_report(context: StepContext, *args: Any, **more: Any) -> None:
        report(context, *args, **more)
        anyio.from_thread.run_sync(scope.cancel)
        while not context.stopping:
            time.sleep(0.001)

    monkeypatch.setattr(StepContext, "progress", cancel_at_the_first_report)
    with anyio.fail_after(30), scope:
        await named.from_file({"source_path": "a.csv", "dtypes": {"amount": "int"}})

    assert scope.cancelled_caught
    assert len(named.of(StepProgress)) == 1
    assert sorted(path.name for path in named.artifacts.iterdir()) == ["a.csv", "t.xlsx"]


@pytest.mark.asyncio
async def test_progress_counts_the_rows_of_all_targets(named: ExcelRun) -> None:
    named.write("a.csv", *LINES)
    await named.from_file({"name": "one", "source_path": "a.csv"}, {"name": "two", "source_path": "a.csv"})
    last = named.of(StepProgress)[-1]
    assert (last.done, last.unit) == (4, "rows")


@pytest.mark.asyncio
async def test_null_is_the_default_of_every_key(named: ExcelRun) -> None:
    named.write("a.csv", *LINES)
    given = {"name", "source_path", "anchor"}
    keys = {name: None for name in FileTarget.__struct_fields__ if name not in given}
    await named.from_file(
        {"name": "raw", "source_path": "a.csv", "anchor": "SALES", **keys}, rows_threshold=None
    )
    assert cells(named, "B4:C5") == [["shop", "amount"], ["north", "5"]]
    small_keys = {name: None for name in SmallTarget.__struct_fields__ if name not in {*given, "rows_json"}}
    await named.small({"name": "x", "anchor": "SALES", "rows_json": [["n", 1]], **small_keys})
    assert cells(named, "B4:C4") == [["n", 1]]


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_cleared_sample_row_leaves_no_row_behind_and_formulas_beside_it_are_filled_down(
    run: ExcelRun, count: int
) -> None:
    beside = {**NAMED, "B4": "sample", "C4": 1, "D4": "=C4*2", "D5": "=SUM(D4:D4)"}
    run.template(beside, {"SALES": "Report!$B$4"})
    sample = {"style_mode": "copy_row", "style_row_offset": 0, "clear_style_row": True, "insert": "below"}
    await run.small({"anchor": "SALES", **sample, **rows(*[[f"s{one}", one] for one in range(count)])})

    last = max(count, 1) + 3
    data = [[f"s{one}", one, f"=C{one + 4}*2"] for one in range(count)] or [[None, None, "=C4*2"]]
    total = ["Total", f"=SUM(C4:C{last})", f"=SUM(D4:D{last})"]
    assert cells(run, f"B4:D{last + 1}") == [*data, total]
