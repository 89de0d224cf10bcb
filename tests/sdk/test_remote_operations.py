"""The operations on files elsewhere that plugins use, over a connector that has only the protocol."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aetherflow import RemoteEntry, RemoteFiles, StepError
from tests.transfer.memory_files import MemoryFiles

pytestmark = pytest.mark.asyncio


async def test_bytes_and_files_go_there_and_come_back(tmp_path: Path) -> None:
    there = MemoryFiles()
    (tmp_path / "a").write_bytes(b"one")

    await there.write_bytes("/in/x", b"two")
    await there.upload(tmp_path / "a", "/in/a")
    await there.download("/in/x", tmp_path / "deep/x")

    assert await there.read_bytes("/in/a") == b"one"
    assert (tmp_path / "deep/x").read_bytes() == b"two"
    assert [entry.name for entry in await there.list("/in")] == ["a", "x"]
    assert [await there.exists(path) for path in ("/in/a", "/in/b")] == [True, False]


async def test_a_download_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")

    with pytest.raises(StepError):
        await MemoryFiles().download("/none", tmp_path / "x")

    assert {one.name: one.read_bytes() for one in tmp_path.glob("*")} == {"x": b"old"}  # noqa: ASYNC240 - a test


class Stuck(MemoryFiles):
    """A server that falls silent within a file."""

    def __init__(self) -> None:
        super().__init__()
        self.silent = anyio.Event()

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        del path, offset

        async def blocks() -> AsyncIterator[bytes]:
            yield b"half"
            self.silent.set()
            await anyio.sleep_forever()

        yield blocks()


async def test_a_download_that_is_cancelled_is_removed_and_never_by_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"old")
    threads: list[int] = []
    unlink = Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - as pathlib calls it
        threads.append(threading.get_ident())
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    there = Stuck()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(there.download, "/in/x", tmp_path / "x")
        await there.silent.wait()
        tasks.cancel_scope.cancel()

    assert {one.name: one.read_bytes() for one in tmp_path.glob("*")} == {"x": b"old"}  # noqa: ASYNC240 - a test
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


class WithoutFolders(MemoryFiles):
    """A place whose folders cannot be deleted."""

    remove_folder = RemoteFiles.remove_folder


async def test_a_connector_that_cannot_delete_folders_says_so() -> None:
    there = WithoutFolders()
    await there.write_bytes("/in/x", b"two")

    await there.delete("/in/x")
    assert not await there.exists("/in/x")
    await there.make_folder("/in")
    with pytest.raises(StepError, match="WithoutFolders cannot delete the folder /in") as caught:
        await there.delete_recursive("/in")
    assert caught.value.code == "AF344"


async def test_the_name_of_an_entry_is_the_last_part_of_its_path() -> None:
    assert [RemoteEntry(path).name for path in ("a", "/a/b", "SHARE:/c")] == ["a", "b", "c"]
