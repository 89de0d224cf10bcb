"""`list_files`: a list for `for_each`, from real files."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepError
from aetherflow.steps.list_files import ListFilesInput, list_files
from aetherflow.testing import FakeClock, run_step

NOW = datetime(2026, 1, 2, 4, tzinfo=UTC)
WRITTEN = datetime(2026, 1, 2, tzinfo=UTC).timestamp()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder of files, changed an hour apart."""
    folder = tmp_path / "inbox"
    (folder / "old").mkdir(parents=True)
    for number, (name, size) in enumerate(
        {"b.csv": 20, "a.csv": 10, "empty.csv": 0, "a.csv.done": 0, "old/c.csv": 1500}.items()
    ):
        (folder / name).write_bytes(b"x" * size)
        os.utime(folder / name, (WRITTEN + 3600 * number,) * 2)
    return folder


async def listed(inbox: Path, clock: FakeClock | None = None, **inputs: Any) -> list[str]:
    given = {"dir": str(inbox), "min_count": 0, **inputs}
    result = await run_step(list_files, given, inbox.parent, clock=clock or FakeClock(NOW))
    assert result.outputs["count"] == len(result.outputs["files"])
    return [file["rel_path"] for file in result.outputs["files"]]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ({}, ["a.csv", "a.csv.done", "b.csv", "empty.csv"]),
        ({"pattern": "*.csv"}, ["a.csv", "b.csv", "empty.csv"]),
        ({"pattern": ["a*", "b*"], "exclude": "*.done"}, ["a.csv", "b.csv"]),
        ({"pattern": "*.csv", "recursive": True, "min_size": "1kB"}, ["old/c.csv"]),
        ({"max_size": 10, "zero_byte": "skip"}, ["a.csv"]),
        ({"done_file": "{name}.done"}, ["a.csv"]),
        ({"modified_after": "2026-01-02T01:30:00"}, ["a.csv.done", "empty.csv"]),
        ({"modified_before": "2026-01-02T02:00:00+01:00"}, ["b.csv"]),
        ({"modified_after": "2h"}, ["a.csv.done"]),
        ({"modified_after": "7200"}, ["a.csv.done"]),
        ({"modified_before": "20260101"}, []),
        ({"min_age_seconds": 3600, "sort": "mtime", "reverse": True, "max_count": 1}, ["a.csv.done"]),
    ],
)
async def test_the_selection_takes_these_files(inbox: Path, inputs: dict[str, Any], found: list[str]) -> None:
    assert await listed(inbox, **inputs) == found


@pytest.mark.asyncio
async def test_a_file_is_named_so_that_other_steps_can_take_it(inbox: Path) -> None:
    result = await run_step(list_files, {"dir": str(inbox / "old")}, inbox.parent)
    assert result.outputs == {
        "has_data": True,
        "count": 1,
        "files": [
            {
                "path": f"{inbox}/old/c.csv",
                "name": "c.csv",
                "rel_path": "c.csv",
                "size": 1500,
                "mtime": "2026-01-02T04:00:00Z",
                "is_dir": False,
            }
        ],
    }


@pytest.mark.asyncio
async def test_fewer_files_than_wanted_are_a_skip(inbox: Path) -> None:
    inputs = {"dir": str(inbox), "pattern": "a.csv", "min_count": 2}
    result = await run_step(list_files, inputs, inbox.parent)
    assert (result.status, result.reason) == (
        "SKIPPED",
        f"1 matching file in {inbox}, fewer than min_count 2",
    )
    assert (result.outputs["has_data"], result.outputs["count"]) == (False, 1)


class WhileWritten(FakeClock):
    """A clock in whose sleeps another program appends to a file."""

    def __init__(self, file: Path) -> None:
        super().__init__(NOW)
        self.file = file

    async def sleep(self, seconds: float) -> None:
        with self.file.open("a") as file:
            file.write("more")
        await super().sleep(seconds)


@pytest.mark.asyncio
async def test_a_file_that_is_still_written_is_left_out(inbox: Path) -> None:
    clock = WhileWritten(inbox / "b.csv")
    assert await listed(inbox, clock, pattern="*.csv", stable_for_seconds=5) == ["a.csv", "empty.csv"]
    assert clock.sleeps == [5]


@pytest.mark.asyncio
async def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="nowhere cannot be listed: No such file or directory") as raised:
        await run_step(list_files, {"dir": str(tmp_path / "nowhere")}, tmp_path)
    assert raised.value.code == "AF724"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"min_size": "10 pounds"}, "'10 pounds' is no size"),
        ({"modified_after": "noon"}, "'noon' is no instant"),
        ({"modified_after": "9" * 40}, "modified_after: .* is too long ago"),
        ({"max_size": ""}, "max_size: '' is no size"),
        ({"min_size": "2kB", "max_size": "1kB"}, "max_size is less than min_size: no file can match"),
        (
            {"max_count": 2, "min_count": 3},
            "max_count 2 is less than min_count: the step would always be SKIPPED",
        ),
        ({"done_file": "{nam}.done"}, r"done_file: \{nam\} is no placeholder: write \{name\}, \{stem\}"),
        ({"done_file": "../{name}"}, "done-files are beside their files"),
    ],
)
def test_what_can_select_nothing_is_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ListFilesInput(dir=".", **inputs)
