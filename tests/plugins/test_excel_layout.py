"""Which rows of a template a target takes, and when two targets collide; no workbook."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from aetherflow_excel.anchor_search import Anchor, Kind
from aetherflow_excel.fill_from_file import FileTarget, _settled
from aetherflow_excel.fill_small import SmallTarget
from aetherflow_excel.layout import Block, block_of, check_overlap
from aetherflow_excel.regions import Box
from aetherflow_excel.target_keys import Target, settled

from aetherflow import StepError


def small(**keys: Any) -> Target:
    target = msgspec.convert({"rows_json": [], **keys}, SmallTarget)
    return settled(target, mode="report_region", default_header="template", default_insert="replace")


def from_file(**keys: Any) -> Target:
    return _settled(msgspec.convert({"source_path": "a.csv", **keys}, FileTarget))


def block(target: Target, kind: Kind = "name", row: int = 4, column: int = 2, rows: int = 10) -> Block:
    return block_of(target, Anchor("Report", row, column, kind), 3, rows)


def shape(found: Block) -> tuple[int, int, bool, bool, int]:
    """Return the first row, the data row, whether a header is written and inserted, and the inserted rows."""
    return found.row, found.data_row, found.writes_header, found.inserts_header, found.inserted


def test_a_defined_name_is_where_the_data_begin() -> None:
    assert shape(block(small(anchor="SALES"))) == (4, 4, False, False, 0)
    assert shape(block(from_file(anchor="SALES", mode="report_region"))) == (4, 4, False, False, 10)


def test_a_text_is_a_marker_above_a_header() -> None:
    for target in (small(anchor="SALES"), from_file(anchor="SALES", mode="report_region")):
        assert shape(block(target, "text"))[:3] == (5, 6, False)
        assert block(target, "text").has_template_header
    assert shape(block(small(anchor="A4"), "reference")) == (5, 6, False, False, 0)


def test_a_cell_is_where_the_region_begins() -> None:
    assert shape(block(small(cell="B4", sheet="Report"), "reference")) == (4, 4, False, False, 0)
    target = from_file(cell="B4", sheet="Report", mode="report_region", header_mode="append")
    assert shape(block(target, "reference")) == (4, 5, True, True, 11)


def test_a_data_sheet_never_inserts_and_has_a_header() -> None:
    target = from_file(insert="below", name="raw")
    assert (target.sheet, target.insert, target.header_mode) == ("DATA_raw", "replace", "append")
    assert shape(block(target, "reference", row=1, column=1)) == (1, 2, True, False, 0)


def test_the_old_include_header_wins_over_both() -> None:
    keys = {"source_path": "a.csv", "read_header": True, "header_mode": "append", "include_header": False}
    target = msgspec.convert(keys, FileTarget)
    assert (_settled(target).header_mode, target.has_header) == ("template", False)
    keys |= {"read_header": False, "header_mode": "template", "include_header": True}
    target = msgspec.convert(keys, FileTarget)
    assert (_settled(target).header_mode, target.has_header) == ("append", True)


def test_what_is_emptied() -> None:
    target = small(anchor="SALES", anchor_clear=True, header_mode="override", clear_style_row=True)
    assert block(target, "text").clear == (Box(4, 2, 4, 2), Box(5, 2, 5, 4), Box(6, 2, 6, 4))
    wide = small(
        anchor="SALES", anchor_clear=True, anchor_clear_width=3, header_mode="override", header_clear_width=9
    )
    assert block(wide, "text").clear == (Box(4, 2, 4, 4), Box(5, 2, 5, 10))
    row = small(anchor="SALES", anchor_clear=True, anchor_clear_mode="row")
    assert block(row, "text").clear == (Box(4, 1, 4, 16_384),)
    off = small(anchor="SALES", header_mode="override", header_clear=False)
    assert block(off, "text").clear == ()


def test_the_style_row_counts_from_the_marker_or_the_region() -> None:
    target = small(anchor="SALES", style_mode="copy_row")
    assert block(target, "text").style_row == 6
    assert block(target, "name").style_row == 6
    assert block(small(anchor="SALES"), "text").style_row is None
    with pytest.raises(StepError, match="its style row would be row 0"):
        block(small(anchor="SALES", style_mode="copy_row", style_row_offset=-4), "name")


def test_the_last_data_row_takes_the_place_of_a_sample_row_that_is_cleared() -> None:
    keys = {"mode": "report_region", "style_mode": "copy_row", "clear_style_row": True}
    sample = block(from_file(anchor="SALES", **keys), "text")
    assert (sample.style_row, sample.takes_style_row, sample.inserted) == (6, True, 9)
    assert block(from_file(anchor="SALES", **keys), "text", rows=0).inserted == 0
    elsewhere = block(from_file(anchor="SALES", style_row_offset=3, **keys), "text")
    assert (elsewhere.takes_style_row, elsewhere.inserted) == (False, 10)
    with_header = block(from_file(anchor="SALES", style_row_offset=1, header_mode="append", **keys), "name")
    assert (with_header.style_row, with_header.data_row, with_header.inserted) == (5, 5, 11)
    assert not block(
        small(anchor="SALES", style_mode="copy_row", clear_style_row=True), "text"
    ).takes_style_row


def test_rows_and_columns_that_are_not_on_a_sheet() -> None:
    with pytest.raises(StepError, match="would end in row 1,048,577, and a sheet has 1,048,576") as error:
        block(small(anchor="SALES"), rows=1_048_574)
    assert error.value.code == "AF971"
    with pytest.raises(StepError, match="would end in column 16,385"):
        block(small(anchor="SALES"), column=16_383)


def collide(*blocks: Block) -> str:
    try:
        check_overlap(blocks)
    except StepError as error:
        return f"{error.code}: {error.message}"
    return ""


REPLACE, BELOW = small(name="one", anchor="A"), from_file(name="two", anchor="B", mode="report_region")


def test_two_regions_that_write_to_the_same_cells_collide() -> None:
    assert "AF972: " in collide(block(REPLACE), block(REPLACE, row=13))
    assert "they would write to the same cells" in collide(block(REPLACE), block(REPLACE, row=13))
    assert "'one' (10 rows from Report!B4 on)" in collide(block(REPLACE), block(REPLACE, row=13))
    assert collide(block(REPLACE), block(REPLACE, row=14)) == ""
    assert collide(block(REPLACE), block(REPLACE, column=5)) == ""
    assert collide(block(REPLACE, rows=0), block(REPLACE)) == ""


def test_a_region_that_inserts_rows_moves_those_below_it() -> None:
    assert collide(block(BELOW), block(REPLACE, row=5)) == ""
    assert collide(block(BELOW), block(BELOW, row=5)) == ""
    assert collide(block(BELOW), block(BELOW, column=9)) == "", "side by side"
    assert "they would write to the same cells" in collide(block(BELOW), block(BELOW, column=3))
    beside = collide(block(BELOW, row=6), block(REPLACE, column=9))
    assert "the rows that 'two' inserts would go through 'one'" in beside


def test_regions_on_two_sheets_do_not_collide() -> None:
    other = msgspec.structs.replace(block(REPLACE), sheet="Other")
    assert collide(block(REPLACE), other) == ""


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({}, "needs anchor or cell"),
        ({"anchor": "A", "cell": "B2", "sheet": "S"}, "not both"),
        ({"cell": "B2"}, "cell needs sheet"),
    ],
)
def test_a_target_says_where_it_is_once(keys: dict[str, str], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        small(**keys)
    assert from_file().sheet == "DATA_target"
    with pytest.raises(msgspec.ValidationError, match="needs anchor or cell"):
        from_file(mode="report_region")
