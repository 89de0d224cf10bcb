"""A database whose file leaves its path takes nothing more and acknowledges nothing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from aetherflow.errors import StateMoved
from aetherflow.store import sqlite_lock_owner
from aetherflow.store.sqlite_lock_owner import who_locks
from tests.store.real_parts import opened, query

WRITTEN = "SELECT count(*) FROM schema_version WHERE version >= 100"


def insert(raw: sqlite3.Connection) -> None:
    raw.execute("INSERT INTO schema_version SELECT max(100, max(version) + 1), 'x' FROM schema_version")


def written(path: Path) -> int:
    [(count,)] = query(path, WRITTEN)
    return int(count)


@pytest.mark.asyncio
async def test_a_file_that_is_moved_before_the_commit_gets_nothing(path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.db"

    def work(raw: sqlite3.Connection) -> None:
        insert(raw)
        path.rename(moved)

    async with opened(path) as database:
        await database.transact(insert)
        with pytest.raises(StateMoved, match=f"the state database {path} was moved or deleted while"):
            await database.transact(work)
        moved.rename(path)
        with pytest.raises(StateMoved):  # meanwhile another process may have been there
            await database.transact(insert)
    assert written(path) == 1


@pytest.mark.asyncio
async def test_a_commit_to_a_file_that_is_moved_at_that_moment_is_not_acknowledged(path: Path) -> None:
    moved = path.with_name("moved.db")

    def move(statement: str) -> None:
        if statement == "COMMIT":
            path.rename(moved)

    async with opened(path) as database:
        await database.read(lambda raw: raw.set_trace_callback(move))
        with pytest.raises(StateMoved):
            await database.transact(insert)
        path.with_name(f"{path.name}-wal").rename(moved.with_name("moved.db-wal"))
    assert written(moved) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("other", ["file", "folder", "link"])
async def test_a_database_that_is_replaced_is_noticed_when_nothing_is_written(
    other: str, tmp_path: Path
) -> None:
    real, path = tmp_path / "real", tmp_path / "state" / "a.db"
    real.mkdir()
    if other == "folder":
        path.parent.symlink_to(real)
    else:
        path.parent.mkdir()
    if other == "link":
        path.symlink_to(real / "a.db")
    async with opened(path) as database:
        await database.read(lambda raw: raw.execute(WRITTEN))
        if other == "folder":
            path.parent.unlink()
            path.parent.mkdir()
        else:
            path.unlink()
        path.touch()
        with pytest.raises(StateMoved, match="was replaced by another file"):
            await database.read(lambda raw: raw.execute(WRITTEN))
    assert path.stat().st_size == 0


@pytest.mark.asyncio
async def test_what_a_deleted_log_held_is_saved_into_the_database(path: Path) -> None:
    async with opened(path) as database:
        await database.transact(insert)
        path.with_name(f"{path.name}-wal").unlink()
        with pytest.raises(StateMoved) as caught:
            await database.transact(insert)
    assert caught.value.message.startswith(f"the log of the state database {path} ({path}-wal) was moved")
    assert "what was stored is in the database itself" in caught.value.hint
    assert written(path) == 1


@pytest.mark.asyncio
async def test_the_log_of_another_database_at_the_path_is_left_as_it_is(path: Path) -> None:
    async with opened(path) as database:
        await database.transact(insert)
        for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            part.unlink()
        async with opened(path) as other:
            await other.transact(insert)
            await other.transact(insert)
            log = path.with_name(f"{path.name}-wal").read_bytes()
            with pytest.raises(StateMoved):
                await database.transact(insert)
            await database.aclose()
            assert path.with_name(f"{path.name}-wal").read_bytes() == log
    assert written(path) == 2


@pytest.mark.asyncio
async def test_a_place_that_cannot_be_looked_at_is_not_taken_for_an_empty_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    async with opened(path) as database:
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", refused)
            await database.transact(insert)
    assert written(path) == 1


def test_a_lock_on_a_file_with_the_same_inode_on_another_device_is_not_taken_for_ours(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    path.touch()
    stat, locks = path.stat(), tmp_path / "locks"
    monkeypatch.setattr(sqlite_lock_owner, "_LOCKS", locks)
    device = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}"

    locks.write_text(
        f"1: POSIX  ADVISORY  WRITE {os.getpid()} {device}:{stat.st_ino} 1073741825 1073741826\n"
    )
    assert who_locks(path) == "this process itself"
    locks.write_text(f"1: POSIX  ADVISORY  WRITE {os.getpid()} ee:77:{stat.st_ino} 1073741825 1073741826\n")
    assert who_locks(path) == ""
