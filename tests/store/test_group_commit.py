"""A group commit of several runs: what the database refuses fails the run it belongs to, and no other."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.engine.state import fold
from aetherflow.errors import StateError
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal, RunJournal, read_events
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run
from tests.store.real_parts import job_started, opened, query, started, write_locked

RUNS = ("one", "bad", "three")


async def begin(database: Database) -> list[RunJournal]:
    """Begin three runs that share a journal; the second one's next number is taken already."""
    journal, runs = Journal(database), []
    for run_id in RUNS:
        claim = await claim_run(database, run_id, this_process(), SystemClock())
        runs.append(journal.of_run(claim.lease, claim.next_seq))
        await runs[-1].commit([started(run_id)])
    await database.transact(
        lambda raw: raw.execute("INSERT INTO events VALUES ('bad', 3, 'job_started', '{}')")
    )
    return runs


async def append_in_one_commit(path: Path, *appends: tuple[RunJournal, str, int]) -> dict[str, StateError]:
    """Append to the runs while the database is locked, so that all go into one transaction."""
    errors: dict[str, StateError] = {}

    async def append(run: RunJournal, name: str, count: int) -> None:
        run_id = run.lease.name.removeprefix("run:")
        try:
            await run.commit([job_started(run_id, f"{name}{number}") for number in range(count)])
        except StateError as error:
            errors[name] = error

    with write_locked(path) as lock:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(append, appends[0][0], "leads", 1)
            await anyio.wait_all_tasks_blocked()
            for given in appends:
                tasks.start_soon(append, *given)
            await anyio.wait_all_tasks_blocked()
            lock.release()
    return errors


@pytest.mark.asyncio
async def test_a_refused_batch_fails_its_own_run_and_the_others_of_the_commit_are_stored(path: Path) -> None:
    async with opened(path) as database:
        one, bad, three = await begin(database)
        errors = await append_in_one_commit(path, (one, "a", 2), (bad, "b", 3), (three, "c", 1))

        assert errors.keys() == {"b"}
        assert errors["b"].code == "AF613"
        assert str(path) in errors["b"].message
        assert "run:bad" in errors["b"].message
        assert "UNIQUE" in errors["b"].message
        await one.commit([job_started("one", "later")])
        with pytest.raises(StateError, match="run:bad"):
            await bad.commit([job_started("bad", "later")])
        history = await database.read(lambda raw: read_events(raw, "one"))

    assert list(fold(history).jobs) == ["leads0", "a0", "a1", "later"]
    stored = query(path, "SELECT run_id, count(*) FROM events GROUP BY 1 ORDER BY 1")
    assert stored == [("bad", 2), ("one", 5), ("three", 2)]
    assert query(path, "SELECT job_id FROM job_state WHERE run_id = 'bad'") == []


@pytest.mark.asyncio
async def test_of_two_batches_of_one_run_the_first_is_acknowledged_and_nothing_follows_a_refused_one(
    path: Path,
) -> None:
    async with opened(path) as database:
        _, bad, three = await begin(database)
        errors = await append_in_one_commit(
            path, (three, "c", 1), (bad, "fits", 1), (bad, "refused", 1), (bad, "after", 1)
        )
    assert errors.keys() == {"refused", "after"}
    assert query(path, "SELECT seq, job_id FROM events WHERE run_id = 'bad' AND job_id IS NOT NULL") == [
        (2, "fits0")
    ]
