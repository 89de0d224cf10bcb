from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

from aetherflow.errors import StateError, StateUnusable
from aetherflow.store import database as database_module
from aetherflow.store import migrate as opening
from aetherflow.store.database import Database
from aetherflow.store.migrate import _statements
from aetherflow.store.state_schema import APPLICATION_ID, MIGRATIONS, VERSION
from tests.store.real_parts import children, opened, query

OPENER = """
import asyncio, sys
from pathlib import Path
from aetherflow.store.database import Database

async def open_and_close(path):
    database = await Database.open(Path(path))
    await database.aclose()

print("ready", flush=True)
for line in sys.stdin:
    try:
        asyncio.run(open_and_close(line.strip()))
        print("opened", flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"""

READ_ONLY_OPENER = """
import asyncio, os, sys
from pathlib import Path
from aetherflow.store.database import Database

async def open_and_close(path):
    database = await Database.open(path)
    await database.aclose()

path = Path(sys.argv[1])
asyncio.run(open_and_close(path))
path.chmod(0o444)
path.parent.chmod(0o777)
os.setgid(65534)
os.setuid(65534)
print("ready", flush=True)
try:
    asyncio.run(open_and_close(path))
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""


def content(path: Path) -> bytes:
    """Return the bytes of a file; nothing if it is none."""
    return path.read_bytes() if path.is_file() else b""


def neighbours(path: Path) -> list[Path]:
    """Return all that stands in the file's folder."""
    return sorted(path.parent.iterdir())


