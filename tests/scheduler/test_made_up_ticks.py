"""Ticks on time and ticks that are made up for: those on time are neither lost nor late for the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.scheduler import overlap
from aetherflow.scheduler.firing_decision import FiringDecider
from tests.scheduler.scheduler_parts import CountingClock, Server, rows, schedule, server

pytestmark = pytest.mark.asyncio
MADE_UP = "id: a, cron: '* * * * *', catch_up: all, misfire_grace_time: 0"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


async def _after_minutes(one: Server, item: str, folder: Path, minutes: float) -> Any:
    """Put an item into force, and let that many minutes pass without a look."""
    file = schedule(folder, item)
    await one.scheduler.put(file)
    await one.tick(minutes * 60)
    return file


async def _run_next(one: Server) -> str:
    """Let the only run that was submitted begin and end; return its run id."""
    (run_id,) = one.runs.submitted
    await one.begin(run_id)
    await one.end(run_id)
    await one.scheduler.check()
    return run_id


@pytest.mark.parametrize("rule", ["skip", "queue"])
async def test_a_tick_on_time_goes_before_what_waits_to_be_made_up(
    tmp_path: Path, state: Path, rule: str
) -> None:
    async with server(state) as one:
        await _after_minutes(one, f"{MADE_UP}, overlap: {rule}", tmp_path, 4.5)  # r1 to r4 are made up
        await one.begin("r1")
        await one.tick(30)
        assert rows(state, "scheduled_at, outcome, reason")[4] == (
            "00:05:00",
            "WAITING",
            "run r1 of 2026-01-01T00:01:00Z has not ended (max_instances 1)",
        )
        await one.end("r1")
        await one.scheduler.check()
        assert rows(state, "reason")[1] == (
            "run r5 of 2026-01-01T00:05:00Z waits; ticks on time go first (max_instances 1)",
        )
        assert [await _run_next(one) for _ in range(4)] == ["r5", "r2", "r3", "r4"]
        assert {outcome for (outcome,) in rows(state, "outcome")} == {"SUCCESS"}


async def test_ticks_in_time_that_were_due_with_newer_ones_are_made_up_too(
    tmp_path: Path, state: Path
) -> None:
    """After a short downtime all of them are within the grace; the next tick does not queue behind them."""
    item = "id: a, cron: '* * * * *', catch_up: all, misfire_grace_time: 300"
    async with server(state) as one:
        await _after_minutes(one, item, tmp_path, 4.5)
        assert {cause for (cause,) in rows(state, "cause")} == {"tick"}
        await one.begin("r1")
        await one.tick(30)
        await one.end("r1")
        await one.scheduler.check()
        ran = [await _run_next(one) for _ in range(4)]
        assert ran == ["r4", "r5", "r2", "r3"], "the newest of them was on time when it was decided"


async def test_a_tick_on_time_is_skipped_only_for_one_that_runs_on_time(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await _after_minutes(one, MADE_UP, tmp_path, 2.5)
        await one.begin("r1")
        await one.tick(30)
        await one.tick(60)  # the made-up run is long: this one waits as well
        assert [row[0] for row in rows(state, "outcome")] == ["RUNNING", "WAITING", "WAITING", "WAITING"]
        await one.end("r1")
        await one.scheduler.check()
        await one.begin("r3")
        await one.tick(60)
        assert rows(state, "outcome, reason")[4] == (
            "SKIPPED",
            "run r3 of 2026-01-01T00:03:00Z has not ended (max_instances 1)",
        )


async def test_a_tick_between_two_made_up_runs_starts_at_once(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await _after_minutes(one, MADE_UP, tmp_path, 2.5)
        await one.begin("r1")
        await one.end("r1")
        one.clock.advance(30)
        await one.fire_due()  # before the look that starts what waits
        assert rows(state, "outcome")[1:] == [("WAITING",), ("QUEUED",)]
        await one.scheduler.check()
        assert [await _run_next(one) for _ in range(2)] == ["r3", "r2"]


async def test_made_up_ticks_take_no_place_in_the_queue_of_those_on_time(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "QUEUE_MAXIMUM", 2)
    async with server(state) as one:
        await _after_minutes(one, f"{MADE_UP}, overlap: queue", tmp_path, 5.5)
        await one.begin("r1")
        for seconds in (30, 60, 60):
            await one.tick(seconds)
        assert rows(state, "outcome, reason")[5:] == [
            ("WAITING", "run r1 of 2026-01-01T00:01:00Z has not ended (max_instances 1)"),
            ("WAITING", "run r1 of 2026-01-01T00:01:00Z has not ended (max_instances 1)"),
            ("SKIPPED", "2 firings of the item wait already"),
        ]
        assert [row[0] for row in rows(state, "outcome")[1:5]] == ["WAITING"] * 4


async def test_cancel_running_ends_a_made_up_run_but_none_that_waits(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await _after_minutes(one, f"{MADE_UP}, overlap: cancel_running", tmp_path, 3.5)
        assert [row[0] for row in rows(state, "outcome")] == ["QUEUED", "WAITING", "WAITING"]
        await one.begin("r1")
        await one.tick(30)
        assert one.runs.cancelled == [("r1", "replaced by the firing of 2026-01-01T00:04:00Z")]
        await one.end("r1", "CANCELLED", "replaced")
        await one.scheduler.check()
        assert [await _run_next(one) for _ in range(3)] == ["r4", "r2", "r3"]


async def test_more_instances_are_shared_by_both_and_those_on_time_go_first(
    tmp_path: Path, state: Path
) -> None:
    async with server(state) as one:
        await _after_minutes(one, f"{MADE_UP}, max_instances: 2", tmp_path, 4.5)
        assert list(one.runs.submitted) == ["r1", "r2"]
        await one.begin("r1")
        await one.begin("r2")
        await one.tick(30)
        await one.end("r2")
        await one.scheduler.check()
        assert list(one.runs.submitted) == ["r1", "r5"]
        await one.begin("r5")
        await one.tick(60)
        assert rows(state, "outcome")[5] == ("WAITING",), "it meets one made-up run and one on time"


async def test_a_firing_by_hand_goes_before_what_waits_to_be_made_up(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        file = await _after_minutes(one, MADE_UP, tmp_path, 3.5)
        await one.begin("r1")
        decider = FiringDecider("server:a", one.clock.now, one.clock.new_id)
        by_hand = await one.database.transact(lambda raw: decider.fire(raw, file.items["a"]))
        assert by_hand.outcome == "WAITING"
        await one.end("r1")
        await one.scheduler.check()
        assert list(one.runs.submitted) == [by_hand.run_id]


async def test_a_restart_in_the_middle_keeps_the_order(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        file = await _after_minutes(first, f"{MADE_UP}, overlap: queue", tmp_path, 3.5)
        await first.begin("r1")
        await first.tick(30)  # r4 waits, on time
        clock.advance(150)  # the server is dead; r5 and r6 will be made up
        await second.live()
        await second.scheduler.put(file)
        await second.tick()
        clock.advance(30)
        await second.tick()  # r7 is on time
        ran = [await _run_next(second) for _ in range(7)]
        names = dict(rows(state, "run_id, scheduled_at"))
        assert [names[run_id][3:5] for run_id in ran] == ["01", "04", "07", "02", "03", "05", "06"]


async def test_without_catch_up_a_queue_keeps_its_order(tmp_path: Path, state: Path) -> None:
    item = "id: a, cron: '* * * * *', coalesce: false, overlap: queue"
    async with server(state) as one:
        await _after_minutes(one, item, tmp_path, 3.5)
        await one.tick(30)
        assert [await _run_next(one) for _ in range(4)] == ["r1", "r2", "r3", "r4"]


async def test_a_tick_that_stands_for_several_is_not_skipped(tmp_path: Path, state: Path) -> None:
    """If it were, all that were coalesced into it would be lost with it."""
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, "id: a, cron: '* * * * *'"))
        await one.tick(60)
        await one.begin("r1")
        await one.tick(180)
        assert rows(state, "outcome, reason")[1:] == [
            ("SKIPPED", "one run stands for all ticks that were due at once"),
            ("SKIPPED", "one run stands for all ticks that were due at once"),
            ("WAITING", "run r1 of 2026-01-01T00:01:00Z has not ended (max_instances 1)"),
        ]
        await one.tick(60)
        assert rows(state, "outcome")[-1] == ("SKIPPED",), "one tick alone is skipped as ever"
