"""Record batches and rows of Python values become the same bytes, whatever the values are."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aetherflow.data_files import ArrowRows, Dialect, Row, Rows, untyped, write_data_file
from aetherflow.data_files.dialect import CSV, TSV
from tests.sizes import examples

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text('a,;|"\t\r\n ', max_size=6)
floats = st.floats() | st.sampled_from([0.0, -0.0, 1e15, 1e-4, 9e-5, 1e16, 1e22, 123456789012345.6, 5e-324])
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), texts),
    (pa.large_string(), texts),
    (pa.bool_(), st.booleans()),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), floats),
    (pa.decimal128(38, 9), st.integers(-(10**30), 10**30).map(lambda n: Decimal(n).scaleb(-9))),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
    (pa.timestamp("us", "Europe/Berlin"), st.datetimes(timezones=st.just(timezone(timedelta(hours=2))))),
    (pa.binary(), st.binary(max_size=5)),
    (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=3)),
    (pa.dictionary(pa.int32(), pa.string()), texts),
]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[pa.DataType], list[tuple[Any, ...]]]:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    row = st.tuples(*(st.none() | values for _, values in kinds))
    return [kind for kind, _ in kinds], draw(st.lists(row, max_size=6))


def written(rows: Rows | ArrowRows, dialect: Dialect, file_format: Any = "csv") -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out"
        write_data_file(path, rows, file_format, dialect=dialect)
        return path.read_bytes()


def once(batch: Any) -> Iterator[Any]:
    yield batch


@examples(40, 5000, deadline=None)
@given(
    tables(),
    st.sampled_from([CSV, TSV, Dialect(delimiter=";"), Dialect(linefeed="\r\n"), Dialect(quoting="all")]),
)
@example(([pa.string()], [(None,), ("",), ("x",)]), CSV)
@example(([pa.float64()], [(1.0,), (None,), (math.nan,)]), CSV)
def test_both_ways_write_the_same_bytes(
    table: tuple[list[pa.DataType], list[tuple[Any, ...]]], dialect: Dialect
) -> None:
    kinds, rows = table
    names = [f"c{number}" for number in range(len(kinds))]
    columns = [pa.array([row[number] for row in rows], kind) for number, kind in enumerate(kinds)]
    batch = pa.record_batch(columns, names=names)
    values: list[Row] = list(zip(*(column.to_pylist() for column in columns), strict=True))
    by_values = written(
        Rows(untyped(names), once(values)) if values else Rows(untyped(names), iter(())), dialect
    )
    assert written(ArrowRows(untyped(names), once(batch)), dialect) == by_values
    if len(rows) > 2:  # a slice of a batch has offsets
        part = written(ArrowRows(untyped(names), once(batch.slice(1, 2))), dialect)
        assert part == written(Rows(untyped(names), once(values[1:3])), dialect)


@examples(30, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_a_float32_is_written_so_that_it_is_read_back(values: list[float]) -> None:
    batch = pa.record_batch([pa.array(values, pa.float32())], names=["x"])
    text = written(ArrowRows(untyped(["x"]), once(batch)), CSV).decode()
    back = [struct.unpack("f", struct.pack("f", float(line)))[0] for line in text.split("\n")[1:-1]]
    assert back == values


VALUES: Sequence[tuple[Any, str]] = [
    (None, ""),
    ("", '""'),
    ("a,b", '"a,b"'),
    ('say "x"', '"say ""x"""'),
    ("two\nlines", '"two\nlines"'),
    ("tab\there", "tab\there"),
    (True, "true"),
    (7, "7"),
    (1.0, "1.0"),
    (1e16, "1e+16"),
    (Decimal("1.50"), "1.50"),
    (date(2026, 1, 2), "2026-01-02"),
    (time(1, 2, 3), "01:02:03"),
    (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),  # noqa: DTZ001 - of a column without a zone
    (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T01:00:00+00:00"),
    (b"\x00\xff", "00ff"),
    ({"a": [1, None]}, '"{""a"":[1,null]}"'),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=[repr(value) for value, _ in VALUES])
def test_the_text_of_a_value_in_csv(value: Any, text: str) -> None:
    rows = Rows(untyped(["v", "n"]), once([(value, 1)]))
    assert written(rows, CSV) == f"v,n\n{text},1\n".encode()


python_values = st.one_of(
    st.none(),
    texts,
    st.booleans(),
    st.integers(),
    floats,
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
)


@examples(40, 5000, deadline=None)
@given(
    st.lists(
        st.one_of(st.lists(texts, min_size=3, max_size=3), st.lists(python_values, min_size=3, max_size=3)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([CSV, TSV]),
)
@example([[1, 2.0, None], [True, 1, 0.0], [date(2026, 1, 2), datetime(2026, 1, 2), None]], CSV)  # noqa: DTZ001
@example([[None, date(2000, 1, 1), math.nan]], CSV)
def test_rows_are_written_alike_with_and_without_pyarrow(columns: list[list[Any]], dialect: Dialect) -> None:
    names = [f"c{number}" for number in range(len(columns))]
    rows = list(zip(*columns, strict=True))
    files = []
    for is_fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("aetherflow.data_files.csv_writing.is_worth_it", lambda _rows, fast=is_fast: fast)
            files.append(written(Rows(untyped(names), once(rows)), dialect))
    assert files[0] == files[1]
