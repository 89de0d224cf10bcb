"""Steps of many runs share the slots of a pool."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.events import run_events as e
from aetherflow.runs.run_host import RunHost
from aetherflow.sdk.context import StepContext
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.pools import set_pool as make_pool
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run, release_run
from tests.polling import eventually
from tests.runs.hosted import serving
from tests.runs.run_parts import ACTIONS, Place, flow

pytestmark = pytest.mark.asyncio

AT = datetime(2026, 1, 1, tzinfo=UTC)


async def set_pool(place: Place, size: int) -> None:
    """Make the pool `warehouse`."""
    database = await Database.open(place.state)
    await database.transact(lambda raw: make_pool(raw, "warehouse", size, AT))
    await database.aclose()


async def write_history(state: Path, history: Sequence[e.Event]) -> None:
    """Leave a run as a process leaves it that dies after these events."""
    database, clock = await Database.open(state), SystemClock()
    claim = await claim_run(database, history[0].run_id, this_process(), clock)
    await Journal(database).of_run(claim.lease, claim.next_seq).commit(history)
    await release_run(database, claim.lease, clock)
    await database.aclose()


class Crowd:
    """A step action that counts how many are in it at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.open = anyio.Event()

    async def __call__(self, context: StepContext, inputs: dict[str, Any]) -> None:
        """Be inside until it opens."""
        del context
        self.inside += inputs.get("slots", 1)
        self.most = max(self.most, self.inside)
        try:
            with anyio.fail_after(60):
                await self.open.wait()
        finally:
            self.inside -= inputs.get("slots", 1)


def job(name: str, slots: int = 1, more: str = "", job_more: str = "") -> str:
    """Return a job of one step in the pool."""
    return (
        f"{{id: {name}, {job_more} steps: [{{id: s, type: probe, pool: warehouse, slots: {slots}, {more} "
        f"inputs: {{do: act, slots: {slots}}}}}]}}"
    )


