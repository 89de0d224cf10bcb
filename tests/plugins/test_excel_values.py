"""What becomes of values: types by their looks or by dtypes, and what a cell can hold; no workbook."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from aetherflow_excel.casts import basic, casts_of
from aetherflow_excel.cell_references import (
    Area,
    cell_name,
    column_letters,
    column_number,
    place_name,
    read_area,
)
from aetherflow_excel.cell_values import CellRules
from aetherflow_excel.column_cells import cells_of_batches

from aetherflow import StepError, data_files

CARD = "4000123412341234"


def written(*values: Any, on_illegal: Any = "fail", is_1904: bool = False, cast: Any = None) -> list[Any]:
    columns = [f"c{number}" for number in range(len(values))]
    rules = CellRules(on_illegal, is_1904)
    casts = [cast] * len(values)
    batches = cells_of_batches([[values]], target="t", columns=columns, casts=casts, rules=rules)
    return list(next(iter(batches))[0])


def test_references() -> None:
    assert [column_letters(number) for number in (1, 26, 27, 702, 703, 16_384)] == [
        *("A", "Z", "AA", "ZZ", "AAA", "XFD")
    ]
    assert all(column_number(column_letters(number)) == number for number in range(1, 16_385))
    assert cell_name(5, 28) == "AB5"
    assert place_name("My Sheet", 1, 1) == "'My Sheet'!A1"
    assert place_name("It's", 1, 1) == "'It''s'!A1"
    assert place_name("AB12", 1, 1) == "'AB12'!A1"


@pytest.mark.parametrize(
    ("text", "area"),
    [
        ("B5", Area("", 5, 2, 5, 2)),
        ("$b$5", Area("", 5, 2, 5, 2)),
        ("Report!A1", Area("Report", 1, 1, 1, 1)),
        ("'It''s mine'!$A$1:$C$9", Area("It's mine", 1, 1, 9, 3)),
        ("C9:A1", Area("", 1, 1, 9, 3)),
        ("A:C", Area("", 1, 1, 1_048_576, 3)),
        ("2:5", Area("", 2, 1, 5, 16_384)),
        *(
            (text, None)
            for text in ("SALES", "XFE1", "A1048577", "A0", "#REF!", "Report!#REF!", "A", "5", "")
        ),
        *((text, None) for text in ("A1,B2", "SUM(A1)", "A1:B2:C3", "Report!")),
    ],
)
def test_a_text_is_a_reference_or_not(text: str, area: Area | None) -> None:
    assert read_area(text) == area


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("FALSE", False), ("1", True), ("0", False),  # as 0.0 does it
        ("12", 12), ("-12", -12), ("007", "007"), ("+5", "+5"), ("12 EUR", "12 EUR"),
        ("1.50", Decimal("1.50")), ("-.5", Decimal("-0.5")), ("1e3", 1000.0), ("0.5", Decimal("0.5")),
        (CARD, CARD), ("123456789012345", 123456789012345), ("2988.0000000000005", 2988.0000000000005),
        ("1.234567890123456789", "1.234567890123456789"),
        ("2026-02-28", date(2026, 2, 28)), ("2026-02-30", "2026-02-30"), ("20260228", 20260228),
        ("2026-02-28T12:30:00", datetime(2026, 2, 28, 12, 30)),  # noqa: DTZ001 - Excel has no zones
        ("2026-02-28 12:30", datetime(2026, 2, 28, 12, 30)),  # noqa: DTZ001
        ("12:30", time(12, 30)), ("=1+1", "=1+1"), ("-", "-"), (".", "."), ("e5", "e5"), ("1.", "1."),
        ("", None), (5, 5), (None, None), ("1e400", "1e400"), ("-1.5e400", "-1.5e400"), ("1e-400", "1e-400"),
        ("0e5", 0.0),
    ],
)  # fmt: skip
def test_basic_types_by_looks(text: Any, value: Any) -> None:
    found = basic(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("word", "given", "value"),
    [
        ("int", "007", 7), ("int", "x", "x"), ("int", CARD, CARD), ("int", "", None), ("int", 5.0, 5),
        ("float", "1.5", 1.5), ("float", "0.12345678901234567", 0.12345678901234567), ("float", "1,5", "1,5"),
        ("decimal", "1.10", Decimal("1.10")), ("decimal", "1234567890.1234567", "1234567890.1234567"),
        ("decimal", "1e400", "1e400"), ("float", "1e400", "1e400"),
        ("bool", "yes", True), ("bool", "N", False), ("bool", 1, True), ("bool", "maybe", "maybe"),
        ("date", "2026-01-31", date(2026, 1, 31)), ("date", "2026-01-31 00:00:00", date(2026, 1, 31)),
        ("date", "2026-01-31 10:00:00", "2026-01-31 10:00:00"), ("date", "31.01.2026", "31.01.2026"),
        ("datetime", "2026-01-31", datetime(2026, 1, 31)),  # noqa: DTZ001
        ("time", "10:15:00", time(10, 15)), ("string", True, "true"), ("int", "1", 1),
        ("string", "2026-01-31", "2026-01-31"), ("string", 5, "5"), ("string", "=1", "=1"),
    ],
)  # fmt: skip
def test_types_by_dtypes(word: str, given: Any, value: Any) -> None:
    cast, other = casts_of("schema", data_files.read_dtypes({"a": word}), ["a", "b"])
    assert cast is not None
    found = cast(given)
    assert (found, type(found)) == (value, type(value))
    assert other is None


def test_a_number_has_the_digits_that_excel_keeps_or_is_text() -> None:
    values = (10**15 - 1, 10**15, Decimal("1.50000000000000000000"), Decimal("1234567890.1234567"), 0.1 + 0.2)
    assert written(*values) == [10**15 - 1, "1000000000000000", values[2], "1234567890.1234567", 0.1 + 0.2]
    assert written(Decimal("1E+20"), float("nan"), Decimal("Infinity")) == [
        *("100000000000000000000", "nan", "Infinity")
    ]


def test_dates_that_excel_has_are_dates_and_others_are_text() -> None:
    first, early, zoned = date(1900, 3, 1), date(1899, 12, 31), datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert written(first, early, zoned) == [first, "1899-12-31", zoned.replace(tzinfo=None)]
    assert written(date(1903, 12, 31), date(1904, 1, 1), is_1904=True) == ["1903-12-31", date(1904, 1, 1)]


def test_other_values_are_text() -> None:
    assert written(b"\x00\xff", {"a": [1]}, [1, None]) == ["00ff", '{"a":[1]}', "[1,null]"]
    assert written("=SUM(A1)", "+1", "-1", "@x") == ["=SUM(A1)", "+1", "-1", "@x"]
    assert written("two\nlines\tand", "") == ["two\nlines\tand", None]


@pytest.mark.parametrize(
    ("text", "why", "replaced"),
    [
        ("a\x00b", r"U\+0000", "a\ufffdb"),
        ("\ud800", r"U\+D800", "\ufffd"),
        ("\uffff", r"U\+FFFF", "\ufffd"),
        ("x" * 32_768, "32,768 characters; a cell holds 32,767", "x" * 32_767),
        ("\U0001f600" * 16_384, "a cell holds 32,767", "\U0001f600" * 16_383),
    ],
)
def test_a_text_that_no_cell_can_hold_fails_with_its_place_or_is_changed(
    text: str, why: str, replaced: str
) -> None:
    with pytest.raises(StepError, match=rf"target 't': row 1, column 'c1' has .*{why}"):
        written("fine", text)
    assert written(text, on_illegal="replace") == [replaced]
    assert written("x" * 32_767) == ["x" * 32_767]


def test_a_row_with_too_many_values_is_an_error_with_its_number() -> None:
    rules = CellRules()
    batches = cells_of_batches(
        [[["a"]], [["b"], ["c", "d"]]], target="t", columns=["x"], casts=[None], rules=rules
    )
    with pytest.raises(StepError, match="row 3 has 2 values, but there are 1 columns"):
        list(batches)
