"""Where a step runs, in `runs show`, `explain` and the page of `runs export`."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aetherflow.admin.explain_run import explain_run
from aetherflow.admin.run_history import RunFacts, RunHistory, read_history
from aetherflow.admin.run_report.job_entries import _notes
from aetherflow.admin.run_tree import run_tree
from aetherflow.cli.runs_show import _lines
from aetherflow.errors import AttemptLost
from aetherflow.events import run_events as e
from aetherflow.sdk.context import StepContext
from aetherflow.store.run_rows import find_run
from tests.execution.far_run import executing
from tests.execution.live_run import LiveRun, live, one_step
from tests.execution.worker_double import WorkerDouble
from tests.polling import eventually

AT = datetime(2026, 1, 1, tzinfo=UTC)


async def history(run: LiveRun) -> RunHistory:
    """Return what is stored about a run."""

    def read(raw: sqlite3.Connection) -> RunHistory:
        row = find_run(raw, run.state.run_id)
        assert row is not None
        return read_history(raw, row, AT)

    return await run.database.read(read)


def shown(found: RunHistory) -> str:
    """Return the line of the step in `runs show`."""
    [line] = [line for line in _lines(found, Path("state.sqlite"), everything=True) if "(t)" in line]
    return line


def explained(found: RunHistory) -> list[str]:
    """Return what `explain` says of the step."""
    return [one.sentence for one in explain_run(RunFacts(found), "a.s")[0].reasons]


@pytest.mark.asyncio
async def test_a_step_waits_for_a_worker_then_runs_on_one(tmp_path: Path) -> None:
    workers = WorkerDouble()
    seen: list[RunHistory] = []
    async with executing(one_step(more="retry: {max_attempts: 2}"), tmp_path, workers) as run:
        for end in (AttemptLost("it has died"), None):
            attempt = await workers.given()
            seen.append(await history(run))
            attempt.begins.set()
            assert await eventually(lambda: bool(run.seen.of(e.StepPlaced)))
            run.seen.events.clear()
            seen.append(await history(run))
            attempt.end = end or attempt.end
            attempt.ends.set()
        await run.ended.wait()
        seen.append(await history(run))
    failed = (
        "Attempt 1 of 2 failed, the next followed after 0.00 s: AF882: it has died (it ran on far:w1@far)"
    )
    assert [shown(one).partition("(t)  ")[2] for one in seen[:4]] == [
        "waits for a worker of far",
        "far:w1@far",
        "attempt 2, waits for a worker of far",
        "attempt 2, far:w1@far",
    ]
    assert shown(seen[4]).endswith(", attempt 2, far:w1@far")
    assert [_notes(run_tree(one)[0].steps[0])[0] for one in seen] == [
        "It waits for a worker of far.",
        "It runs on far:w1@far.",
        "It waits for a worker of far.",
        "It runs on far:w1@far.",
        "It ran on far:w1@far.",
    ]
    assert [explained(one) for one in seen[:4]] == [
        ["Attempt 1 waits for a worker of far."],
        ["Attempt 1 began on far:w1@far.", "Attempt 1 is running."],
        [failed, "Attempt 2 waits for a worker of far."],
        [failed, "Attempt 2 began on far:w1@far.", "Attempt 2 is running."],
    ]


@pytest.mark.asyncio
async def test_where_an_earlier_execution_ran_a_step_is_not_where_it_runs_now(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(), tmp_path, workers):
        attempt = await workers.given()
        attempt.end = AttemptLost("it has died")
        attempt.begins.set()
        attempt.ends.set()
    async with live(one_step(), tmp_path, {"t": here}) as run:
        await run.run()
        assert shown(await history(run)).endswith(" s")
        assert [one.worker for one in (await history(run)).places] == ["w1"]


@pytest.mark.asyncio
async def test_a_late_result_that_was_refused_is_shown(tmp_path: Path) -> None:
    workers = WorkerDouble()
    async with executing(one_step(more="retry: {max_attempts: 2}"), tmp_path, workers) as run:
        first = await workers.given()
        first.end = AttemptLost("it has died")
        first.begins.set()
        first.ends.set()
        second = await workers.given()
        first.context.on_refused("w1", "far", "the attempt was given up")
        assert await eventually(lambda: bool(run.seen.of(e.ResultRefused)))
        second.begins.set()
        second.ends.set()
        await run.ended.wait()
        found = await history(run)
    words = "late result of attempt 1 from far:w1@far was refused: the attempt was given up"
    lines = list(_lines(found, Path("state.sqlite"), everything=True))
    assert f"      a {words}" in lines
    assert f"A {words}." in explained(found)
    assert f"A {words}." in _notes(run_tree(found)[0].steps[0])


def here(_context: StepContext, _inputs: dict[str, Any]) -> None:
    """Run in the process of the run."""
