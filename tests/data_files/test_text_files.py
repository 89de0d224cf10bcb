"""Values and text files: what is written can be read back, exactly."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aetherflow import StepError
from aetherflow.data_files import Row, Rows, json_value, untyped, write_data_file
from aetherflow.data_files.value_text import field_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
"""All texts that UTF-8 can hold: tabs, quotes, carriage returns and NUL among them."""
database_values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=9)
)


def write_tsv(path: Path, rows: Rows) -> int:
    return write_data_file(path, rows, "tsv").rows


def write_jsonl(path: Path, rows: Rows) -> int:
    return write_data_file(path, rows, "jsonl").rows


def batches_of(rows: Sequence[Row], size: int = 3) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    return columns, draw(st.lists(st.tuples(*[values] * len(columns)), max_size=8))


@given(tables(texts))
@example((["a"], [("",), ("\r",), ('"',), ("\\",), ("\t",), ("\r\n",), ("\0",)]))
def test_any_text_survives_a_tsv_file(table: tuple[list[str], list[tuple[str, ...]]]) -> None:
    columns, rows = table
    with TemporaryDirectory() as directory:
        path = Path(directory) / "out.tsv"
        assert write_tsv(path, Rows(untyped(columns), batches_of(rows))) == len(rows)
        with path.open(encoding="utf-8", newline="") as file:
            assert list(csv.reader(file, delimiter="\t", strict=True)) == [columns, *map(list, rows)]


@given(tables(database_values))
def test_every_kind_of_value_survives_a_jsonl_file(table: tuple[list[str], list[tuple[Any, ...]]]) -> None:
    columns, rows = table
    with TemporaryDirectory() as directory:
        path = Path(directory) / "out.jsonl"
        assert write_jsonl(path, Rows(untyped(columns), batches_of(rows))) == len(rows)
        lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    expected = [dict(zip(columns, map(json_value, row), strict=True)) for row in rows]
    assert [json.loads(line) for line in lines] == expected
    assert [list(json.loads(line)) for line in lines] == [columns] * len(rows)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (10**30, 10**30),
        (0.1, 0.1),
        (float("-inf"), "-inf"),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E-8"), "0.00000000"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
        (time(3, 4, 5, 600), "03:04:05.000600"),
        (timedelta(days=1, seconds=2), "P1DT2S"),
        (b"\x00\xff", "00ff"),
        (bytearray(b"\x01"), "01"),
        (memoryview(b"\x02"), "02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([1, Decimal("2.50"), None], '[1,"2.50",null]'),
        ({"day": date(2026, 1, 2)}, '{"day":"2026-01-02"}'),
    ],
)
def test_a_value_is_written_exactly_in_tsv(value: object, expected: object) -> None:
    assert field_of(value) == expected
    assert type(field_of(value)) is type(expected)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_a_decimal_keeps_every_digit(value: Decimal) -> None:
    text = json_value(value)
    assert Decimal(text) == value
    assert "E" not in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_json_cannot_hold_is_text_and_not_null(tmp_path: Path, value: float) -> None:
    write_jsonl(tmp_path / "out", Rows(untyped(("x",)), batches_of([(value,)])))
    assert json.loads((tmp_path / "out").read_text()) == {"x": str(value)}


def test_lines_of_a_tsv_file_end_with_a_line_feed_alone(tmp_path: Path) -> None:
    write_tsv(tmp_path / "out", Rows(untyped(("a", "b")), batches_of([(1, None), ("x\ty", "\\n")])))
    assert (tmp_path / "out").read_bytes() == b'a\tb\n1\t\n"x\ty"\t\\n\n'


def test_a_tsv_file_may_have_columns_of_one_name(tmp_path: Path) -> None:
    write_tsv(tmp_path / "out", Rows(untyped(("id", "id")), batches_of([(1, 2)])))
    assert (tmp_path / "out").read_text() == "id\tid\n1\t2\n"


def test_columns_of_one_name_are_refused_in_jsonl_and_named(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"same name, which JSON cannot hold: id, day$") as caught:
        write_jsonl(tmp_path / "out", Rows(untyped(("id", "day", "n", "id", "day")), batches_of([])))
    assert caught.value.code == "AF744"
    assert caught.value.detail == {"columns": ["id", "day"]}
    assert not (tmp_path / "out").exists()


def test_without_rows_there_is_a_header_in_tsv_and_nothing_in_jsonl(tmp_path: Path) -> None:
    assert write_tsv(tmp_path / "t", Rows(untyped(("a", "b")), batches_of([]))) == 0
    assert write_jsonl(tmp_path / "j", Rows(untyped(("a", "b")), batches_of([]))) == 0
    assert (tmp_path / "t").read_text() == "a\tb\n"
    assert (tmp_path / "j").read_text() == ""
