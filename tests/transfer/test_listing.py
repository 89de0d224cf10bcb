"""Listing files elsewhere: what the selection takes, and what a far side may send."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import StepError
from aetherflow.spec.convert import convert_values
from aetherflow.testing import FakeClock, FakeRun
from aetherflow.transfer.listing import list_remote
from aetherflow.transfer.remote_file import RemoteFile
from aetherflow.transfer.remote_inputs import RemoteDirInputs, RemoteFilesInputs
from aetherflow.transfer.selected_files import remote_files, selected_files
from tests.transfer.memory_files import MemoryFiles

FILES = {"/in/b.csv": b"bb", "/in/a.csv": b"a", "/in/empty.csv": b"", "/in/old/c.csv": b"x" * 1500}


def selection(**inputs: Any) -> RemoteDirInputs:
    return RemoteDirInputs(resource="r", remote_dir="/in", **inputs)


async def listed(place: Path, files: MemoryFiles, **inputs: Any) -> list[str]:
    context = FakeRun(place).context()
    found = await list_remote(context, files, "/in", selection(**inputs), with_folders=True)
    return [file.rel_path for file in found]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ({}, ["a.csv", "b.csv", "empty.csv", "old"]),
        ({"pattern": "*.csv"}, ["a.csv", "b.csv", "empty.csv"]),
        ({"pattern": None, "exclude": "*.csv", "recursive": None}, ["old"]),
        ({"zero_byte": "skip"}, ["a.csv", "b.csv"]),
        ({"min_size": "0"}, ["a.csv", "b.csv", "empty.csv", "old"]),
        ({"recursive": True}, ["a.csv", "b.csv", "empty.csv", "old/c.csv"]),
        ({"recursive": True, "min_size": "1kB"}, ["old/c.csv"]),
        ({"sort": "size", "reverse": True, "max_count": 1, "recursive": True}, ["old/c.csv"]),
    ],
)
async def test_the_selection_takes_these_files(
    tmp_path: Path, inputs: dict[str, Any], found: list[str]
) -> None:
    assert await listed(tmp_path, MemoryFiles(FILES), **inputs) == found


@pytest.mark.asyncio
async def test_a_file_is_as_the_original_listed_it_and_more(tmp_path: Path) -> None:
    context = FakeRun(tmp_path).context()
    (found,) = await list_remote(context, MemoryFiles(FILES), "/in/", selection(pattern="a*"))
    assert found == RemoteFile("/in/a.csv", "a.csv", "a.csv", 1, 1_000_000_000, "2001-09-09T01:46:40Z")


@pytest.mark.asyncio
async def test_a_loop_of_links_is_not_followed(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    files.links = {"/in/old/loop": "/in"}

    assert await listed(tmp_path, files, recursive=True) == ["a.csv", "b.csv", "empty.csv", "old/c.csv"]
    assert files.scans == ["/in", "/in/old"]


@pytest.mark.asyncio
async def test_a_loop_that_the_server_hides_is_an_error(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    files.links, files.hidden = {"/in/old/loop": "/in"}, True

    with pytest.raises(StepError, match="nested more than 100 deep") as raised:
        await listed(tmp_path, files, recursive=True)
    assert raised.value.code == "AF302"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "..", "a/../../x"])
async def test_a_path_in_a_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StepError, match="which is no name of a file") as raised:
        await listed(tmp_path, MemoryFiles({f"/in/{name}": b"x"}))
    assert raised.value.code == "AF301"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["a\nb.csv", "a\x1b[2J.csv", "dir\\a.csv", "caf\udce9.csv", "x\ufffd.csv"])
async def test_an_odd_name_is_refused_if_it_is_selected(tmp_path: Path, name: str) -> None:
    files = MemoryFiles(FILES | {f"/in/{name}": b"x"})

    with pytest.raises(StepError) as raised:
        await listed(tmp_path, files, pattern="*.csv")
    assert raised.value.code == "AF301"
    assert ascii(name) in raised.value.message
    assert await listed(tmp_path, files, exclude=["*[!a-z.]*", "old"]) == ["a.csv", "b.csv", "empty.csv"]


@pytest.mark.asyncio
async def test_a_file_without_a_usable_time_is_listed_without_one(tmp_path: Path) -> None:
    files = MemoryFiles({"/in/a": b"x"})
    files.times = {"/in/a": 2.0**70}
    context = FakeRun(tmp_path).context()
    (found,) = await list_remote(context, files, "/in", selection())
    assert (found.mtime, found.modified) == (None, "")


class WhileWritten(FakeClock):
    """A clock in whose sleeps another program appends to one file and makes another."""

    def __init__(self, files: MemoryFiles) -> None:
        super().__init__()
        self.files = files.files

    async def sleep(self, seconds: float) -> None:
        self.files["/in/b.csv"] += b"more"
        self.files["/in/new.csv"] = b"new"
        await super().sleep(seconds)


@pytest.mark.asyncio
async def test_what_is_still_written_is_left_out(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    clock = WhileWritten(files)
    context = FakeRun(tmp_path, clock=clock).context()
    found = await list_remote(context, files, "/in", selection(pattern="*.csv", stable_for_seconds=5))
    assert [one.name for one in found] == ["a.csv", "empty.csv"]
    assert clock.sleeps == [5]


@pytest.mark.asyncio
async def test_ten_thousand_files_are_listed_quickly(tmp_path: Path) -> None:
    files = MemoryFiles({f"/in/{number:05}.csv": b"x" for number in range(10_000)})
    began = time.process_time()
    assert len(await listed(tmp_path, files)) == 10_000
    assert time.process_time() - began < 5


@pytest.mark.asyncio
async def test_files_may_be_given_in_every_form(tmp_path: Path) -> None:
    run = FakeRun(tmp_path)
    given: list[Any] = [
        {
            "path": "/in/old/c.csv",
            "rel_path": "old/c.csv",
            "from": "elsewhere",
            "mtime": "2026-01-01T00:00:00Z",
        },
        "/in/a.csv",
        "SHARE:\\dir\\b.csv",
        "/in/a.csv",
        {"path": "/in/old", "is_dir": True},
        {"path": "/in/d", "size": 4, "mtime": 1_000_000_000},
    ]
    inputs = convert_values({"resource": "r", "files": given}, RemoteFilesInputs)

    chosen = await selected_files(run.context(), MemoryFiles(), inputs)

    assert [(one.path, one.rel_path, one.size, one.mtime) for one in chosen.files] == [
        ("/in/old/c.csv", "old/c.csv", None, None),
        ("/in/a.csv", "a.csv", None, None),
        ("SHARE:\\dir\\b.csv", "b.csv", None, None),
        ("/in/d", "d", 4, 1_000_000_000),
    ]
    assert (chosen.too_few, run.logged) == ("", ["folders are left out, such as /in/old"])


@pytest.mark.asyncio
async def test_files_are_selected_from_a_folder(tmp_path: Path) -> None:
    context, inputs = FakeRun(tmp_path).context(), RemoteFilesInputs(resource="r", dir="/in", min_count=4)

    chosen = await selected_files(context, MemoryFiles(FILES), inputs)

    assert [one.name for one in chosen.files] == ["a.csv", "b.csv", "empty.csv"]
    assert chosen.too_few == "3 files in /in, fewer than min_count 4"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "give either files, or remote_dir"),
        ({"files": [], "remote_dir": "/in"}, "give either files, or remote_dir"),
        (
            {"files": None, "pattern": "*.csv"},
            "pattern selects from remote_dir; it has no meaning with files",
        ),
        ({"remote_dir": "/in", "dir": "/out"}, "dir and remote_dir mean the same and differ"),
        ({"remote_dir": "/in", "min_size": "10 pounds"}, "'10 pounds' is no size"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RemoteFilesInputs(resource="r", **inputs)


@pytest.mark.asyncio
async def test_a_resource_without_files_is_refused(tmp_path: Path) -> None:
    context = FakeRun(tmp_path, connectors={"db": object.__new__(Sqlite3Connector)}).context()
    with pytest.raises(StepError, match="'db' is a Sqlite3Connector, which has no files") as raised:
        await remote_files(context, "db")
    assert raised.value.code == "AF300"
