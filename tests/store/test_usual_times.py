"""How long earlier runs took, as the live tree asks for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aetherflow.clock import SystemClock
from aetherflow.events import run_events as e
from aetherflow.ports import UsualTimes
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run, release_run
from aetherflow.store.usual_times import usual_times
from tests.store.real_parts import opened, started


async def store_run(path: Path, run_id: str, after: float, seconds: float, **fields: Any) -> None:
    """Store a run that began so many seconds after others and took so long; its job took half of that."""
    begin = started(run_id, after)
    at, half = begin.at, timedelta(seconds=seconds / 2)
    names: dict[str, Any] = {"flow_id": begin.flow_id, "run_id": run_id}
    step: dict[str, Any] = {**names, "job_id": "a", "step_id": "s", "step_type": "t"}
    status = fields.pop("status", "SUCCESS")
    events: list[e.Event] = [
        replace(begin, **fields),
        e.JobStarted(**names, at=at, job_id="a"),
        e.StepStarted(**step, at=at),
        e.StepFinished(**step, at=at + half, status="SUCCESS", duration_seconds=seconds / 2),
        e.JobFinished(**names, at=at + half, job_id="a", status="SUCCESS"),
        e.RunFinished(**names, at=at + 2 * half, status=status, duration_seconds=seconds),
    ]
    async with opened(path) as database:
        claim = await claim_run(database, run_id, this_process(), SystemClock())
        await Journal(database).of_run(claim.lease, claim.next_seq).commit(events)
        await release_run(database, claim.lease, SystemClock())


@pytest.mark.asyncio
async def test_the_usual_time_is_the_median_of_the_last_runs_that_succeeded(path: Path) -> None:
    flow = started("x").flow_id
    async with opened(path):
        assert usual_times(path, flow) == UsualTimes()
    for number, seconds in enumerate([900, 10, 12, 90, 14, 16]):
        await store_run(path, f"r{number}", 1000 * number, seconds)
    await store_run(path, "failed", 9000, 1, status="FAILED")
    await store_run(path, "part", 9500, 2, selected_job="a")

    found = usual_times(path, flow)

    assert found == UsualTimes(14, {"a": 8}, {"a.s": 8})
    assert usual_times(path, flow, "a") == UsualTimes(2, {"a": 1}, {"a.s": 1})
    assert usual_times(path, "another") == UsualTimes()
