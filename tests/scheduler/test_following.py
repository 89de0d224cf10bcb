"""Items that follow others: when they start, what they wait for, and what keeps them from running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow.scheduler.firing_decision import FiringDecider
from tests.scheduler.scheduler_parts import CountingClock, Server, rows, schedule, server

pytestmark = pytest.mark.asyncio
CHAIN = "id: a, cron: '0 1 * * *'\nid: b, after: [a]\nid: c, after: [b]"
HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


async def run(one: Server, item: str, outcome: str = "SUCCESS") -> None:
    """Begin and end the only run that was submitted, of an item."""
    (run_id,) = one.runs.submitted
    assert one.runs.submitted[run_id][0].id == item
    assert await one.begin(run_id)
    await one.end(run_id, outcome)
    await one.tick()
    await one.tick()  # what follows is judged in the order of the times, not of who follows whom


def outcomes(state: Path, of: str = "cba") -> dict[str, Any]:
    """Return what became of the last firing of some items."""
    return {
        item: (outcome, why) for item, outcome, why in rows(state, "item_id, outcome, reason") if item in of
    }


async def test_what_follows_waits_for_the_same_day_and_starts_when_all_succeeded(
    tmp_path: Path, state: Path
) -> None:
    text = "id: a, cron: '0 1 * * *'\nid: b, cron: '0 2 * * *'\nid: c, after: [a, b]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(24 * 3600)
        assert rows(state)[-1] == ("c", "00:00:00", "WAITING")
        assert rows(state, "reason")[-1] == ("waits for a, b",)
        await one.tick(3600)
        run_a = next(iter(set(one.runs.submitted)))
        await one.begin(run_a)
        await one.tick()
        await one.end(run_a)
        await one.tick()
        assert ("waits for b",) in rows(state, "reason")
        await one.tick(3600)
        (run_b,) = one.runs.submitted
        await one.begin(run_b)
        await one.end(run_b)
        await one.tick()
        (run_c,) = one.runs.submitted
        assert one.runs.submitted[run_c][0].id == "c"


async def test_a_predecessor_that_failed_keeps_its_follower_from_running(tmp_path: Path, state: Path) -> None:
    text = "id: a, cron: '0 1 * * *'\nid: b, cron: '0 3 * * *', after: [a]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(3600)
        await one.begin("r1")
        await one.end("r1", "FAILED", "boom")
        await one.tick(2 * 3600)
        assert rows(state, "item_id, outcome, reason")[-1] == (
            "b",
            "SKIPPED",
            "a ended FAILED that day (run r1)",
        )


async def test_a_follower_whose_day_is_over_is_missed(tmp_path: Path, state: Path) -> None:
    text = "id: a, cron: '0 1 2 1 *'\nid: b, cron: '0 22 1 1 *', after: [a]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text, "timezone: Europe/Berlin"))
        await one.tick(21 * 3600)
        assert rows(state) == [("b", "21:00:00", "WAITING")]
        await one.tick(2 * 3600 - 1)
        assert rows(state)[0][2] == "WAITING"
        await one.tick(1)
        assert rows(state, "item_id, outcome, reason")[0] == ("b", "MISSED", "a did not succeed that day")
        assert "firing_missed" in one.events()


async def test_a_chain_runs_one_after_the_other(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, CHAIN))
        await one.tick(DAY)
        await one.tick(HOUR)
        for item in "abc":
            await run(one, item)
        assert outcomes(state) == dict.fromkeys("abc", ("SUCCESS", ""))


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELLED", "SKIPPED"])  # the last: a lock was held
@pytest.mark.parametrize("times", ["", "cron: '0 0 * * *', ", "cron: '0 3 * * *', "])
async def test_what_did_not_succeed_keeps_the_whole_chain_from_running(
    tmp_path: Path, state: Path, outcome: str, times: str
) -> None:
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, CHAIN.replace("id: b, ", f"id: b, {times}")))
        await one.tick(DAY)
        await one.tick(HOUR)
        await run(one, "a", outcome)
        await one.tick(2 * HOUR)
        await one.tick()
        assert one.runs.submitted == {}
        found = outcomes(state)
        run_of_a = [row[1] for row in rows(state, "item_id, run_id") if row[0] == "a"][-1]
        of_run = "" if outcome == "SKIPPED" else f" (run {run_of_a})"
        assert found["b"] == ("SKIPPED", f"a ended {outcome} that day{of_run}")
        assert found["c"] == ("SKIPPED", "b ended SKIPPED that day")


async def test_what_was_missed_keeps_the_chain_from_running(tmp_path: Path, state: Path) -> None:
    text = CHAIN.replace("0 1 * * *", "0 1 1 2 *")  # not today
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(DAY)
        await one.tick(DAY)
        await one.tick()
        assert one.runs.submitted == {}
        days = [row for row in rows(state, "item_id, outcome, reason") if row[1] != "WAITING"]
        assert days == [
            ("b", "MISSED", "a did not succeed that day"),
            ("c", "MISSED", "b ended MISSED that day"),
        ]


async def test_what_another_firing_stands_for_does_not_count(tmp_path: Path, state: Path) -> None:
    """A tick that overlap skipped says nothing: the run that was open then does."""
    text = "id: a, cron: '0,1 1 * * *'\nid: b, cron: '5 1 * * *', after: [a]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(HOUR)
        await one.tick(60)
        await one.tick(240)
        assert [row[1] for row in rows(state, "item_id, outcome")] == ["QUEUED", "SKIPPED", "WAITING"]
        await run(one, "a")
        await run(one, "b")


async def test_a_run_that_is_open_at_the_end_of_the_day_is_waited_for(tmp_path: Path, state: Path) -> None:
    text = "id: a, cron: '30 23 * * *'\nid: b, cron: '0 1 * * *', after: [a]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(HOUR)
        await one.tick(22 * HOUR + 1800)
        await one.tick(40 * 60)  # it is 00:10 of the next day
        assert outcomes(state, "b") == {"b": ("WAITING", "waits for a")}
        await run(one, "a")
        await run(one, "b")


@pytest.mark.parametrize("delay", ["jitter_seconds: 3600", "catch_up: latest"])
async def test_a_tick_that_is_decided_after_its_day_is_waited_for(
    tmp_path: Path, state: Path, delay: str
) -> None:
    """Jitter, or servers that were down, move a firing to the next day: it is one of its day all the same."""
    text = f"id: a, cron: '59 23 * * *', {delay}\nid: b, cron: '0 1 * * *', after: [a]"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(HOUR)
        one.clock.advance(23 * HOUR + 30)
        await one.scheduler.check()  # the other task of the scheduler comes first
        assert outcomes(state, "b") == {"b": ("WAITING", "waits for a")}
        one.clock.advance(HOUR - 31)
        await one.tick()
        await run(one, "a")
        await run(one, "b")


async def test_a_tick_that_is_due_with_it_is_waited_for(tmp_path: Path, state: Path) -> None:
    text = "id: a, cron: '0 1,2 * * *'\nid: b, cron: '0 2 * * *', after: [a]"
    async with server(state) as one:
        file = schedule(tmp_path, text)
        await one.scheduler.put(file)
        await one.tick(HOUR)
        await run(one, "a")
        one.clock.advance(HOUR)
        one.scheduler.timetable.due_queue.remove(file)
        one.scheduler.timetable.due_queue.put_due(
            file.items["b"], one.clock.now()
        )  # whichever is decided first
        await one.tick()
        assert outcomes(state, "b") == {"b": ("WAITING", "waits for a")}


async def test_without_a_time_of_its_own_an_item_is_due_all_day(tmp_path: Path, state: Path) -> None:
    """No server ran at midnight: what only follows others is not late, whatever its grace."""
    text = "id: a, cron: '0 4 * * *'\nid: b, after: [a]\nid: c, cron: '0 0 * * *', after: [a]"
    clock = CountingClock()
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, text, "timezone: Europe/Berlin"))
        await one.tick(22 * HOUR)
    clock.advance(4 * HOUR)  # it is 03:00 in Berlin
    async with server(state, "b", clock) as one:
        await one.scheduler.put(schedule(tmp_path, text, "timezone: Europe/Berlin"))
        await one.tick()
        assert outcomes(state) == {
            "a": ("MISSED", "late by more than misfire_grace_time, 300 s"),
            "b": ("WAITING", "waits for a"),
            "c": ("MISSED", "late by more than misfire_grace_time, 300 s"),
        }
        await one.tick(HOUR)
        await run(one, "a")
        await run(one, "b")


async def test_of_the_days_without_a_server_only_this_one_is_made_up_for(tmp_path: Path, state: Path) -> None:
    clock = CountingClock()
    text = "id: a, cron: '0 4 * * *'\nid: b, after: [a]"
    async with server(state, "a", clock) as one:
        await one.scheduler.put(schedule(tmp_path, text))
    clock.advance(3 * DAY + HOUR)
    async with server(state, "b", clock) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick()
        over = "its day was over before a server could run it"
        assert [row[1:] for row in rows(state, "item_id, outcome, reason") if row[0] == "b"] == [
            ("MISSED", over),
            ("MISSED", over),
            ("WAITING", "waits for a"),
        ]


@pytest.mark.parametrize("rule", ["skip", "queue", "cancel_running"])
async def test_what_waits_or_runs_since_yesterday_does_not_keep_today_from_waiting(
    tmp_path: Path, state: Path, rule: str
) -> None:
    """An item without a time of its own ticks at midnight, when the one of the day before may not be over."""
    text = f"id: a, cron: '30 23 * * *'\nid: b, after: [a], overlap: {rule}"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(DAY - 1800)
        await run_until_after_midnight(one)
        assert one.runs.submitted == {}, "b is new: it has no tick before midnight"
        for _ in range(2):
            await one.tick(22 * HOUR)
            await run_until_after_midnight(one)
            (run_of_b,) = one.runs.submitted
            assert await one.begin(run_of_b)
            await one.end(run_of_b)
        ended = [row[1] for row in rows(state, "item_id, outcome") if row[0] == "b"]
        assert ended == ["SUCCESS", "SUCCESS", "WAITING"]


async def test_what_followed_ends_the_run_of_the_day_before_when_its_turn_comes(
    tmp_path: Path, state: Path
) -> None:
    text = "id: a, cron: '0 1 * * *'\nid: b, after: [a], overlap: cancel_running"
    async with server(state) as one:
        await one.scheduler.put(schedule(tmp_path, text))
        await one.tick(DAY)
        await one.tick(HOUR)
        await run(one, "a")
        (first,) = one.runs.submitted
        assert await one.begin(first)
        await one.tick(23 * HOUR)
        assert one.runs.cancelled == [], "what waits for a cancels nothing yet"
        await one.tick(HOUR)
        (run_of_a,) = set(one.runs.submitted) - {first}
        assert await one.begin(run_of_a)
        await one.end(run_of_a)
        await one.tick()
        await one.tick()
        assert {run for run, _ in one.runs.cancelled} == {first}
        await one.end(first, "CANCELLED")
        await one.tick()
        await run(one, "b")


async def run_until_after_midnight(one: Server) -> None:
    """Let the run of item a, which was submitted at 23:30, end at 01:30."""
    (run_of_a,) = one.runs.submitted
    assert await one.begin(run_of_a)
    await one.tick(1800)
    await one.tick(1.5 * HOUR)
    await one.end(run_of_a)
    await one.tick()


async def test_by_hand_an_item_runs_also_while_it_waits_for_others(tmp_path: Path, state: Path) -> None:
    async with server(state) as one:
        file = schedule(tmp_path, "id: a, cron: '0 4 * * *'\nid: b, after: [a]")
        await one.scheduler.put(file)
        await one.tick(DAY)
        decider = FiringDecider("", one.clock.now, one.clock.new_id)
        await one.database.transact(lambda raw: decider.fire(raw, file.items["b"]))
        await one.tick()
        found = rows(state, "item_id, cause, outcome")
        assert found[1:] == [("b", "tick", "WAITING"), ("b", "manual", "QUEUED")]