def damage_the_last_pages(path: Path) -> None:
    """Write rubbish over the last 20 pages."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 20 * 4096)
        file.write(b"\xee" * 20 * 4096)


@pytest.mark.asyncio
@pytest.mark.parametrize(("synchronous", "number"), [("full", 2), ("normal", 1)])
async def test_a_new_database_gets_its_folders_pragmas_and_schema(
    path: Path, synchronous: Literal["full", "normal"], number: int
) -> None:
    database = await Database.open(path / "deep" / "file.db", synchronous)

    def settings(raw: sqlite3.Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "application_id", "user_version", "wal_autocheckpoint")
        return {name: raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    found = await database.read(settings)
    await database.aclose()
    assert found == {
        "journal_mode": "wal",
        "synchronous": number,
        "application_id": APPLICATION_ID,
        "user_version": VERSION,
        "wal_autocheckpoint": 1000,
    }
    assert APPLICATION_ID.to_bytes(4, "big") == b"AEtf"
    assert [row[0] for row in query(path / "deep" / "file.db", "SELECT version FROM schema_version")] == [
        *range(1, VERSION + 1)
    ]
    tables = {row[0] for row in query(path / "deep" / "file.db", "SELECT name FROM sqlite_schema")}
    assert tables >= {"runs", "locks", "events", "run_state", "job_state", "step_state", "leases"}


@pytest.mark.asyncio
async def test_the_last_one_to_close_leaves_one_file(path: Path) -> None:
    async with opened(path) as database:
        await database.transact(lambda raw: raw.execute("INSERT INTO schema_version VALUES (99, 'x')"))
        assert len(neighbours(path)) == 3
    assert neighbours(path) == [path]


@pytest.mark.asyncio
async def test_opening_again_changes_nothing(path: Path) -> None:
    async with opened(path):
        pass
    before = content(path)
    async with opened(path):
        pass
    assert content(path) == before


def test_four_processes_that_make_the_same_database_all_succeed(tmp_path: Path) -> None:
    rounds = 15
    with children(4, OPENER) as openers:
        for number in range(rounds):
            for child in openers:
                child.tell(str(tmp_path / f"{number}.db"))
            assert [child.hear() for child in openers] == ["opened"] * 4
    for number in range(rounds):
        assert query(tmp_path / f"{number}.db", "SELECT max(version) FROM schema_version") == [(VERSION,)]


@pytest.mark.asyncio
async def test_a_migration_goes_forward_and_keeps_what_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as database:
        await database.transact(lambda raw: raw.execute("INSERT INTO schema_version VALUES (99, 'kept')"))
    monkeypatch.setattr(opening, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x TEXT);\n"))
    monkeypatch.setattr(opening, "VERSION", VERSION + 1)
    async with opened(path):
        pass
    assert query(path, "SELECT max(version) FROM schema_version WHERE version < 99") == [(VERSION + 1,)]
    assert query(path, "SELECT applied_at FROM schema_version WHERE version = 99") == [("kept",)]
    assert query(path, "PRAGMA user_version") == [(VERSION + 1,)]
    assert query(path, "SELECT * FROM more") == []


@pytest.mark.asyncio
async def test_a_migration_that_fails_leaves_the_old_version_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path):
        pass
    broken = "CREATE TABLE more (x TEXT);\nINSERT INTO nowhere VALUES (1);\n"
    monkeypatch.setattr(opening, "MIGRATIONS", (*MIGRATIONS, broken))
    monkeypatch.setattr(opening, "VERSION", VERSION + 1)
    with pytest.raises(StateUnusable, match=re.escape(str(path))):
        await Database.open(path)
    assert query(path, "PRAGMA user_version") == [(VERSION,)]
    assert query(path, "SELECT 1 FROM sqlite_schema WHERE name = 'more'") == []


def test_a_migration_without_its_last_semicolon_is_not_cut_short() -> None:
    assert _statements("CREATE TABLE a (x);\n-- one; two\nCREATE TABLE b (x);\n") == [
        "CREATE TABLE a (x);\n",
        "-- one; two\nCREATE TABLE b (x);\n",
    ]
    with pytest.raises(ValueError, match="CREATE TABLE b"):
        _statements("CREATE TABLE a (x);\nCREATE TABLE b (x)")


def _text_file(path: Path) -> None:
    path.write_text("this is a text that is long enough to be taken for a header of SQLite\n" * 20)


def _tables_of_another(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.executescript("CREATE TABLE customers (id); INSERT INTO customers VALUES (1);")
    raw.close()


def _mark_of_another(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA application_id = 77")
    raw.close()


def _version_of_another(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 1")
    raw.close()


def _newer(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.executescript(
        f"CREATE TABLE t (x); PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION + 1};"
    )
    raw.close()


def _damaged_schema(path: Path) -> None:
    _tables_of_another(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xee" * 3000)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("make", "code", "words"),
    [
        (_text_file, "AF601", "is no SQLite database"),
        (_tables_of_another, "AF602", "not one of AetherFlow's"),
        (_mark_of_another, "AF602", "not one of AetherFlow's"),
        (_version_of_another, "AF602", "not one of AetherFlow's"),
        (_newer, "AF603", f"schema version {VERSION + 1}, newer than this AetherFlow knows ({VERSION})"),
        (_damaged_schema, "AF601", "it is damaged"),
        (Path.mkdir, "AF601", "it is a folder"),
    ],
)
async def test_a_file_that_is_not_ours_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], code: str, words: str
) -> None:
    path = tmp_path / "other.db"
    make(path)
    before = content(path)
    with pytest.raises(StateUnusable) as caught:
        await Database.open(path)
    assert (caught.value.code, caught.value.exit_code) == (code, 2)
    assert str(path) in caught.value.message
    assert words in caught.value.message
    assert caught.value.hint
    assert content(path) == before
    assert neighbours(path) == [path]


@pytest.mark.asyncio
@pytest.mark.parametrize("parent", ["/proc/aetherflow", "/proc/self", "file"])
async def test_a_folder_that_cannot_be_written_is_reported_by_name(tmp_path: Path, parent: str) -> None:
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / parent / "state.db"
    with pytest.raises(StateUnusable, match=re.escape(str(path))) as caught:
        await Database.open(path)
    assert caught.value.exit_code == 2
    assert caught.value.hint


@pytest.mark.asyncio
async def test_a_database_that_would_live_in_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StateUnusable, match="write-ahead log cannot be kept there"):
        await Database.open(Path(":memory:"))


@pytest.mark.skipif("os.geteuid() != 0", reason="only root may become somebody who may not write")
def test_a_file_that_may_only_be_read_is_reported_at_the_opening() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with children(1, READ_ONLY_OPENER, str(path)) as (child,):
            heard = child.hear()
    assert heard.startswith(f"StateUnusable the state database {path} cannot be used: it cannot be written")


@pytest.mark.asyncio
async def test_damage_that_shows_later_is_reported_by_name(path: Path) -> None:
    async with opened(path) as database:
        await database.transact(
            lambda raw: raw.executemany(
                "INSERT INTO schema_version VALUES (?, ?)", [(n, "x" * 100) for n in range(100, 1000)]
            )
        )
    damage_the_last_pages(path)
    async with opened(path) as database:
        with pytest.raises(StateError, match=re.escape(str(path))) as caught:
            await database.read(lambda raw: raw.execute("SELECT * FROM schema_version").fetchall())
    assert "it is damaged" in caught.value.message


def test_a_failed_opening_leaves_no_thread_that_reports_to_a_dead_loop(tmp_path: Path) -> None:
    for _ in range(30):  # pytest makes an error of a thread that ends with a traceback
        with pytest.raises(StateUnusable):
            asyncio.run(Database.open(tmp_path))


@pytest.mark.asyncio
async def test_a_database_that_is_locked_while_it_opens_is_reported_by_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.05)
    path.parent.mkdir()
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateUnusable, match=re.escape(str(path))) as caught:
        await Database.open(path)
    raw.close()
    assert "another process has kept it locked" in caught.value.message
