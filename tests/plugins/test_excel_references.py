"""References in formulas: found, moved and grown, whatever surrounds them."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from aetherflow_excel.formulas import Moves, Use, translated
from aetherflow_excel.row_shifts import Placed, RowShift


def placed(at: int = 5, rows: int = 10, **more: Any) -> Placed:
    """Return a region in A:D, whose rows were inserted above a sample row."""
    values: dict[str, Any] = {
        "at": at,
        "inserted": rows,
        "first": at,
        "last": at + rows - 1,
        "header": None,
    }
    values |= {"column": 1, "last_column": 4, "has_stand_in": True}
    return Placed(**(values | more))


def moves(*regions: Placed, sheet: str = "report") -> Moves:
    """Return the moves that regions on one sheet make."""
    return Moves(MappingProxyType({sheet: RowShift(regions)}))


MOVED = {
    "D7*2": "D17*2",
    "$D$7+D$7+$D7": "$D$17+D$17+$D17",
    "SUM(7:8)": "SUM(17:18)",
    "SUM(D:D)": "SUM(D:D)",
    "SUM(A1:A1048576)": "SUM(A1:A1048576)",
    "A1048576": "A1048576",
    "D4+D1": "D4+D1",
    "Report!D7+report!D7+'Report'!D7": "Report!D17+report!D17+'Report'!D17",
    "Other!D7+'Other sheet'!D7": "Other!D7+'Other sheet'!D7",
    "[1]Report!D7+'[book.xlsx]Report'!D7": "[1]Report!D7+'[book.xlsx]Report'!D7",
    "SUM(Jan:Report!D7)+SUM('Jan:Report'!D7)": "SUM(Jan:Report!D7)+SUM('Jan:Report'!D7)",
    '"D7 and ""D7"""&D7': '"D7 and ""D7"""&D17',
    "LOG10(D7)+ATAN2(1,D7)": "LOG10(D17)+ATAN2(1,D17)",
    "Sales[D7]+Sales[[#This Row],[D7]]+D7": "Sales[D7]+Sales[[#This Row],[D7]]+D17",
    "Sales['[D7']]*D7": "Sales['[D7']]*D17",
    "1E7+2.5E7+.E7": "1E7+2.5E7+.E7",
    "name_D7+D7x+xD7.y+_D7": "name_D7+D7x+xD7.y+_D7",
    "D7#+@D7": "D17#+@D17",
    "D7:INDEX(D7:D9,2)": "D17:INDEX(D17:D19,2)",
    "D7:D8 D8:D9,D7": "D17:D18 D18:D19,D17",
    "{1,2;3,4}*D7%": "{1,2;3,4}*D17%",
    "#REF!+Report!#REF!+#N/A": "#REF!+Report!#REF!+#N/A",
    "XFD7+XFE7+AAAA7+D1048577": "XFD17+XFE7+AAAA7+D1048577",
    "Größe+Täg!D7+D7": "Größe+Täg!D7+D17",
}
GROWN = {
    "SUM(D5:D5)": "SUM(D5:D14)",
    "SUM(D5:D6)": "SUM(D5:D16)",
    "SUM(D4:D5)": "SUM(D4:D14)",
    "SUM(D3:D9)": "SUM(D3:D19)",
    "SUM(D4:D4)": "SUM(D4:D14)",
    "MATCH(1,A4:D4,0)": "MATCH(1,A4:D4,0)",
    "SUM(Report!A5:D5)": "SUM(Report!A5:D14)",
    "SUM(F5:F5)+F5": "SUM(F15:F15)+F15",
    "D5+$A$5": "D5+$A$5",
    "SUM(5:5)": "SUM(5:14)",
    "SUM(D5)": "SUM(D5:D14)",
    "sum( $D$5 )/Count(Report!A5)": "sum( $D$5:$D$14 )/Count(Report!A5:A14)",
    "SUM(D5,A5,D7)+SUBTOTAL(109,D5)": "SUM(D5:D14,A5:A14,D17)+SUBTOTAL(109,D5:D14)",
    "IF(MAX(D5)>0,STDEV.S(D5),D5)": "IF(MAX(D5:D14)>0,STDEV.S(D5:D14),D5)",
    "SUM(F5)+SUM(D4)+SUM(D7)": "SUM(F15)+SUM(D4)+SUM(D17)",
    "SUM(D5*2)+SUM(-D5)+ROUND(D5,2)+MYSUM(D5)": "SUM(D5*2)+SUM(-D5)+ROUND(D5,2)+MYSUM(D5)",
    'SUM(IF(D5,1))&"SUM("&D5&")"': 'SUM(IF(D5,1))&"SUM("&D5&")"',
}


