"""What commands ask a state database has one answer, however the database was opened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from aetherflow.admin.queries import StateQueries, open_queries
from aetherflow.admin.state_changes import cancel_run, release_lock, remove_pool, set_pools
from aetherflow.errors import UsageError
from aetherflow.server.in_force import AskedFile
from aetherflow.server.schedule_files import load_schedule
from aetherflow.store.database import Database
from tests.runs.run_parts import Place, flow

pytestmark = pytest.mark.asyncio

GOOD = flow("{id: a, steps: [{id: s, type: probe, inputs: {x: 1}}]}", head="params: {day: {}}")
SCHEDULE = "version: 1\nid: night\nitems:\n- {id: n, cron: '0 3 * * *', flow_yaml: flow.yaml}\n"


@asynccontextmanager
async def opened_for_work(place: Place) -> AsyncIterator[StateQueries]:
    """Ask a database that is open for writing, as a server has it."""
    database = await Database.open(place.state)
    try:
        yield StateQueries(database)
    finally:
        await database.aclose()


@asynccontextmanager
async def opened_to_look(place: Place) -> AsyncIterator[StateQueries]:
    """Ask a database that is open for reading, as a command has it."""
    async with open_queries(place.state) as queries:
        yield queries


@asynccontextmanager
async def opened_where_nobody_may_write(place: Place) -> AsyncIterator[StateQueries]:
    """Ask a database whose file and folder are read-only."""
    place.state.chmod(0o444)
    place.state.parent.chmod(0o555)
    try:
        async with open_queries(place.state) as queries:
            yield queries
    finally:
        place.state.parent.chmod(0o755)
        place.state.chmod(0o644)


@pytest_asyncio.fixture(params=[opened_for_work, opened_to_look, opened_where_nobody_may_write])
async def ask(place: Place, request: pytest.FixtureRequest) -> AsyncIterator[StateQueries]:
    """A database with a good run and one whose step has failed."""
    await place.run(GOOD, run_id="good", params={"day": "monday"})
    bad = flow(
        "{id: a, steps: [{id: s, type: external.process, inputs: {command: [sh, -c, 'echo up; exit 1']}}]}"
    )
    await place.run(bad, run_id="bad")
    database = await Database.open(place.state)
    try:
        await set_pools(database, {"wide": 3})
    finally:
        await database.aclose()
    async with request.param(place) as queries:
        yield queries


async def test_runs_are_listed_newest_first_and_by_status(ask: StateQueries) -> None:
    assert [run.run_id for run in await ask.runs()] == ["bad", "good"]
    assert [run.run_id for run in await ask.runs(status="SUCCESS")] == ["good"]
    assert [run.run_id for run in await ask.runs(limit=1)] == ["bad"]
    assert await ask.runs(flow_id="other") == []


async def test_a_run_is_shown_with_its_jobs_and_steps(ask: StateQueries) -> None:
    found = await ask.run_history("good")
    assert (found.run.status, found.run.params) == ("SUCCESS", {"day": "monday"})
    assert [(job.job_id, job.status) for job in found.jobs] == [("a", "SUCCESS")]
    assert [(step.step_id, step.outputs) for step in found.steps] == [("s", {"x": 1})]
    assert (found.secrets, found.interrupted, found.bundle) == ([], [], None)
    with pytest.raises(UsageError, match="there is no run 'none'"):
        await ask.run_history("none")


async def test_a_retry_takes_the_run_that_is_named_or_the_last_that_failed(ask: StateQueries) -> None:
    assert (await ask.retry_target()).run_id == "bad"
    assert (await ask.retry_target("good")).run_id == "good"
    with pytest.raises(UsageError, match="no run of the flow 'other'"):
        await ask.retry_target(flow_id="other")


async def test_locks_pools_logs_and_times(ask: StateQueries) -> None:
    assert await ask.locks() == []
    assert [(pool.name, pool.slots, pool.used) for pool in await ask.pools()] == [("wide", 3, 0)]
    assert [log.parent.name for log in ask.step_logs("bad")] == ["a"]
    assert ask.step_logs("good") == []
    assert await ask.newest_time() is not None


async def test_schedulers_and_the_times_of_their_runs(ask: StateQueries, place: Place) -> None:
    assert await ask.schedulers() == []
    file = load_schedule(place.write(SCHEDULE, "night.yaml"))
    (status,) = await ask.schedulers(AskedFile(file.file, file))
    assert [(item.item, item.last) for item in status.items] == [("n", None)]
    assert await ask.run_seconds(file) == {"n": []}


async def test_what_cannot_be_changed_is_refused(place: Place) -> None:
    await place.run(GOOD, run_id="good", params={"day": "monday"})
    database = await Database.open(place.state)
    try:
        with pytest.raises(UsageError, match="run good is not being executed: it is SUCCESS"):
            await cancel_run(database, "good", wait=False)
        with pytest.raises(UsageError, match="nobody holds a lock 'key'"):
            await release_lock(database, "key", force=True)
        with pytest.raises(UsageError, match="pool wide: 0 slots"):
            await set_pools(database, {"wide": 0})
        with pytest.raises(UsageError, match="there is no pool 'wide'"):
            await remove_pool(database, "wide")
        await set_pools(database, {"wide": 1})
        await remove_pool(database, "wide")
        assert await StateQueries(database).pools() == []
    finally:
        await database.aclose()
