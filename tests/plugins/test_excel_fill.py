"""The steps that fill a template: what comes into the workbook, and what fails before it is written."""

from __future__ import annotations

import errno
import json
import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from python_calamine import load_workbook as load_calamine

from aetherflow import StepError
from tests.plugins.workbooks import CARD, MARKED, NAMED, ExcelRun, cells, rows


@pytest.fixture
def run(tmp_path: Path) -> ExcelRun:
    return ExcelRun(tmp_path)


@pytest.fixture
def named(run: ExcelRun) -> ExcelRun:
    run.template(NAMED, {"SALES": "Report!$B$4"})
    return run


@pytest.fixture
def marked(run: ExcelRun) -> ExcelRun:
    run.template(MARKED)
    return run


@pytest.mark.asyncio
async def test_small_rows_replace_what_is_at_a_name(named: ExcelRun) -> None:
    done = await named.small({"anchor": "SALES", **rows(["north", 5])})

    assert cells(named, "B3:C5") == [["shop", "amount"], ["north", 5], ["Total", "=SUM(C4:C4)"]]
    assert done == {
        "output": str(named.artifacts / "o.xlsx"),
        "written": [
            {
                "name": "target",
                "sheet": "Report",
                "rows": 1,
                "cols": 2,
                "data_rows": 1,
                "start_cell": [4, 2],
                "start": "Report!B4",
                "first_data_cell": "B4",
                "mode": "report_region",
                "insert": "replace",
                "header_mode": "template",
                "header_style": "template",
                "style_mode": "none",
                "template_has_header": False,
                "type_cast": "none",
            }
        ],
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("template", "count", "from_cell"),
    [
        (NAMED, 1, ""),  # the total is in the row below
        (NAMED, 2, "B5"),
        (
            {"B4": "sample", "C4": 1, "B5": "sample", "C5": 2, "B6": "Total", "C6": 3},
            3,
            "",
        ),
        ({"B4": "sample", "C4": 1, "B5": "sample", "C5": "=C4*2", "B6": "x"}, 3, "C5"),
        ({"B4": "sample", "C4": "=1+1", "B7": "Signed:"}, 3, ""),
        ({"B4": "sample", "C4": "=1+1", "B7": "Signed:"}, 5, "B7"),
        ({"E6": "beside", "A6": "=1+1"}, 5, ""),
    ],
)
async def test_what_is_overwritten_below_the_region_is_a_warning(
    run: ExcelRun, template: dict[str, Any], count: int, from_cell: str
) -> None:
    run.template(template)
    target = {"name": "sales", "cell": "B4", "sheet": "Report"}
    await run.small({**target, **rows(*[["north", 5]] * count)})
    warnings = [str(event) for event in run.events if "overwrite what sheet" in str(event)]
    assert [f"its {count} rows" in one and f"from {from_cell} on" in one for one in warnings] == (
        [True] if from_cell else []
    )
    run.events.clear()
    await run.small({**target, "insert": "below", **rows(*[["north", 5]] * count)})
    assert not [event for event in run.events if "overwrite what sheet" in str(event)]


@pytest.mark.asyncio
async def test_small_rows_below_a_marker(marked: ExcelRun) -> None:
    target = {"anchor": "sales", "insert": "below", "anchor_clear": True, "clear_style_row": True}
    done = await marked.small({**target, **rows(["north", 5], ["south", 7])})

    assert cells(marked, "B2:C6") == [
        [None, None],
        ["shop", "amount"],
        ["north", 5],
        ["south", 7],
        ["Total", "=SUM(C4:C5)"],
    ]
    (written,) = done["written"]
    assert (written["start_cell"], written["first_data_cell"]) == ([3, 2], "B4")
    assert (written["template_has_header"], written["rows"]) == (True, 2)


@pytest.mark.asyncio
async def test_a_header_is_written_over_that_of_the_template(marked: ExcelRun) -> None:
    target = {"anchor": "SALES", "header_mode": "override", "rows_json": [["n"]], "columns_json": ["name"]}
    await marked.small({**target, "header_clear_width": 2})
    assert cells(marked, "B2:C4") == [["SALES", None], ["name", None], ["n", 1]]

    await marked.small({**target, "header_clear": False})
    assert cells(marked, "B3:C3") == [["name", "amount"]]


