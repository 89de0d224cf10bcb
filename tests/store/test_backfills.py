"""Backfills in a real database: their progress in words, and when they are deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from aetherflow.store.backfills import (
    Backfill,
    backfills,
    cancel_backfill,
    delete_old_backfills,
    finish_backfill,
    insert_backfill,
    progress,
)
from aetherflow.store.firings import (
    FiringOutcome,
    NewFiring,
    begin_firing,
    close_firing,
    find_firing,
    firing_at,
    insert_firing,
    reopen_firing,
)
from aetherflow.store.projection import timestamp
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.real_parts import T0

DAY = timedelta(days=1)
S = "server:a"


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    """A database of the current version, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(MIGRATIONS))
        yield connection


def requested(raw: sqlite3.Connection, name: str = "b1", ticks: int = 5) -> Backfill:
    """Insert a backfill of so many days."""
    begin, end = timestamp(T0), timestamp(T0 + ticks * DAY)
    asked = timestamp(T0 + 9 * DAY)
    new = Backfill(name, "night", "a", begin, end, begin, "all", None, ticks, "{}", asked, "anna@host")
    insert_backfill(raw, new)
    return new


def fired(raw: sqlite3.Connection, day: int, outcome: FiringOutcome, reason: str = "") -> int:
    """Insert the firing of a day, and bring it to an outcome."""
    new = NewFiring(
        "night", "a", T0 + day * DAY, "backfill", "QUEUED", run_id=f"r{day}", server=S, backfill="b1"
    )
    firing = insert_firing(raw, new, T0)
    assert firing is not None
    if outcome == "WAITING":
        raw.execute(
            "UPDATE firings SET outcome = 'WAITING', reason = ? WHERE run_id = ?", (reason, f"r{day}")
        )
    else:
        assert begin_firing(raw, firing.firing_id, S, T0)
        if outcome != "RUNNING":
            assert close_firing(raw, firing.firing_id, S, outcome, reason, T0)
    return firing.firing_id


def test_the_ticks_are_counted_by_their_outcome(raw: sqlite3.Connection) -> None:
    one = requested(raw)
    assert progress(raw, one).counts == "0 succeeded, 0 failed, 5 left of 5"
    fired(raw, 0, "SUCCESS")
    fired(raw, 1, "FAILED", "step s failed")
    fired(raw, 2, "WAITING", "paused by anna")
    found = progress(raw, one)
    assert (found.counts, found.reason) == ("1 succeeded, 1 failed, 3 left of 5", "paused by anna")
    fired(raw, 3, "RUNNING")
    found = progress(raw, one)
    assert (found.counts, found.reason) == ("1 succeeded, 1 failed, 1 running, 2 left of 5", "")


def test_cancel_ends_what_waits_requests_the_end_of_what_runs_and_keeps_what_is_over(
    raw: sqlite3.Connection,
) -> None:
    requested(raw)
    done, waits, runs = (fired(raw, number, outcome) for number, outcome in enumerate(OUTCOMES))
    cancel_backfill(raw, "b1", "backfill b1 was cancelled by bob", T0)
    (one,) = backfills(raw)
    assert backfills(raw, active=True) == []
    found = progress(raw, one)
    assert found.state == "cancelled"
    assert found.counts == "1 succeeded, 0 failed, 1 cancelled, 1 running, 2 left of 5"
    firings = [find_firing(raw, number) for number in (done, waits, runs)]
    assert [firing and firing.outcome for firing in firings] == ["SUCCESS", "CANCELLED", "RUNNING"]
    assert firings[2] is not None
    assert firings[2].cancel_reason == "backfill b1 was cancelled by bob"
    assert close_firing(raw, runs, S, "CANCELLED", "cancelled", T0)
    assert progress(raw, one).reason == "cancelled"


OUTCOMES: tuple[FiringOutcome, ...] = ("SUCCESS", "WAITING", "RUNNING")


def test_a_tick_that_another_request_took_is_not_counted_twice(raw: sqlite3.Connection) -> None:
    one, later = requested(raw, ticks=1), requested(raw, "b2", ticks=1)
    fired(raw, 0, "FAILED")
    ended = finish_backfill(raw, one, T0, is_done=True)
    assert progress(raw, ended).counts == "0 succeeded, 1 failed of 1"
    failed = firing_at(raw, "night", "a", T0)
    assert failed is not None
    new = NewFiring("night", "a", T0, "backfill", "QUEUED", run_id="r0", server=S, backfill="b2")
    reopen_firing(raw, failed, new, T0)
    assert progress(raw, ended).counts == "0 succeeded, 0 failed of 1; 1 no longer in it"
    assert progress(raw, later).counts == "0 succeeded, 0 failed, 1 left of 1"


def test_a_prune_deletes_those_that_were_over_before_its_time(raw: sqlite3.Connection) -> None:
    old, new = requested(raw, "old"), requested(raw, "new")
    requested(raw, "active")
    finish_backfill(raw, old, T0, is_done=True)
    finish_backfill(raw, new, T0 + 5 * DAY, is_done=False)
    assert delete_old_backfills(raw, T0 + DAY) == 1
    assert {one.backfill for one in backfills(raw)} == {"new", "active"}
