"""Which files of a listing are taken, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow import StepError
from aetherflow.sdk.file_selection import FileEntry, FileSelection
from aetherflow.sdk.files import temporary_name

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENTRIES = [
    FileEntry("b.csv", 20, NOW - timedelta(hours=1)),
    FileEntry("a.csv", 10, NOW - timedelta(hours=2)),
    FileEntry("c.txt", 0, NOW - timedelta(seconds=5)),
    FileEntry("old/d.csv", 10, NOW - timedelta(days=9)),
    FileEntry(".hidden", 1, None),
]


def taken(**selection: Any) -> list[str]:
    return [entry.path for entry in FileSelection(**selection).select(ENTRIES, NOW)]


@pytest.mark.parametrize(
    ("selection", "paths"),
    [
        ({}, [".hidden", "a.csv", "b.csv", "c.txt"]),
        ({"recursive": True}, [".hidden", "a.csv", "b.csv", "c.txt", "old/d.csv"]),
        ({"patterns": ("*.csv",)}, ["a.csv", "b.csv"]),
        ({"patterns": ("*.csv",), "recursive": True}, ["a.csv", "b.csv", "old/d.csv"]),
        ({"patterns": ("old/*",), "recursive": True}, ["old/d.csv"]),
        ({"patterns": ("*.CSV",)}, []),
        ({"patterns": ("*.txt", "a*")}, ["a.csv", "c.txt"]),
        ({"exclude": ("*.csv", ".*")}, ["c.txt"]),
        ({"exclude": ("old/*",), "recursive": True}, [".hidden", "a.csv", "b.csv", "c.txt"]),
        ({"min_bytes": 10}, ["a.csv", "b.csv"]),
        ({"max_bytes": 10}, [".hidden", "a.csv", "c.txt"]),
        ({"min_age_seconds": 60}, ["a.csv", "b.csv"]),
        ({"min_age_seconds": 3600}, ["a.csv", "b.csv"]),
        ({"modified_after": NOW - timedelta(hours=1, seconds=1)}, ["b.csv", "c.txt"]),
        ({"modified_before": NOW - timedelta(hours=1)}, ["a.csv"]),
        (
            {"modified_after": NOW - timedelta(hours=3), "modified_before": NOW - timedelta(hours=1)},
            ["a.csv"],
        ),
        ({"zero_byte": "skip"}, [".hidden", "a.csv", "b.csv"]),
        ({"max_count": 2}, [".hidden", "a.csv"]),
        ({"max_count": 2, "sort": "mtime", "reverse": True}, ["c.txt", "b.csv"]),
        ({"max_count": 0}, []),
        ({"sort": "size"}, ["c.txt", ".hidden", "a.csv", "b.csv"]),
        ({"sort": "size", "recursive": True, "patterns": ("*.csv",)}, ["a.csv", "old/d.csv", "b.csv"]),
        ({"sort": "mtime"}, [".hidden", "a.csv", "b.csv", "c.txt"]),
        ({"sort": "mtime", "reverse": True}, ["c.txt", "b.csv", "a.csv", ".hidden"]),
    ],
)
def test_a_selection_takes_these_files_in_this_order(selection: dict[str, Any], paths: list[str]) -> None:
    assert taken(**selection) == paths


names = st.text("ab*?[].", min_size=1, max_size=4)


@given(st.lists(names, max_size=8, unique=True), names, names)
def test_what_is_selected_matches_a_pattern_and_no_exclusion(
    found: list[str], pattern: str, exclude: str
) -> None:
    entries = [FileEntry(name, 1) for name in found]
    selected = FileSelection(patterns=(pattern,), exclude=(exclude,)).select(entries, NOW)
    expected = sorted(n for n in found if fnmatchcase(n, pattern) and not fnmatchcase(n, exclude))
    assert [entry.path for entry in selected] == expected


@pytest.mark.parametrize(
    ("done_file", "found", "expected"),
    [
        ("{name}.done", ["a.csv", "a.csv.done", "b.csv"], ["a.csv"]),
        ("{stem}.ok", ["a.csv", "a.ok", "b.csv", "c.ok"], ["a.csv"]),
        ("_{name}", ["in/a.csv", "in/_a.csv", "_b.csv", "in/b.csv"], ["in/a.csv"]),
        ("done", ["in/a", "in/b", "in/done", "c"], ["in/a", "in/b"]),
        ("{stem}{suffix}.{stem}", ["a.x", "a.x.a"], ["a.x"]),
        ("{nmae}.done", ["a", "a.done"], []),
    ],
)
def test_only_files_with_their_done_file_are_taken(
    done_file: str, found: list[str], expected: list[str]
) -> None:
    entries = [FileEntry(path, 1) for path in found]
    selected = FileSelection(done_file=done_file, recursive=True).select(entries, NOW)
    assert [entry.path for entry in selected] == expected


def test_an_empty_file_may_be_an_error_if_it_would_be_taken() -> None:
    assert taken(zero_byte="fail", patterns=("*.csv",)) == ["a.csv", "b.csv"]
    with pytest.raises(StepError, match=r"a file is empty: 'c\.txt'") as raised:
        taken(zero_byte="fail")
    assert raised.value.code == "AF723"
    with pytest.raises(StepError, match=r"7 files are empty: 'a', 'b', 'c', 'd', 'e'$"):
        FileSelection(zero_byte="fail").select([FileEntry(name, 0) for name in "abcdefg"], NOW)


def test_what_is_still_written_is_taken_only_by_its_own_pattern() -> None:
    written = [FileEntry(temporary_name("a.csv"), 1), FileEntry("a.csv", 1), FileEntry("b.part", 1)]
    assert [entry.path for entry in FileSelection().select(written, NOW)] == ["a.csv", "b.part"]
    assert len(FileSelection(patterns=(".*.part",)).select(written, NOW)) == 1
