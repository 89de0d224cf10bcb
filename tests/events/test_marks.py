"""Marks keep the values of a database exactly, and compare them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow import Mark, StepError
from tests.sizes import examples

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001 - as a database without zones gives it
VALUES = st.one_of(
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.dates(),
    st.binary(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=45)))),
)


@examples(100)
@given(VALUES)
def test_a_value_comes_back_exactly_also_from_the_journal(value: Any) -> None:
    stored = msgspec.json.decode(msgspec.json.encode(Mark.of(value)), type=Mark)

    assert (type(stored.value), stored.value) == (type(value), value)
    assert repr(stored.value) == repr(value) or isinstance(value, datetime)
    assert Mark.read(stored.type, stored.text) == stored


@pytest.mark.parametrize("value", [None, True, float("nan"), float("inf"), Decimal("NaN"), [1], {}])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(StepError, match="a mark cannot be") as refused:
        Mark.of(value)
    assert refused.value.code == "AF990"


@pytest.mark.parametrize(
    ("higher", "lower"),
    [
        (10, 9),
        (Decimal("10.5"), 10),
        (2**60 + 1, float(2**60)),
        ("b", "a"),
        (b"\x00\x10", b"\x00\x09\xff"),
        (date(2026, 1, 2), date(2026, 1, 1)),
        (NAIVE.replace(microsecond=1), NAIVE),
        (
            datetime(2026, 1, 1, 1, tzinfo=UTC),
            datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=1))),
        ),
    ],
)
def test_marks_of_one_kind_are_compared_by_value(higher: object, lower: object) -> None:
    assert Mark.of(higher).is_above(Mark.of(lower))
    assert not Mark.of(lower).is_above(Mark.of(higher))
    assert not Mark.of(lower).is_above(Mark.of(lower))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, "1"),
        (date(2026, 1, 1), NAIVE),
        (NAIVE, NAIVE.replace(tzinfo=UTC)),
        ("2026-01-01", date(2026, 1, 1)),
    ],
)
def test_marks_of_two_kinds_are_not_compared(one: object, other: object) -> None:
    for left, right in ((one, other), (other, one)):
        with pytest.raises(StepError, match="cannot be compared"):
            Mark.of(left).is_above(Mark.of(right))


@pytest.mark.parametrize(
    ("type_", "text"),
    [("int", "1.5"), ("decimal", "x"), ("float", "nan"), ("date", "2026-02-30"), ("datetime", "x")],
)
def test_what_a_person_writes_must_be_of_its_type(type_: Any, text: str) -> None:
    with pytest.raises(StepError) as refused:
        Mark.read(type_, text)
    assert refused.value.hint
