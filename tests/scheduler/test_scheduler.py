"""The scheduler by a clock that the test moves: what fires, what waits, what does not run, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.errors import AetherFlowError
from aetherflow.events.schedule_events import FiringScheduled
from aetherflow.scheduler import overlap
from aetherflow.scheduler.firing_decision import FiringDecider
from tests.scheduler.scheduler_parts import CountingClock, rows, schedule, server

pytestmark = pytest.mark.asyncio
EVERY_MINUTE = "id: a, cron: '* * * * *'"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


async def test_an_item_fires_once_per_tick_with_its_run_id_fixed(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(59)
        assert rows(state) == []
        await one.tick(1)
        assert rows(state, "item_id, scheduled_at, decided_at, outcome, run_id, cause") == [
            ("a", "00:01:00", "00:01:00", "QUEUED", "r1", "tick")
        ]
        assert await one.begin("r1")
        await one.end("r1")
        await one.tick(30)
        await one.tick(30)
        assert [row[2] for row in rows(state)] == ["SUCCESS", "QUEUED"]
        assert one.events() == ["firing_scheduled", "firing_finished", "firing_scheduled"]


async def test_a_second_server_finds_the_tick_decided(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        for one in (first, second):
            await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        clock.advance(60)
        await first.live()
        await first.fire_due()
        await second.fire_due()
        await second.scheduler.check()
        assert rows(state, "scheduled_at, server") == [("00:01:00", "server:a")]
        assert second.runs.submitted == {}
        clock.advance(60)
        await second.fire_due()
        await first.fire_due()
        assert [row[1] for row in rows(state, "scheduled_at, outcome")] == ["QUEUED", "SKIPPED"]


async def test_overlap_skip_says_which_run_has_not_ended(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await one.tick(60)
        assert await one.begin("r1")
        await one.tick(60)
        reason = "run r1 of 2026-01-01T00:01:00Z has not ended (max_instances 1)"
        assert rows(state, "outcome, run_id, reason")[1] == ("SKIPPED", None, reason)
        assert one.events() == ["firing_scheduled", "firing_missed"]


async def test_overlap_queue_runs_what_waited_in_order(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", overlap: queue"))
        for _ in range(3):
            await one.tick(60)
        assert list(one.runs.submitted) == ["r1"]
        assert [row[1] for row in rows(state, "scheduled_at, outcome")] == ["QUEUED", "WAITING", "WAITING"]
        assert await one.begin("r1")
        await one.end("r1")
        await one.tick()
        assert list(one.runs.submitted) == ["r2"]
        assert await one.begin("r2")
        await one.end("r2", "FAILED", "boom")
        await one.tick()
        assert list(one.runs.submitted) == ["r3"]
        assert rows(state, "outcome, reason")[1] == ("FAILED", "boom")


async def test_so_many_wait_and_no_more(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "QUEUE_MAXIMUM", 2)
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", overlap: queue"))
        for _ in range(4):
            await one.tick(60)
        assert rows(state, "outcome, run_id, reason")[2:] == [
            ("WAITING", "r3", "run r1 of 2026-01-01T00:01:00Z has not ended (max_instances 1)"),
            ("SKIPPED", None, "2 firings of the item wait already"),
        ]


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_a_run_that_cannot_start_yet_waits_and_is_tried_again(
    tmp_path: Path, state: Path, *, is_resumed: bool
) -> None:
    """A run that is resumed has begun, and keeps the time of that."""
    clock = CountingClock()
    async with server(state, "a", clock) as first, server(state, "b", clock) as second:
        for one in (first, second):
            await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        await first.tick(60)
        assert await first.begin("r1")
        if is_resumed:
            clock.advance(31)  # the first server is paused for longer than its lease
            await second.live()
            await second.scheduler.check()
            assert await second.begin("r1")
        one = second if is_resumed else first
        await one.end("r1", "POSTPONED", "a lock is held")
        began = "00:01:00" if is_resumed else None
        assert rows(state, "outcome, reason, started_at")[0] == ("WAITING", "a lock is held", began)
        await one.scheduler.check()
        assert one.runs.submitted["r1"][2] == is_resumed


async def test_a_new_tick_does_not_overtake_what_waits(tmp_path: Path, state: Path) -> None:
    """Between the end of a run and the next look a tick is decided: the oldest still goes first."""
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", overlap: queue"))
        await one.tick(60)
        await one.tick(60)
        await one.begin("r1")
        await one.end("r1")
        one.clock.advance(60)
        await one.fire_due()
        assert rows(state, "outcome, reason")[2] == (
            "WAITING",
            "run r2 of 2026-01-01T00:02:00Z waits; the oldest goes first (max_instances 1)",
        )
        for run_id in ("r2", "r3"):
            await one.scheduler.check()
            assert list(one.runs.submitted) == [run_id]
            await one.begin(run_id)
            await one.end(run_id)


async def test_max_instances_lets_so_many_run(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", max_instances: 2"))
        for _ in range(3):
            await one.tick(60)
        assert [row[0] for row in rows(state, "outcome")] == ["QUEUED", "QUEUED", "SKIPPED"]


async def test_overlap_cancel_running_asks_the_run_to_end_and_then_starts(
    tmp_path: Path, state: Path
) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", overlap: cancel_running"))
        await one.tick(60)
        assert await one.begin("r1")
        await one.tick(60)
        assert one.runs.cancelled == [("r1", "replaced by the firing of 2026-01-01T00:02:00Z")]
        assert rows(state, "outcome, run_id")[1] == ("WAITING", "r2")
        await one.end("r1", "CANCELLED", "replaced")
        await one.tick()
        assert list(one.runs.submitted) == ["r2"]


async def test_overlap_cancel_running_drops_what_has_not_begun(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", overlap: cancel_running"))
        await one.tick(60)
        await one.tick(60)
        assert rows(state, "outcome, run_id") == [("CANCELLED", "r1"), ("QUEUED", "r2")]
        assert not await one.begin("r1")
        assert await one.begin("r2")


async def test_a_firing_that_cannot_be_taken_is_tried_again(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE))
        one.runs.refuse = AetherFlowError("10000 runs wait already")
        await one.tick(60)
        assert rows(state, "outcome, reason") == [("QUEUED", "10000 runs wait already")]
        one.runs.refuse = None
        await one.tick(1)
        assert list(one.runs.submitted) == ["r1"]


async def test_a_disabled_item_does_not_fire_nor_make_up_for_it_later(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", enabled: false, catch_up: all"))
        await one.tick(600)
        await one.scheduler.put(schedule(tmp_path, EVERY_MINUTE + ", catch_up: all"))
        await one.tick(0)
        assert rows(state) == []
        await one.tick(60)
        assert rows(state) == [("a", "00:11:00", "QUEUED")]


async def test_an_item_that_left_the_file_leaves_no_firing_behind(tmp_path: Path, state: Path) -> None:
    text = EVERY_MINUTE + ", overlap: queue"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text + "\nid: b, cron: '@daily'"))
        await one.tick(60)
        await one.tick(60)
        changes = await one.scheduler.put(schedule(tmp_path, "id: b, cron: '@daily'"))
        assert (changes.added, changes.removed, changes.changed) == ([], ["a"], [])
        await one.begin("r1")
        await one.end("r1")
        await one.tick(60)
        assert [row[1] for row in rows(state, "scheduled_at, outcome")] == ["SUCCESS", "SKIPPED"]


async def test_one_moment_fires_once_and_is_never_forgotten(tmp_path: Path, state: Path) -> None:
    text = (
        "id: soon, at: '2026-01-01T00:30'\nid: late, at: '2025-12-31T23:58'\nid: gone, at: '2025-12-30T23:00'"
    )
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(1)
        assert {(row[0], row[2]) for row in rows(state)} == {("late", "QUEUED"), ("gone", "MISSED")}
        await one.tick(1800)
        await one.tick(86400)
        assert len(rows(state)) == 3


async def test_a_firing_by_hand_that_must_wait_is_reported_as_one(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        file = schedule(tmp_path, EVERY_MINUTE + ", overlap: queue")
        await one.scheduler.put(file)
        await one.tick(60)
        decider = FiringDecider("", one.clock.now, one.clock.new_id)
        await one.database.transact(lambda raw: decider.fire(raw, file.items["a"]))
        one.events()
        await one.scheduler.check()
        (reported,) = one.reported
        assert isinstance(reported, FiringScheduled)
        assert (reported.outcome, reported.cause) == ("WAITING", "manual")