@pytest.mark.parametrize(("before", "after"), [*MOVED.items(), *GROWN.items()])
def test_a_formula_follows_the_rows(before: str, after: str) -> None:
    assert moves(placed()).formula(before, "Report") == after


def test_names_of_sheets_are_unquoted_to_be_compared() -> None:
    assert (
        moves(placed(), sheet="my 'own' sheet").formula("'My ''Own'' Sheet'!D7", "x")
        == "'My ''Own'' Sheet'!D17"
    )


def test_a_formula_in_the_sample_row_is_about_this_row_only() -> None:
    assert moves(placed()).formula("D5*SUM(A5:D5)", "Report", row=5) == "D15*SUM(A15:D15)"


def test_a_sum_of_one_cell_in_the_sample_row_is_about_this_row_only() -> None:
    assert moves(placed()).formula("D5/SUM(D5)", "Report", row=5) == "D15/SUM(D15)"


def test_a_row_that_follows_directly_is_no_sample_row() -> None:
    formula = moves(placed(has_stand_in=False)).formula

    assert formula("D5*2+SUM(A5:D5)", "Other") == "D5*2+SUM(A5:D5)"
    assert formula("SUM(Report!D5)", "Other") == "SUM(Report!D15)"
    assert formula("Report!D5*2+SUM(Report!A5:D6)", "Other") == "Report!D15*2+SUM(Report!A15:D16)"


def test_rows_that_replace_let_areas_grow_and_move_nothing() -> None:
    formula = moves(placed(inserted=0)).formula

    assert (
        formula("SUM(D5:D6)+D6+SUM(D5:D20)+SUM(D7:D8)", "Report") == "SUM(D5:D14)+D6+SUM(D5:D20)+SUM(D7:D8)"
    )
    assert formula("SUM(D$5:D6)", "Report", row=6) == "SUM(D$5:D6)"
    assert formula("SUM(D$5:D6)", "Report", row=16) == "SUM(D$5:D14)"


def test_several_regions_move_what_is_below_all_of_them() -> None:
    formula = moves(
        placed(5, 10), placed(8, 2, first=18, last=19), placed(8, 4, first=18, last=21, column=6)
    ).formula

    assert formula("D6+D7+D8+D9+SUM(D8:D8)", "Report") == "D16+D17+D18+D23+SUM(D18:D19)"


@pytest.mark.parametrize(
    ("use", "before", "after"),
    [
        (Use.SERIES, "Report!$D$5", "Report!$D$5:$D$14"),
        (Use.SERIES, "Report!$B$5:$D$5", "Report!$B$5:$D$5"),
        (Use.SERIES, "Report!$D$4", "Report!$D$4"),
        (Use.SERIES, "(Report!$D$5,Report!$D$9)", "(Report!$D$5:$D$14,Report!$D$19)"),
        (Use.AREA, "A5:D5", "A5:D14"),
        (Use.AREA, "D5", "D5:D14"),
        (Use.FILTER, "A4:D4", "A4:D14"),
        (Use.FILTER, "A4:D5", "A4:D14"),
        (Use.PLACE, "A5:D5", "A15:D15"),
        (Use.PLACE, "A4:D5", "A4:D15"),
    ],
)
def test_what_a_reference_is_for_decides_whether_it_grows(use: Use, before: str, after: str) -> None:
    assert moves(placed()).formula(before, "Report", use) == after


def test_no_rows_move_nothing() -> None:
    assert moves(placed(rows=0)).formula("SUM(D5:D6)+D7", "Report") == "SUM(D5:D6)+D7"


def test_a_shared_formula_is_read_relative_to_its_first_cell() -> None:
    assert translated("A1+$B$2+Report!C3:D$4+1:2+SUM(A:A)", 2, 1) == "B3+$B$2+Report!D5:E$4+3:4+SUM(A:A)"