@pytest.mark.asyncio
async def test_a_header_is_inserted_with_the_rows(named: ExcelRun) -> None:
    target = {"cell": "B5", "sheet": "Report", "insert": "below", "header_mode": "append"}
    done = await named.small({**target, **rows(["n", 1], ["s", 2])})

    assert cells(named, "B5:C8") == [["shop", "amount"], ["n", 1], ["s", 2], ["Total", "=SUM(C4:C4)"]]
    assert (done["written"][0]["rows"], done["written"][0]["start"]) == (3, "Report!B5")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "given",
    [
        {"rows_json": '[["n", 1], ["s", null]]', "columns_json": '["shop", "amount"]'},
        {"rows_json": [{"shop": "n", "amount": 1}, {"shop": "s"}]},
        {
            "rows_json": json.dumps([{"amount": 1, "shop": "n"}, {"shop": "s"}]),
            "columns_json": ["shop", "amount"],
        },
        {"rows_json": [["n", 1], ["s"]]},
    ],
)
async def test_rows_are_lists_or_mappings_or_json(named: ExcelRun, given: dict[str, Any]) -> None:
    await named.small({"anchor": "SALES", "insert": "below", **given})
    assert cells(named, "B4:C5") == [["n", 1], ["s", None]]


@pytest.mark.asyncio
async def test_no_rows_are_a_report_without_rows(marked: ExcelRun) -> None:
    done = await marked.small({"anchor": "SALES", "insert": "below", "rows_json": []})
    assert (done["written"][0]["rows"], cells(marked, "B3:B5")) == (0, [["shop"], ["sample"], ["Total"]])


@pytest.mark.asyncio
async def test_values_of_the_data_stay_what_they_are(named: ExcelRun) -> None:
    values = [
        "=1+1",
        "+1",
        "-1",
        "@x",
        CARD,
        int(CARD),
        12,
        1.5,
        True,
        None,
        "2026-01-31",
        "_x0041_",
        "a\r\nb <&>",
        "",
    ]
    await named.small({"anchor": "SALES", "rows_json": [values]})

    expected = [*values[:5], CARD, *values[6:11], "_x005F_x0041_", "a\r\nb <&>", None]
    (found,) = cells(named, "B4:O4")
    assert [*found[:12], found[13]] == [*expected[:12], expected[13]], "openpyxl shows _x005F_ for _"
    assert found[12] in {"a\r\nb <&>", "a_x000D_\nb <&>"}
    sheet = load_workbook(named.artifacts / "o.xlsx")["Report"]
    assert {cell.data_type for cell in sheet[4][1:5]} == {"s"}, "no formula comes from data"
    read = load_calamine(str(named.artifacts / "o.xlsx")).get_sheet_by_name("Report").to_python()
    assert read[1][:10] == [*expected[:9], ""]


@pytest.mark.asyncio
async def test_types_by_dtypes_and_by_looks(named: ExcelRun) -> None:
    dtypes = {"a": "int", "b": "date", "c": "string", "d": "bool"}
    columns, row = list("abcd"), ["7", "2026-01-31", "007", "yes"]
    done = await named.small(
        {"anchor": "SALES", "rows_json": [row], "columns_json": columns, "dtypes": dtypes}
    )
    assert cells(named, "B4:E4") == [[7, datetime(2026, 1, 31), "007", True]]  # noqa: DTZ001 - openpyxl
    assert done["written"][0]["type_cast"] == "schema"

    await named.small(
        {"anchor": "SALES", "rows_json": [row], "type_cast": "basic", "dtypes_json": '{"a": "int"}'}
    )
    assert cells(named, "B4:E4") == [[7, datetime(2026, 1, 31), "007", "yes"]]  # noqa: DTZ001


