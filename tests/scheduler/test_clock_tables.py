"""Whole lives of schedulers, generated: every tick ran exactly once or has a row with a true reason."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from aetherflow.scheduler import overlap
from aetherflow.scheduler.server_clocks import ServerClocks
from tests.schedule.seeds import drawn_seed
from tests.scheduler.clock_lives import PauseChange, Story, database_in_memory, live, schedules
from tests.scheduler.clock_model import problems
from tests.scheduler.drawn_lives import Event, Life, Spec, draw_life, draw_pair, draw_rich_life, without
from tests.sizes import LARGE

pytestmark = pytest.mark.asyncio
LIVES = 25_000 if LARGE else 240
"""In each of four parts."""
OFFSETS = (0, 0, 1, -1, 2)
"""How far the clock of a server is ahead when it starts, in seconds."""
JUMPS = (1, -1, 2, -2)
WRONG_OFFSETS = (0, 0, 0, 600, 7200, -900)
WRONG_JUMPS = (1, -1, 400, 2000, 7000, -400, -3000)


@pytest_asyncio.fixture
async def raw(tmp_path: Path) -> AsyncIterator[sqlite3.Connection]:
    """Return a state database in memory."""
    with closing(await database_in_memory(tmp_path)) as connection:
        yield connection


async def _story(raw: sqlite3.Connection, folder: Path, life: Life, *, compares: bool = False) -> Story:
    (file,) = schedules(folder, [life])
    return await live(raw, life, file, compares=compares)


async def _minimal(raw: sqlite3.Connection, folder: Path, life: Life, *, compares: bool) -> str:
    """Leave out events as long as something is wrong; return what is left, for people."""
    place = len(life.events)
    while place > 1:  # the first server is needed: the model expects its ticks
        place -= 1
        if problems(await _story(raw, folder, shorter := without(life, place), compares=compares)):
            life = shorter
    found = problems(await _story(raw, folder, life, compares=compares))
    lines = [f"life {life.number}", str(life.spec), *map(str, life.events), *found]
    return "\n".join([*lines, f"runs take {life.durations}, until {life.end}"])


async def _judge(raw: sqlite3.Connection, folder: Path, lives: list[Life], *, compares: bool = False) -> None:
    for begin in range(0, len(lives), 250):
        some = lives[begin : begin + 250]
        for life, file in zip(some, schedules(folder, some), strict=True):
            if problems(await live(raw, life, file, compares=compares)):
                pytest.fail(await _minimal(raw, folder, life, compares=compares), pytrace=False)


@pytest.mark.sized
@pytest.mark.parametrize("part", range(4))
async def test_every_tick_ran_once_or_has_a_row_with_a_true_reason(
    raw: sqlite3.Connection, tmp_path: Path, part: int
) -> None:
    """Servers are started, killed, cut off, stopped and suspended, and their clocks differ a little."""
    first = drawn_seed() * 1_000_000 + part * LIVES
    await _judge(raw, tmp_path, [draw_life(first + number, OFFSETS, JUMPS) for number in range(LIVES)])


@pytest.mark.sized
async def test_a_clock_that_is_wrong_loses_no_tick(raw: sqlite3.Connection, tmp_path: Path) -> None:
    """One server, whose clock may be hours ahead or behind when it starts, or jump so far."""
    first = drawn_seed() * 1_000_000 + 500_000
    numbers = [784, 2303, *range(first, first + 20 * LIVES // 50)]
    lives = [_of_one_server(draw_life(number, WRONG_OFFSETS, WRONG_JUMPS)) for number in numbers]
    await _judge(raw, tmp_path, lives)


def _of_one_server(life: Life) -> Life:
    return replace(life, events=tuple(event._replace(server=0) for event in life.events))


@pytest.mark.sized
async def test_pauses_jitter_and_calendars_lose_no_tick(raw: sqlite3.Connection, tmp_path: Path) -> None:
    first = drawn_seed() * 1_000_000 + 600_000
    numbers = [2066, *range(first, first + LIVES // 3)]
    lives = [draw_rich_life(number, OFFSETS, JUMPS) for number in numbers]
    await _judge(raw, tmp_path, lives)


@pytest.mark.sized
async def test_pauses_and_jitter_with_a_wrong_clock_lose_no_tick(
    raw: sqlite3.Connection, tmp_path: Path
) -> None:
    first = drawn_seed() * 1_000_000 + 700_000
    numbers = [313, 383, 400_647, *range(first, first + LIVES // 5)]
    lives = [_of_one_server(draw_rich_life(number, WRONG_OFFSETS, WRONG_JUMPS)) for number in numbers]
    await _judge(raw, tmp_path, lives)


@pytest.mark.sized
async def test_servers_whose_clocks_differ_widely_lose_no_tick(
    raw: sqlite3.Connection, tmp_path: Path
) -> None:
    """They compare their clocks, and one that is off decides nothing."""
    first = drawn_seed() * 1_000_000 + 800_000
    lives = [draw_pair(first + number, WRONG_OFFSETS, WRONG_JUMPS) for number in range(LIVES // 50)]
    await _judge(raw, tmp_path, lives, compares=True)


HOURLY = Spec((0,), 3600, 300, "all", None, 100, coalesce=True, overlap="skip", instances=1)
A_NIGHT = Life(
    0, HOURLY, (Event(0, "start", 0), Event(4000, "kill", 0), Event(15_000, "start", 0)), (4000,), 30_000
)
"""Four ticks are made up for, with runs that are longer than the time between two ticks."""


def _lost(story: Story) -> None:
    del story.rows[3]


def _said_late(story: Story) -> None:
    row = story.rows[2]
    story.rows[2] = (
        *row[:3],
        "MISSED",
        None,
        row[5],
        "late by more than misfire_grace_time, 300 s",
        *row[7:],
    )


def _ran_twice(story: Story) -> None:
    start = story.starts[-1]
    story.starts.append(start._replace(number=start.number + 1))


def _said_met(story: Story) -> None:
    row, other = story.rows[-1], story.rows[0]
    reason = f"run {other[4]} of 2026-01-01T01:00:00Z has not ended (max_instances 1)"
    story.rows[-1] = (*row[:3], "SKIPPED", None, row[5], reason, *row[7:])


def _was_paused(story: Story) -> None:
    story.pauses.append(PauseChange(0, 0, None))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_was_paused, "it was paused"),
        (_lost, "has 0 rows"),
        (_said_late, "but late ticks are caught up"),
        (_ran_twice, "it ran twice"),
        (_said_met, "but it was not open"),
    ],
)
async def test_the_model_notices(
    raw: sqlite3.Connection, tmp_path: Path, spoil: Callable[[Story], None], said: str
) -> None:
    story = await _story(raw, tmp_path, A_NIGHT)
    assert problems(story) == []
    assert len(story.starts) > 5
    spoil(story)
    assert any(said in problem for problem in problems(story))


async def test_the_model_notices_a_tick_that_waits_for_those_made_up_for(
    raw: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overlap, "is_made_up", lambda *_: False)
    story = await _story(raw, tmp_path, A_NIGHT)
    found = "\n".join(problems(story))
    assert "a tick on time waits for it" in found


async def test_the_model_notices_a_server_whose_clock_is_off_and_decides(
    raw: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = (Event(0, "start", 0), Event(100, "start", 1, 7200))
    life = replace(A_NIGHT, events=events, durations=(60,), end=8000)
    assert problems(await _story(raw, tmp_path, life, compares=True)) == []
    monkeypatch.setattr(ServerClocks, "standby", lambda _: "")
    found = "\n".join(problems(await _story(raw, tmp_path, life, compares=True)))
    assert "a server decided it whose clock was" in found
