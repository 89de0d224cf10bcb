"""The index of the log has all its blocks before SQLite touches them, where blocks are small."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aetherflow.errors import StateUnusable
from aetherflow.store import index_space
from aetherflow.store.index_space import INDEX_BYTES
from tests.store.real_parts import opened, query


@pytest.mark.asyncio
async def test_all_blocks_of_the_index_are_there_before_anything_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_space, "_PAGE_BYTES", 1 << 30)  # any block is small then
    async with opened(path):
        index = os.stat(f"{path}-shm")  # noqa: PTH116 - a Path would be taken for blocking I/O
        assert index.st_size == INDEX_BYTES
        assert index.st_blocks * 512 >= INDEX_BYTES


@pytest.mark.asyncio
async def test_a_database_whose_index_has_no_room_is_refused_and_can_be_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path):
        pass

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(index_space, "free_bytes", lambda _path: 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StateUnusable, match="the disk is full, its index has no room there"):
        async with opened(path):
            pass
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