@pytest.mark.asyncio
async def test_the_style_row_gives_its_formats(run: ExcelRun) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Report"
    for row in (["SALES"], ["shop", "day"], ["sample", date(2026, 1, 1)]):
        sheet.append(row)
    sheet["A3"].font, sheet["B3"].number_format = Font(bold=True), "dd.mm.yy"
    book.save(run.artifacts / "t.xlsx")
    target = {"anchor": "SALES", "style_mode": "copy_row", "style_apply": "both", "header_mode": "override"}
    data = {
        "rows_json": [["n", "2026-02-01"], ["s", "2026-02-02"]],
        "columns_json": ["x", "y"],
        "dtypes": {"y": "date"},
    }
    await run.small({**target, **data})

    written = load_workbook(run.artifacts / "o.xlsx")["Report"]
    assert [written.cell(row, 1).font.bold for row in (2, 3, 4)] == [True, True, True]
    assert [written.cell(row, 2).number_format for row in (2, 3, 4)] == ["dd.mm.yy"] * 3
    assert written["B4"].value == datetime(2026, 2, 2)  # noqa: DTZ001


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("keys", "code", "why"),
    [
        ({"max_rows": 1}, "AF969", r"'target' has 2 rows, more than max_rows: 1"),
        (
            {"max_total_rows": 2, "header_mode": "append"},
            "AF969",
            "3 rows with the header, more than max_total_rows: 2",
        ),
        ({"max_cols": 1}, "AF969", "2 columns, more than max_cols: 1"),
        ({"row_count": 9, "max_rows": 8}, "AF969", "9 rows, more than max_rows: 8"),
        ({"rows_json": "[1"}, "AF974", "rows_json is no JSON"),
        ({"rows_json": [1]}, "AF974", "has the row 1, which is no list: 1"),
        ({"rows_json": [[1], {"a": 1}]}, "AF974", "has lists and mappings"),
        ({"columns_json": None, "header_mode": "append"}, "AF974", "columns_json is missing, and the names"),
        ({"columns_json": "{}"}, "AF974", "columns_json is no list, but a mapping"),
        ({"rows_json": "12"}, "AF974", "rows_json is no list, but a number"),
        (
            {"columns_json": ["shop", "a\x02"], "header_mode": "append"},
            "AF967",
            r"the header, the name 'a\\x02' of column 2 has the character U\+0002",
        ),
        ({"rows_json": [["a", "b\x01"]]}, "AF967", r"row 1, column 'amount' has the character U\+0001"),
        ({"rows_json": [["a", "b", "c"]]}, "AF968", "row 1 has 3 values, but there are 2 columns"),
        ({"dtypes": {"a": "money"}}, "AF901", "money"),
        ({"dtypes": {"amonut": "int"}}, "AF901", "dtypes name the column 'amonut', which is not there"),
    ],
)
async def test_what_fails_leaves_the_output_as_it_was(
    named: ExcelRun, keys: dict[str, Any], code: str, why: str
) -> None:
    (named.artifacts / "o.xlsx").write_text("old")
    before = sorted(named.artifacts.iterdir())
    with pytest.raises(StepError, match=why) as error:
        await named.small({"anchor": "SALES", **rows(["n", 1], ["s", 2]), **keys})
    assert error.value.code == code
    assert (named.artifacts / "o.xlsx").read_text() == "old"
    assert sorted(named.artifacts.iterdir()) == before


@pytest.mark.asyncio
async def test_a_full_disk_is_an_error_that_names_the_output(
    named: ExcelRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, part: Path, *_more: Any, **_settings: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(part))

    monkeypatch.setattr("aetherflow_excel.fill_job.fill_workbook", full)
    with pytest.raises(StepError, match=r"^cannot write .*/o\.xlsx: No space left on device$") as error:
        await named.small({"anchor": "SALES", **rows(["n", 1])})
    assert error.value.code == "AF735"


@pytest.mark.asyncio
async def test_two_targets_that_overlap_fail_before_anything_is_written(named: ExcelRun) -> None:
    below = {"name": "two", "cell": "C5", "sheet": "Report", **rows(["x", 1])}
    with pytest.raises(StepError, match=r"the targets 'target' .* and 'two' .* overlap"):
        await named.small({"anchor": "SALES", **rows(["n", 1], ["s", 2])}, below)
    assert not (named.artifacts / "o.xlsx").exists()

    done = await named.small({"anchor": "SALES", "insert": "below", **rows(["n", 1], ["s", 2])}, below)
    assert [one["start"] for one in done["written"]] == ["Report!B4", "Report!C7"]
    assert cells(named, "B4:D7") == [
        ["n", 1, None],
        ["s", 2, None],
        [None, None, None],
        ["Total", "x", 1],
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"output_path": "o.xlsx"}, "output_path"),
        ({"targets": [{"anchor": "SALES", "rows_json": [], "format": "csv"}]}, "format"),
        ({"targets": []}, "must not be empty"),
        ({"targets": [{"anchor": "SALES"}]}, "rows_json"),
    ],
)
async def test_unknown_and_missing_keys_are_errors(named: ExcelRun, inputs: dict[str, Any], why: str) -> None:
    given = {"targets": [{"anchor": "SALES", "rows_json": []}], **inputs}
    with pytest.raises((StepError, msgspec.ValidationError), match=why):
        await named.small(**given)
