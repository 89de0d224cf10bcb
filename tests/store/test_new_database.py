"""The file of a new database: private, and never made where SQLite would delete something of value."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from aetherflow.errors import StateUnusable
from aetherflow.store.database import Database

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("name", ["state.sqlite-wal", "state.sqlite-journal"])
async def test_the_log_of_a_database_that_is_gone_is_not_deleted(tmp_path: Path, name: str) -> None:
    left = tmp_path / name
    left.write_bytes(b"the newest transactions" * 100)
    before = left.read_bytes()

    with pytest.raises(StateUnusable, match=f"does not exist, but {name} is there") as caught:
        await Database.open(tmp_path / "state.sqlite")

    assert "put the database back" in caught.value.hint
    assert left.read_bytes() == before
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - all of it


async def test_an_empty_log_is_of_no_value(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite-wal").touch()
    await (await Database.open(tmp_path / "state.sqlite")).aclose()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
async def test_its_mode_does_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private = await Database.open(tmp_path / "a" / "private.sqlite")
        group = await Database.open(tmp_path / "b" / "group.sqlite", access="group")
        for folder, mode in (("a", 0o600), ("b", 0o660)):
            files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / folder).iterdir()}
            assert set(files.values()) == {mode}
            assert len(files) == 3
        await private.aclose()
        await group.aclose()
    finally:
        os.umask(before)


async def test_a_link_to_a_database_that_does_not_exist_yet_may_be_given(tmp_path: Path) -> None:
    (tmp_path / "link.sqlite").symlink_to("real.sqlite")
    database = await Database.open(tmp_path / "link.sqlite")
    await database.aclose()
    assert stat.S_IMODE((tmp_path / "real.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "kind"),
    [("folder", "a folder"), ("pipe", "a pipe"), ("socket", "a socket"), ("device", "a device")],
)
async def test_what_is_no_file_is_named_and_no_disk_is_blamed(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has a limit
    path = Path(name)
    path.with_name("folder").mkdir()
    os.mkfifo("pipe")
    os.symlink("/dev/null", "device")  # noqa: PTH211 - as the others, and ruff wants no Path in a coroutine
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for open_database in (Database.open, Database.open_to_look):
            with pytest.raises(StateUnusable, match=f"it is {kind}$") as caught:
                await open_database(path)
            assert "the path of a file" in caught.value.hint
