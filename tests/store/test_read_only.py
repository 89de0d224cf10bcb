"""A state database that may only be read can be looked at by somebody who may not write there."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run, release_run
from tests.store.real_parts import children, opened, started

FIXTURES = Path(__file__).parent / "fixtures"
NOBODY = 65534

LOOKER = """
import encodings.idna, os, sys
from pathlib import Path
from aetherflow.cli.state_access import ask_state
import aetherflow.errors, anyio._backends._asyncio, sqlite3
path = Path(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print("ready", flush=True)
for line in sys.stdin:
    try:
        runs = ask_state(path, lambda ask: ask.runs(limit=10))
        shown = ask_state(path, lambda ask: ask.run_history(runs[0].run_id))
        print([run.run_id for run in runs], shown.run.flow_id, flush=True)
    except aetherflow.errors.AetherFlowError as error:
        print(f"{error.code}: {error.message}; {error.hint}", flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter; those of pytest are its user's own."""
    made = Path(mkdtemp(prefix="aetherflow_read_only_"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


async def store_a_run(path: Path) -> None:
    async with opened(path) as database:
        clock = SystemClock()
        claim = await claim_run(database, "mine", this_process(), clock)
        await Journal(database).of_run(claim.lease, claim.next_seq).commit([started("mine")])
        await release_run(database, claim.lease, clock)


def look(path: Path) -> str:
    """Return what somebody sees who may only read."""
    path.chmod(0o444)
    path.parent.chmod(0o555)
    with children(1, LOOKER, str(path)) as (looker,):
        looker.tell("look")
        return looker.hear()


@pytest.mark.asyncio
async def test_a_database_in_a_folder_that_cannot_be_written_can_be_looked_at(folder: Path) -> None:
    path = folder / "a b?#.db"
    await store_a_run(path)
    assert look(path) == "['mine'] flow"
    assert os.listdir(folder) == [path.name]  # noqa: PTH208 - a Path would be taken for blocking I/O


@pytest.mark.asyncio
async def test_a_database_that_somebody_writes_can_be_looked_at(folder: Path) -> None:
    path = folder / "a.db"
    await store_a_run(path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("UPDATE run_state SET flow_id = 'in the log'")
    for beside in ("-wal", "-shm"):
        path.with_name(f"a.db{beside}").chmod(0o444)
    assert look(path) == "['mine'] in the log"
    writer.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("left", [("-wal",), ("-wal", "-shm")])
async def test_what_a_dead_process_left_beside_the_database_is_read(
    folder: Path, left: tuple[str, ...]
) -> None:
    path = folder / "a.db"
    await store_a_run(path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("UPDATE run_state SET flow_id = 'in the log'")
    contents = {end: path.with_name(f"a.db{end}").read_bytes() for end in left}
    writer.close()
    for end, content in contents.items():
        path.with_name(f"a.db{end}").write_bytes(content)
    assert look(path) == "['mine'] in the log"
    names = os.listdir(folder)  # noqa: PTH208 - a Path would be taken for blocking I/O
    assert sorted(names) == sorted(f"a.db{end}" for end in ("", *left))


@pytest.mark.asyncio
async def test_an_index_that_may_not_be_read_is_reported(folder: Path) -> None:
    path = folder / "a.db"
    await store_a_run(path)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("UPDATE run_state SET flow_id = 'in the log'")
    path.with_name("a.db-wal").chmod(0o444)
    path.with_name("a.db-shm").chmod(0o600)
    said = look(path)
    writer.close()
    assert said.startswith(f"AF612: {path}: its write-ahead log")
    assert "copy" in said


def test_a_folder_that_may_not_be_entered_is_reported(folder: Path) -> None:
    path = folder / "inner" / "a.db"
    anyio.run(store_a_run, path)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    folder.chmod(0o000)
    with children(1, LOOKER, str(path)) as (looker,):
        looker.tell("look")
        said = looker.hear()
    folder.chmod(0o755)
    path.parent.chmod(0o755)
    assert said.startswith(f"AF601: the state database {path} cannot be used: it cannot be opened")
    assert "may enter" in said


def test_an_older_database_that_cannot_be_brought_forward_is_reported(folder: Path) -> None:
    path = folder / "a.db"
    shutil.copy(FIXTURES / "state_v1.sqlite", path)
    said = look(path)
    assert said.startswith(f"AF612: {path}: this state database has schema version 1")
