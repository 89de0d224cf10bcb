"""What is written to a data file is read back: values, types, NULL and the empty text."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow import StepError
from aetherflow.data_files import (
    Column,
    FileKeys,
    FileOptions,
    Row,
    Rows,
    format_of,
    read_data_file,
    read_dtypes,
    untyped,
    write_data_file,
)
from tests.sizes import examples

FORMATS: tuple[Any, ...] = ("csv", "tsv", "jsonl", "parquet")


def batches(rows: Sequence[Row], size: int = 2) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def table(path: Path, *more: Any, **options: Any) -> tuple[list[str], list[list[Any]]]:
    with read_data_file(path, *more, **options) as rows:
        return list(rows.names), [list(row) for batch in rows.batches for row in batch]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("compression", [None, "gz", "zst"])
def test_rows_come_back(tmp_path: Path, file_format: Any, compression: Any) -> None:
    if file_format == "parquet" and compression:
        return
    suffix = f".{compression}" if compression else ""
    path = tmp_path / f"out.{file_format}{suffix}"
    rows = [("a", 1, None), ('b,\n"\t', 2, "x"), ("c", None, "y")]
    result = write_data_file(
        path, Rows(untyped(["t", "n", "o"]), batches(rows)), file_format, compression=compression
    )
    assert (result.rows, result.size) == (3, path.stat().st_size)
    assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    names, found = table(path, dtypes=read_dtypes({"n": "int"}))
    assert names == ["t", "n", "o"]
    assert found == [list(row) for row in rows]


@examples(30, deadline=None)
@given(st.lists(st.tuples(*[st.none() | st.text('ab,"\r\n\t', max_size=4)] * 2), max_size=5))
def test_null_and_the_empty_text_differ_in_csv(tmp_path_factory: Any, rows: list[tuple[Any, Any]]) -> None:
    path = tmp_path_factory.getbasetemp() / "null.csv"
    write_data_file(path, Rows(untyped(["a", "b"]), batches(rows)), "csv")
    assert table(path) == (["a", "b"], [list(row) for row in rows])


@examples(30, deadline=None)
@given(st.lists(st.none() | st.text('a,"\n', max_size=3), max_size=4))
def test_a_csv_file_with_one_column_loses_no_row(tmp_path_factory: Any, values: list[Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "one.csv"
    write_data_file(path, Rows(untyped(["a"]), batches([(value,) for value in values])), "csv")
    assert table(path) == (["a"], [[value] for value in values])


OPTIONS: list[dict[str, Any]] = [
    {"delimiter": ";", "quoting": "all"},
    {"delimiter": "\\t", "quotechar": "'", "linefeed": "\\r\\n"},
    {"escapechar": "\\", "doublequote": False},
    {"quoting": "nonnumeric", "encoding": "utf-16"},
    {"quoting": "none", "escapechar": "\\"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_file_options_at_the_top_and_in_their_group(tmp_path: Path, options: dict[str, Any]) -> None:
    top = FileKeys(**options).dialect("csv")
    assert FileKeys(file=FileOptions(**options)).dialect("csv") == top
    assert FileKeys(file=FileOptions(delimiter="|"), **options).dialect("csv").delimiter in {
        top.delimiter,
        "|",
    }
    rows = [["x;y", 'it\'s "q"'], ["a\\b", "c\td"]]
    write_data_file(tmp_path / "o.csv", Rows(untyped(["a", "b"]), batches(rows)), "csv", dialect=top)
    assert table(tmp_path / "o.csv", dialect=top)[1] == rows


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"encoding": "klingon"}, "there is no encoding 'klingon'"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"delimiter": '"'}, "must differ"),
        ({"delimiter": "\n"}, "must differ"),
    ],
)
def test_impossible_file_options_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(StepError, match=why) as caught:
        FileKeys(**wrong).dialect("csv")
    assert caught.value.code == "AF900"


def test_a_value_that_the_encoding_has_not_is_refused_with_its_place(tmp_path: Path) -> None:
    rows = Rows(untyped(["a", "b"]), batches([("x", "y"), ("x", "y"), ("x", "ж")]))
    with pytest.raises(StepError, match=r"row 3, column 'b'.*'ж' is not in latin-1") as caught:
        write_data_file(tmp_path / "o", rows, "csv", dialect=FileKeys(encoding="latin-1").dialect("csv"))
    assert caught.value.code == "AF905"


@pytest.mark.parametrize("wrong", [[1], "no json", {"a": "intt"}, {"a": "decimal(2,5)"}, 7])
def test_wrong_dtypes_are_refused(wrong: Any) -> None:
    with pytest.raises(StepError) as caught:
        read_dtypes(wrong)
    assert caught.value.code == "AF901"


def test_dtypes_of_a_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(StepError, match="name the column 'b'"):
        table(tmp_path / "a.csv", dtypes=read_dtypes('{"b": "int"}'))


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ("bool", "yes", True),
        ("int", "-7", -7),
        ("float", "1e3", 1000.0),
        ("decimal", "1.50", Decimal("1.50")),
        ("date", "2026-01-02", date(2026, 1, 2)),
        ("datetime", "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("binary", "00ff", b"\x00\xff"),
        ("string", "007", "007"),
    ],
)
def test_a_text_becomes_what_its_type_says_or_is_refused(
    tmp_path: Path, word: str, text: str, value: Any
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"a,b\n{text},x\n,x\n")
    assert table(path, dtypes=read_dtypes({"a": word}))[1] == [[value, "x"], [None, "x"]]
    if word != "string":
        path.write_text(f"a,b\n{text},x\nno,x\n".replace("no", "maybe"))
        with pytest.raises(StepError, match=r"a.csv, row 2, column 'a': the value 'maybe' is no ") as caught:
            table(path, dtypes=read_dtypes({"a": word}))
        assert caught.value.code == "AF902"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"a,b\n1\n", "row 1 has 1 fields"),
        ("a.csv", b'a,b\n1,"2\n', "line 2: the quote of a field that begins in this line is never closed"),
        ("a.csv", b"a,b\n1,\xff\n", "byte 0xff"),
        ("a.csv.gz", b"no gzip", "no whole gz"),
        ("a.csv.gz", gzip.compress(b"a,b\n" * 999, mtime=0)[:30], "no whole gz"),
        ("a.csv.zst", b"no zst", "no whole zst"),
        ("a.jsonl", b'{"a":1}\n[1]\n', "line 2"),
        ("a.jsonl", b'{"a":1}\n{"b":1}\n', "row 2 has the key 'b'"),
        ("a.parquet", b"no parquet", "no whole parquet"),
        ("a.xyz", b"", "does not say"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StepError, match=why) as caught:
        table(tmp_path / name)
    assert caught.value.code == "AF906"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None, 1, None], pa.int64()),
        ([1, 2, 3.5, 4], pa.float64()),
        ([1, 2, "x", 4.0], pa.string()),
        ([None, None, None, None], pa.string()),
        ([True, 1, None, False], pa.string()),
        ([1, 2, 2**63, 4], pa.string()),
        ([None, None, date(2026, 1, 2), None], pa.date32()),
        ([date(2026, 1, 2), None, datetime(2026, 1, 2), None], pa.string()),  # noqa: DTZ001 - without a zone
        ([b"x", None, None, None], pa.binary()),
    ],
)
@pytest.mark.parametrize("group", [1, 65_536])
def test_an_untyped_column_of_parquet_has_the_type_of_all_its_values(
    tmp_path: Path, values: list[Any], kind: pa.DataType, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aetherflow.data_files.parquet_writing.GROUP_ROWS", group)
    rows = Rows(untyped(["v", "n"]), batches([(value, number) for number, value in enumerate(values)], 1))
    write_data_file(tmp_path / "o.parquet", rows, "parquet")
    found = pq.read_table(tmp_path / "o.parquet")
    assert found.schema.types == [kind, pa.int64()]
    assert found["n"].to_pylist() == [0, 1, 2, 3]
    expected = [str(value).lower() if isinstance(value, bool) else value for value in values]
    if kind == pa.string():
        expected = [None if value is None else str(value).replace(" ", "T") for value in expected]
    assert found["v"].to_pylist() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["o.parquet"]


def test_the_types_of_parquet_are_those_of_the_columns(tmp_path: Path) -> None:
    columns = (
        Column("b", "bool"),
        Column("d", "decimal", 12, 2),
        Column("n", "decimal"),
        Column("t", "datetime", is_zoned=True),
        Column("day", "date"),
    )
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    rows: list[Row] = [(None,) * 5, (1, Decimal("1.5"), Decimal("1.234"), moment, "2026-01-02")]
    write_data_file(tmp_path / "o.parquet", Rows(columns, batches(rows)), "parquet")
    found = pq.read_table(tmp_path / "o.parquet")
    assert found.schema.types == [
        pa.bool_(),
        pa.decimal128(12, 2),
        pa.string(),
        pa.timestamp("us", "UTC"),
        pa.date32(),
    ]
    assert list(found.to_pylist()[1].values()) == [True, Decimal("1.50"), "1.234", moment, date(2026, 1, 2)]


def test_nanoseconds_of_parquet_are_cut_to_microseconds(tmp_path: Path) -> None:
    moments = [1_000_000_001_001_999, None]
    moment = datetime(1970, 1, 12, 13, 46, 40, 1001, UTC)
    kind = pa.timestamp("ns", "UTC")
    whole = {
        "at": pa.array(moments, kind),
        "list": pa.array([moments, None], pa.list_(kind)),
        "struct": pa.array([{"at": moments[0]}, None], pa.struct([("at", kind)])),
        "map": pa.array([[("k", moments[0])], None], pa.map_(pa.string(), kind)),
        "word": pa.array(moments, kind).dictionary_encode(),
        "time": pa.array([1_999, None], pa.time64("ns")),
        "long": pa.array([1_999, None], pa.duration("ns")),
    }
    pq.write_table(pa.table(whole), tmp_path / "o.parquet")
    lists: tuple[Any, ...] = ([moment, None], {"at": moment}, [("k", moment)])
    first = [moment, *lists, moment, time(0, 0, 0, 1), timedelta(microseconds=1)]
    assert table(tmp_path / "o.parquet") == ([*whole], [first, [None] * len(whole)])


def test_a_moment_of_parquet_that_python_has_not_is_named(tmp_path: Path) -> None:
    moments = pa.array([0, 10**15], pa.timestamp("s"))
    pq.write_table(pa.table({"at": moments}), tmp_path / "o.parquet", coerce_timestamps=None)
    with pytest.raises(StepError, match="column 'at', rows 1 to 2: a value is out of range") as error:
        table(tmp_path / "o.parquet")
    assert error.value.code == "AF906"


def test_a_value_that_does_not_fit_a_parquet_column_is_named(tmp_path: Path) -> None:
    rows = Rows((Column("n", "int"),), batches([(1,), (2,), ("x",)]))
    with pytest.raises(StepError, match=r"row 3, column 'n': the value 'x' is no int") as caught:
        write_data_file(tmp_path / "o.parquet", rows, "parquet")
    assert caught.value.code == "AF902"


def test_the_format_is_that_of_the_suffix() -> None:
    names = {"a.csv": "csv", "a.TSV.gz": "tsv", "a.ndjson": "jsonl", "a.parquet": "parquet", "a.txt": None}
    assert {name: format_of(Path(name)) for name in names} == names


def test_an_empty_line_is_null_in_one_column_and_nothing_between_rows_of_several(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.write_text("a\n1\n\n2\n")
    two.write_text("a,b\n1,2\n\n\r\n3,4\n" + "\n" * 3000 + "5,6\n\n")
    assert table(one)[1] == [["1"], [None], ["2"]]
    assert table(two)[1] == [["1", "2"], ["3", "4"], ["5", "6"]]
    two.write_text("a,b\n\n1\n")
    with pytest.raises(StepError, match="row 1 has 1 fields, and there are 2 columns"):
        table(two)


@pytest.mark.parametrize(("chosen", "used"), [(None, "system"), ("mimalloc", "mimalloc")])
def test_arrow_takes_its_memory_from_the_system_unless_another_way_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, used: str
) -> None:
    if "mimalloc" not in pa.supported_memory_backends():
        pytest.skip("this pyarrow has no allocator of its own")
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)
    if chosen is not None:
        monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", chosen)
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.mimalloc_memory_pool())
    try:
        write_data_file(tmp_path / "out", Rows(untyped(["a"]), iter([[(1,)]])), "parquet")
        assert pa.default_memory_pool().backend_name == used
    finally:
        pa.set_memory_pool(before)
