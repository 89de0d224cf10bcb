"""What is wrong with a csv file: the line, and the file option to set."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aetherflow import StepError
from aetherflow.data_files import CSV, read_data_file

CP1252 = replace(CSV, encoding="cp1252")
UTF_16 = replace(CSV, encoding="utf-16")
SEMICOLON = "set delimiter: ';'"


@pytest.mark.parametrize(
    ("content", "dialect", "said", "hint"),
    [
        (
            b'a,b\n1,2\n3,"x\n5,6\n',
            CSV,
            ", line 3: the quote of a field",
            "quoting: none",
        ),
        (
            b'a,b\n1,2\n3,"x"y\n5,6\n',
            CSV,
            ", line 3: ',' expected after '\"'",
            "of a field twice",
        ),
        (
            b'a,b\n1,"\n\n"y\n5,6\n',
            CSV,
            ", line 4: ',' expected after '\"' (the record begins in line 2)",
            "quoting: none",
        ),
        (b"a,b\n1,2\n3,4,5\n6,7\n", CSV, ", line 3: row 2 has 3 fields", "check the delimiter"),
        (b"a;b\n1;2\n", CSV, ", line 1: it has no ',' in its header, but ';'", SEMICOLON),
        (b"a\tb\n1\t2\n", CSV, ", line 1: it has no ',' in its header, but a tab", "set delimiter: '\\t'"),
        (b"a;b\n1;2,3\n", CSV, ", line 1: it has no ','", SEMICOLON),
        (
            "a,b\n1,2\n".encode("utf-16"),
            CSV,
            ": it begins with the byte order mark of UTF-16",
            "encoding: utf-16",
        ),
        ("a,b\n1,2\n".encode("utf-16-le"), CSV, ", line 1: its header has NUL", "set encoding: utf-16-le"),
        ("a,b\n1,2\n".encode("utf-16-be"), CSV, ", line 1: its header has NUL", "set encoding: utf-16-be"),
        ("\ufeffa,b\n".encode("utf-16-le"), replace(CSV, encoding="utf-16-le"), "mark of UTF-16", "utf-16"),
        (
            codecs.BOM_UTF8 + b'"a",b\n1,2\n',
            CP1252,
            ", line 1: it begins with the byte order mark of UTF-8",
            "utf-8",
        ),
        (b"a,b\n1,2\n3\x00\x00\x00\n", CSV, ", line 3: row 2 has 1 fields", "it has NUL characters"),
        (b"a,b\n1,caf\xe9\n", CSV, "it has the byte 0xe9, which is no utf-8", "for example cp1252"),
    ],
)
def test_a_mistake_has_its_line_and_what_to_set(
    tmp_path: Path, content: bytes, dialect: Any, said: str, hint: str
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(StepError) as caught, read_data_file(path, dialect=dialect) as rows:
        list(rows.batches)
    assert caught.value.code == "AF906"
    assert f"{path}{said}" in caught.value.message or said in caught.value.message
    assert hint in caught.value.hint


def test_a_line_is_found_in_the_middle_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    lines = ["a,b", *(f"{number},x" for number in range(30_000))]
    for broken, said in (
        ("1;2", "line 20,001: row 20,000 has 1 f"),
        ('1,"x"y', "line 20,001: ',' expected"),
    ):
        path.write_text("\n".join([*lines[:20_000], broken, *lines[20_000:]]))
        with pytest.raises(StepError, match=said), read_data_file(path) as rows:
            list(rows.batches)


@pytest.mark.parametrize(
    ("content", "dialect", "names"),
    [
        (codecs.BOM_UTF8 + b'"a",b\n1,2\n', replace(CSV, encoding="utf_8"), ("a", "b")),
        ("a,b\n1,2\n".encode("utf-16"), UTF_16, ("a", "b")),
        (b'"a;b"\n"1;2"\n', CSV, ("a;b",)),  # a name that is quoted is one
        (b"a;b\n1\n", CSV, ("a;b",)),
        (b"a|b\n", CSV, ("a|b",)),
        (b"text\nx;y\n", CSV, ("text",)),
    ],
)
def test_what_only_looks_like_a_mistake_is_read(
    tmp_path: Path, content: bytes, dialect: Any, names: Any
) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with read_data_file(path, dialect=dialect) as rows:
        assert rows.names == names
        list(rows.batches)