async def test_runs_share_the_slots_and_who_waits_is_reported_and_seen(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = ACTIONS["act"] = Crowd()
    await set_pool(place, 2)
    async with serving(place, monkeypatch) as server:
        await server.submit(flow(job("a", 2)), "r1")
        assert await eventually(lambda: crowd.inside == 2)
        await server.submit(flow(job("b")), "r2")
        waits = "SELECT status, reason FROM step_state WHERE run_id = 'r2'"
        assert await eventually(lambda: bool(place.query(waits)))
        assert place.query(waits) == [
            ("PENDING", "waits for 1 slot of the pool warehouse (2), held by demo, run r1, a.s")
        ]
        crowd.open.set()
        assert [await server.status(run_id) for run_id in ("r1", "r2")] == ["SUCCESS", "SUCCESS"]
    assert crowd.most == 2
    assert place.query("SELECT status, reason FROM step_state WHERE run_id = 'r2'") == [("SUCCESS", None)]
    kinds = place.query("SELECT event FROM events WHERE run_id = 'r2' AND step_id = 's' ORDER BY seq")
    assert kinds == [("step_waiting",), ("step_started",), ("step_finished",)]
    assert place.query("SELECT count(*) FROM pool_claims") == [(0,)]


async def test_many_steps_of_many_runs_never_hold_more_than_there_is(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = ACTIONS["act"] = Crowd()
    crowd.open.set()
    await set_pool(place, 3)
    text = flow(*(job(f"j{number}", 1 + number % 3) for number in range(8)))
    async with serving(place, monkeypatch) as server:
        for number in range(5):
            await server.submit(text, f"r{number}")
        assert [await server.status(f"r{number}") for number in range(5)] == ["SUCCESS"] * 5
    assert 0 < crowd.most <= 3
    assert place.query("SELECT count(*) FROM step_state WHERE status = 'SUCCESS'") == [(40,)]


async def test_an_unknown_pool_and_too_many_slots_fail_the_step_with_what_to_do(place: Place) -> None:
    assert (await place.run(flow(job("a")))).status == "FAILED"
    await set_pool(place, 1)
    assert (await place.run(flow(job("b", 2)))).status == "FAILED"
    errors = place.query("SELECT json_extract(error, '$.code') FROM step_state ORDER BY job_id")
    assert errors == [("AF640",), ("AF641",)]


async def test_the_time_of_a_step_does_not_run_while_it_waits_that_of_its_job_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = ACTIONS["act"] = Crowd()
    await set_pool(place, 1)
    patient = job("patient", more="timeout_seconds: 3,")
    hurried = job("hurried", job_more="timeout_seconds: 0.5,")
    async with serving(place, monkeypatch) as server:
        await server.submit(flow(job("first")), "r1")
        assert await eventually(lambda: crowd.inside == 1)
        await server.submit(flow(hurried), "r3")
        assert await server.status("r3") == "FAILED"
        await server.submit(flow(patient), "r2")
        assert await eventually(lambda: place.query("SELECT count(*) FROM pool_claims") == [(2,)])
        await anyio.sleep(3.1)  # more than the step's time, real because processes and locks are
        crowd.open.set()
        assert await server.status("r2") == "SUCCESS"
    assert place.query("SELECT json_extract(error, '$.code') FROM step_state WHERE run_id = 'r3'") == [
        ("AF711",)
    ]
    assert place.query("SELECT count(*) FROM pool_claims") == [(0,)]


async def test_a_run_cancelled_while_it_waits_ends_at_once_and_leaves_the_queue(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = ACTIONS["act"] = Crowd()
    await set_pool(place, 1)
    async with serving(place, monkeypatch) as server:
        await server.submit(flow(job("a")), "r1")
        assert await eventually(lambda: crowd.inside == 1)
        await server.submit(flow(job("b")), "r2")
        assert await eventually(lambda: place.query("SELECT count(*) FROM pool_claims") == [(2,)])
        await server.run_pool.cancel("r2", "not needed")
        assert await server.status("r2") == "CANCELLED"
        assert place.query("SELECT run_id FROM pool_claims") == [("r1",)]
        crowd.open.set()
        assert await server.status("r1") == "SUCCESS"
    assert place.query("SELECT status FROM step_state WHERE run_id = 'r2'") == [("CANCELLED",)]


async def test_slots_are_held_for_one_attempt_and_not_between_attempts(place: Place) -> None:
    held: list[int] = []

    def fail_once(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        held.append(place.query("SELECT count(*) FROM pool_claims WHERE granted_at IS NOT NULL")[0][0])
        if context.attempt == 1:
            raise RuntimeError("not yet")

    ACTIONS["act"] = fail_once
    await set_pool(place, 1)
    report = await place.run(flow(job("a", more="retry: {max_attempts: 2},")))
    assert (report.status, held) == ("SUCCESS", [1, 1])
    assert [type(event) for event in place.seen.events if getattr(event, "step_id", "") == "s"] == [
        e.StepStarted,
        e.StepRetrying,
        e.StepStarted,
        e.StepFinished,
    ]
    ids = place.query("SELECT seq FROM sqlite_sequence WHERE name = 'pool_claims'")
    assert ids == [(2,)]  # one claim for each attempt


async def test_a_step_that_waited_when_its_process_died_had_not_begun(place: Place) -> None:
    """Whatever `on_interrupt` says, it runs: nothing of it was cut off."""
    await set_pool(place, 1)
    text = flow(job("a", more="on_interrupt: fail,"))
    began = [
        e.RunStarted(at=AT, flow_id="demo", run_id="r1", flow_file="flow.yaml", owner="x"),
        e.JobStarted(at=AT, flow_id="demo", run_id="r1", job_id="a"),
        e.StepWaiting(
            at=AT, flow_id="demo", run_id="r1", job_id="a", step_id="s", step_type="probe", pool="warehouse",
            slots=1, size=1,
        ),
    ]  # fmt: skip
    await write_history(place.state, began)
    assert (await place.run(text, run_id="r1")).status == "SUCCESS"


async def test_the_slots_of_a_run_whose_process_lives_but_lost_it_are_given_back(place: Place) -> None:
    await set_pool(place, 1)
    with closing(sqlite3.connect(place.state)) as raw, raw:
        raw.execute(
            "INSERT INTO pool_claims VALUES (NULL, 'warehouse', 1, 'r1', 'an earlier process', ?, ?, ?, ?)",
            ('{"host": "another-host", "pid": 1, "started": "1"}', "2026", "2026", "9999"),
        )
    assert (await place.run(flow(job("a")), run_id="r1")).status == "SUCCESS"


async def test_a_server_gives_every_database_that_it_opens_its_pools(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = ACTIONS["act"] = Crowd()
    crowd.open.set()
    own = flow(job("b", 2), head=f"state: {{path: {place.folder}/own.sqlite}}")
    async with serving(place, monkeypatch, host=RunHost(pools={"warehouse": 2})) as server:
        await server.submit(flow(job("a", 2)), "r1")
        await server.submit(own, "r2")
        assert [await server.status(run_id) for run_id in ("r1", "r2")] == ["SUCCESS", "SUCCESS"]
    assert place.query("SELECT name, slots FROM pools") == [("warehouse", 2)]
