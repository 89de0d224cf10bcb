"""What every implementation of the port `DurableSubscriber` does; both are tested by the same tests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import HeldByAnother, StateError
from aetherflow.events.run_events import Event
from aetherflow.ports import DurableSubscriber
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal, read_events
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import RunClaim, claim_run, release_run
from aetherflow.testing import MemoryJournal
from tests.store.real_parts import job_started, started

RUN = "r"


class Subject(ABC):
    """A durable subscriber, and what a test may do beside it."""

    journal: DurableSubscriber

    @abstractmethod
    async def stored(self) -> list[Event]:
        """Return what is durable."""

    @abstractmethod
    async def break_it(self) -> None:
        """Let every later commit fail."""


class InMemory(Subject):
    """The journal of tests."""

    def __init__(self) -> None:
        self._memory = MemoryJournal()
        self.journal = self._memory

    async def stored(self) -> list[Event]:
        """Return what it keeps."""
        return list(self._memory.events)

    async def break_it(self) -> None:
        """Refuse."""
        self._memory.fail(StateError("it is broken"))


class InSqlite(Subject):
    """The journal of a state database."""

    def __init__(self, database: Database, claim: RunClaim) -> None:
        self._database = database
        self._claim = claim
        self.journal = Journal(database).of_run(claim.lease, claim.next_seq)

    async def stored(self) -> list[Event]:
        """Return what is in the database."""
        return await self._database.read(lambda raw: read_events(raw, RUN))

    async def break_it(self) -> None:
        """Lose the lease."""
        await release_run(self._database, self._claim.lease, SystemClock())


@asynccontextmanager
async def subject_of(kind: str, folder: Path) -> AsyncIterator[Subject]:
    """Give a subscriber of one kind, with nothing stored."""
    if kind == "memory":
        yield InMemory()
        return
    database = await Database.open(folder / "state.sqlite", "normal")
    try:
        yield InSqlite(database, await claim_run(database, RUN, this_process(), SystemClock()))
    finally:
        await database.aclose()


KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite"])


@KINDS
@pytest.mark.asyncio
async def test_what_was_committed_is_stored_in_order(kind: str, tmp_path: Path) -> None:
    batches: list[list[Event]] = [
        [started(RUN), job_started(RUN, "a")],
        [job_started(RUN, "b")],
        [job_started(RUN, "c")],
    ]
    async with subject_of(kind, tmp_path) as subject:
        for number, batch in enumerate(batches, start=1):
            await subject.journal.commit(batch)
            assert await subject.stored() == [event for one in batches[:number] for event in one]


@KINDS
@pytest.mark.asyncio
async def test_batches_that_wait_together_stay_whole_and_none_is_lost(kind: str, tmp_path: Path) -> None:
    batches = [[job_started(RUN, f"{number}a"), job_started(RUN, f"{number}b")] for number in range(20)]
    async with subject_of(kind, tmp_path) as subject:
        await subject.journal.commit([started(RUN)])
        async with anyio.create_task_group() as tasks:
            for batch in batches:
                tasks.start_soon(subject.journal.commit, batch)
        stored = (await subject.stored())[1:]
    pairs = [stored[place : place + 2] for place in range(0, len(stored), 2)]
    assert sorted(pairs, key=repr) == sorted(batches, key=repr)


@KINDS
@pytest.mark.asyncio
async def test_a_cancelled_commit_stores_all_of_its_events_or_none(kind: str, tmp_path: Path) -> None:
    async with subject_of(kind, tmp_path) as subject:
        await subject.journal.commit([started(RUN)])
        with anyio.CancelScope() as scope:
            scope.cancel()
            await subject.journal.commit([job_started(RUN, "a"), job_started(RUN, "b")])
        assert len(await subject.stored()) in (1, 3)
        await subject.journal.commit([job_started(RUN, "c")])
        assert len(await subject.stored()) in (2, 4)


@KINDS
@pytest.mark.asyncio
async def test_after_an_error_nothing_more_is_stored_and_every_commit_raises_it(
    kind: str, tmp_path: Path
) -> None:
    async with subject_of(kind, tmp_path) as subject:
        await subject.journal.commit([started(RUN)])
        await subject.break_it()
        failures = []
        for batch in ([job_started(RUN, "a"), job_started(RUN, "b")], [job_started(RUN, "c")]):
            with pytest.raises((StateError, HeldByAnother)) as caught:
                await subject.journal.commit(batch)
            failures.append(str(caught.value))
        assert failures[0] == failures[1]
        assert await subject.stored() == [started(RUN)]
