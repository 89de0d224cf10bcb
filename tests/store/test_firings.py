"""Firings in a real database: one row per tick, however many insert it; claims that survive their server."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from aetherflow.store import alerts as alerts_module
from aetherflow.store import firings as firings_module
from aetherflow.store import lease as leases
from aetherflow.store import schedule_items
from aetherflow.store.firing_history import newest_firings
from aetherflow.store.firings import Firing, NewFiring
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.real_parts import ELSEWHERE, T0


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    """A database of the current version, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(MIGRATIONS))
        yield connection


def queued(
    raw: sqlite3.Connection, *, minute: int = 0, item: str = "nightly", server: str = "server:a"
) -> Firing:
    """Insert a firing of the minute that a server has queued."""
    at = T0 + timedelta(minutes=minute)
    new = NewFiring("night", item, at, "tick", "QUEUED", run_id=f"{item}-{minute}", server=server)
    firing = firings_module.insert_firing(raw, new, at)
    assert firing is not None
    return firing


def alive(raw: sqlite3.Connection, server: str, owner: ProcessIdentity) -> None:
    """Give a server its lease."""
    assert isinstance(leases.acquire(raw, server, owner, server, now=T0, ttl_seconds=30), leases.Lease)


def test_a_tick_has_one_row_and_the_first_comer_makes_it(raw: sqlite3.Connection) -> None:
    first = queued(raw)
    again = NewFiring("night", "nightly", T0, "tick", "QUEUED", run_id="other", server="server:b")
    assert firings_module.insert_firing(raw, again, T0) is None
    assert firings_module.open_firings(raw, "night") == [first]
    assert (first.run_id, first.server, first.scheduled_at) == (
        "nightly-0",
        "server:a",
        "2026-01-01T00:00:00.000000Z",
    )
    assert (first.ticks, first.priority, first.due_at) == (1, 0, first.scheduled_at)  # unless it is said
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        raw.execute(
            "INSERT INTO firings (scheduler, item_id, scheduled_at, cause, decided_at, outcome, due_at) "
            "SELECT scheduler, item_id, scheduled_at, cause, decided_at, outcome, due_at FROM firings"
        )


def test_two_persons_may_fire_an_item_in_the_same_instant(raw: sqlite3.Connection) -> None:
    asked = [
        firings_module.insert_firing(
            raw, NewFiring("night", "nightly", T0, "manual", "QUEUED", run_id=str(n)), T0
        )
        for n in range(3)
    ]
    assert [firing.scheduled_at[-8:-1] for firing in asked if firing] == [".000000", ".000001", ".000002"]


def test_what_does_not_run_is_over_when_it_is_decided(raw: sqlite3.Connection) -> None:
    new = NewFiring("night", "nightly", T0, "tick", "MISSED", reason="late", ticks=12)
    firing = firings_module.insert_firing(raw, new, T0)
    assert firing is not None
    assert (firing.is_open, firing.reason, firing.ticks, firing.run_id) == (False, "late", 12, None)
    assert firings_module.open_firings(raw, "night") == []
    assert firings_module.last_firings(raw, "night") == {"nightly": firing}


def test_the_last_firing_is_the_one_of_the_newest_time_not_one_that_a_backfill_decided_later(
    raw: sqlite3.Connection,
) -> None:
    newest = queued(raw, minute=5)
    queued(raw, minute=1)
    other = firings_module.insert_firing(raw, NewFiring("night", "b", T0, "tick", "MISSED"), T0)
    firings_module.insert_firing(raw, NewFiring("day", "c", T0, "tick", "MISSED"), T0)
    assert firings_module.last_firings(raw, "night") == {"b": other, "nightly": newest}
    assert firings_module.last_firings(raw, "evening") == {}


def test_a_firing_begins_once_and_only_for_the_server_that_has_it(raw: sqlite3.Connection) -> None:
    firing = queued(raw)
    assert not firings_module.begin_firing(raw, firing.firing_id, "server:b", T0)
    assert firings_module.begin_firing(raw, firing.firing_id, "server:a", T0)
    assert not firings_module.begin_firing(raw, firing.firing_id, "server:a", T0)
    begun = firings_module.find_firing(raw, firing.firing_id)
    assert begun is not None
    assert (begun.outcome, begun.started_at) == ("RUNNING", "2026-01-01T00:00:00.000000Z")


def test_a_resumed_run_began_when_it_began(raw: sqlite3.Connection) -> None:
    firing, later = queued(raw), T0 + timedelta(seconds=13)
    assert firings_module.begin_firing(raw, firing.firing_id, "server:a", T0)
    assert firings_module.move_firing(
        raw, firing.firing_id, "server:a", "QUEUED", "its server died; the run is resumed"
    )
    assert firings_module.begin_firing(raw, firing.firing_id, "server:a", later)
    again = firings_module.find_firing(raw, firing.firing_id)
    assert again is not None
    assert again.started_at == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(("has_started", "second"), [(True, "00"), (False, "13")])
def test_a_run_that_was_put_off_before_it_began_begins_later(
    raw: sqlite3.Connection, second: str, *, has_started: bool
) -> None:
    firing, later = queued(raw), T0 + timedelta(seconds=13)
    assert firings_module.begin_firing(raw, firing.firing_id, "server:a", T0)
    assert not firings_module.postpone_firing(raw, firing.firing_id, "server:b", "", has_started=has_started)
    assert firings_module.postpone_firing(
        raw, firing.firing_id, "server:a", "a lock is held", has_started=has_started
    )
    waiting = firings_module.find_firing(raw, firing.firing_id)
    assert waiting is not None
    assert (waiting.outcome, waiting.reason) == ("WAITING", "a lock is held")
    assert firings_module.move_firing(raw, firing.firing_id, "server:a", "QUEUED")
    assert firings_module.begin_firing(raw, firing.firing_id, "server:a", later)
    begun = firings_module.find_firing(raw, firing.firing_id)
    assert begun is not None
    assert begun.started_at == f"2026-01-01T00:00:{second}.000000Z"


def test_a_firing_can_be_cancelled_until_it_begins(raw: sqlite3.Connection) -> None:
    waiting, begun = queued(raw), queued(raw, minute=1)
    assert firings_module.begin_firing(raw, begun.firing_id, "server:a", T0)
    assert firings_module.cancel_unstarted(raw, waiting.firing_id, "not needed", T0)
    assert not firings_module.cancel_unstarted(raw, waiting.firing_id, "again", T0)
    assert not firings_module.cancel_unstarted(raw, begun.firing_id, "too late", T0)
    found = [firings_module.find_firing(raw, firing.firing_id) for firing in (waiting, begun)]
    assert [(one.outcome, one.reason) for one in found if one] == [
        ("CANCELLED", "not needed"),
        ("RUNNING", ""),
    ]


def test_a_closed_firing_stays_as_it_ended(raw: sqlite3.Connection) -> None:
    firing = queued(raw)
    assert not firings_module.close_firing(raw, firing.firing_id, "server:b", "FAILED", "not mine", T0)
    assert firings_module.close_firing(raw, firing.firing_id, "server:a", "FAILED", "boom", T0)
    assert not firings_module.close_firing(raw, firing.firing_id, "server:a", "SUCCESS", "", T0)
    assert not firings_module.move_firing(raw, firing.firing_id, "server:a", "WAITING", "again")
    ended = firings_module.find_firing(raw, firing.firing_id)
    assert ended is not None
    assert (ended.outcome, ended.reason) == ("FAILED", "boom")


def test_a_run_and_its_firing_end_together_and_a_retry_changes_the_outcome(raw: sqlite3.Connection) -> None:
    firing = queued(raw)
    raw.execute(
        "INSERT INTO run_state VALUES ('nightly-0', 'f', 'f.yaml', 'RUNNING', 1, 'now', NULL, '{}', '', 'me')"
    )
    for status in ("FAILED", "RUNNING", "SUCCESS"):
        raw.execute("UPDATE run_state SET status = ?, finished_at = 'then', reason = 'so'", (status,))
        if status == "FAILED":
            assert firings_module.recorded_end(raw, "nightly-0") == ("FAILED", "so")
            failed = firings_module.find_firing(raw, firing.firing_id)
            assert failed is not None
            assert (failed.outcome, failed.finished_at, failed.reason) == ("FAILED", "then", "so")
    ended = firings_module.find_firing(raw, firing.firing_id)
    assert ended is not None
    assert ended.outcome == "SUCCESS"


def test_firings_of_dead_servers_are_taken_over_once(raw: sqlite3.Connection) -> None:
    dead = ProcessIdentity(this_process().host, 2**22 + 1, "1")
    alive(raw, "server:live", this_process())
    alive(raw, "server:far", ELSEWHERE)
    alive(raw, "server:dead", dead)
    kept = [queued(raw, server="server:live"), queued(raw, minute=1, server="server:far")]
    orphans = [queued(raw, minute=2, server="server:dead"), queued(raw, minute=3, server="")]
    queued(raw, minute=4, server="server:never-seen")
    other = NewFiring("other file", "x", T0, "tick", "QUEUED", run_id="x", server="server:dead")
    assert firings_module.insert_firing(raw, other, T0) is not None
    taken = firings_module.take_over(raw, "night", "server:live", T0)
    assert {firing.run_id for firing in taken} == {"nightly-2", "nightly-3", "nightly-4"}
    assert {firing.run_id for firing in orphans} <= {firing.run_id for firing in taken}
    assert firings_module.take_over(raw, "night", "server:live", T0) == []
    later = T0 + timedelta(seconds=31)  # the lease of the far host runs out, as does that of the live one
    assert [f.run_id for f in firings_module.take_over(raw, "night", "server:live", later)] == [
        kept[1].run_id
    ]


def test_items_continue_where_they_were_unless_they_are_defined_otherwise(raw: sqlite3.Connection) -> None:
    later = T0 + timedelta(hours=1)
    assert schedule_items.register_items(raw, "night", {"a": ("v1", T0), "b": ("v1", T0)}) == {
        "a": T0,
        "b": T0,
    }
    schedule_items.set_decided_to(raw, "night", [("a", T0 + timedelta(minutes=5))])
    assert schedule_items.register_items(raw, "night", {"a": ("v1", later), "b": ("v2", later)}) == {
        "a": T0 + timedelta(minutes=5),
        "b": later,
    }
    assert schedule_items.decided_to(raw, "night", ["a", "b", "c"]) == {
        "a": T0 + timedelta(minutes=5),
        "b": later,
    }


def test_what_is_not_over_counts(raw: sqlite3.Connection) -> None:
    first = queued(raw)
    second = queued(raw, minute=1)
    queued(raw, item="other")
    assert len(firings_module.open_firings(raw, "night", "nightly")) == 2
    assert firings_module.move_firing(raw, second.firing_id, "server:a", "WAITING", "for a lock")
    assert firings_module.close_firing(raw, first.firing_id, "server:a", "SUCCESS", "", T0)
    assert len(firings_module.open_firings(raw, "night", "nightly")) == 1
    window = firings_module.firings_between(raw, "night", "nightly", T0, T0 + timedelta(minutes=1))
    assert [firing.outcome for firing in window] == ["SUCCESS"]


def test_how_long_runs_took_is_known(raw: sqlite3.Connection) -> None:
    for minute in range(3):
        firing = queued(raw, minute=minute)
        begin = T0 + timedelta(minutes=minute)
        assert firings_module.begin_firing(raw, firing.firing_id, "server:a", begin)
        end = begin + timedelta(seconds=minute + 1)
        assert firings_module.close_firing(raw, firing.firing_id, "server:a", "SUCCESS", "", end)
    assert firings_module.run_seconds(raw, "night", "nightly", newest=2) == [3.0, 2.0]


def test_a_firing_that_was_opened_again_before_it_is_deleted_stays(raw: sqlite3.Connection) -> None:
    first, _ = queued(raw, minute=0), queued(raw, minute=1)
    firings_module.close_firing(raw, first.firing_id, "server:a", "FAILED", "", T0)
    before = T0 + timedelta(hours=1)
    old = firings_module.old_firings(raw, before)
    raw.execute("UPDATE firings SET finished_at = NULL WHERE firing_id = ?", (first.firing_id,))
    firings_module.delete_firings(raw, old, before)
    assert old == [first.firing_id]
    assert firings_module.find_firing(raw, first.firing_id) is not None


def test_old_firings_go_but_the_last_of_each_item_and_what_is_open(raw: sqlite3.Connection) -> None:
    for minute in range(4):
        firing = queued(raw, minute=minute)
        if minute != 1:
            assert firings_module.close_firing(
                raw, firing.firing_id, "server:a", "SUCCESS", "", T0 + timedelta(minutes=minute)
            )
    before = T0 + timedelta(hours=1)
    old = firings_module.old_firings(raw, before)
    firings_module.delete_firings(raw, range(1, 9), before)
    left = raw.execute("SELECT run_id FROM firings ORDER BY 1").fetchall()
    assert left == [("nightly-1",), ("nightly-3",)]
    assert len(old) == 2
    assert firings_module.old_firings(raw, T0) == []


def test_the_firing_of_the_newest_time_stays_also_if_a_backfill_decided_older_ones_later(
    raw: sqlite3.Connection,
) -> None:
    for minute in (3, 0, 1):
        firing = queued(raw, minute=minute)
        firings_module.close_firing(raw, firing.firing_id, "server:a", "SUCCESS", "", T0)
    before = T0 + timedelta(hours=1)
    firings_module.delete_firings(raw, firings_module.old_firings(raw, before), before)
    assert raw.execute("SELECT run_id FROM firings").fetchall() == [("nightly-3",)]


def test_what_is_read_every_second_or_for_a_status_reads_no_past(raw: sqlite3.Connection) -> None:
    for minute in range(3000):
        new = NewFiring("night", f"i{minute % 3}", T0 + timedelta(minutes=minute), "tick", "MISSED")
        firings_module.insert_firing(raw, new, T0)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    raw.set_progress_handler(count, 10)
    assert len(firings_module.last_firings(raw, "night")) == 3
    assert len(alerts_module.firings_from(raw, "night", 2999)) == 2
    assert firings_module.open_firings(raw, "night") == []
    assert steps < 100  # a scan takes thousands


def test_firings_with_some_outcomes_are_listed_once_and_the_newest_first(raw: sqlite3.Connection) -> None:
    for minute in range(6):
        queued(raw, minute=minute)
    outcomes = ("FAILED", "SUCCESS", "MISSED")
    raw.executemany(
        "UPDATE firings SET outcome = ? WHERE run_id = ?",
        [(outcomes[minute % 3], f"nightly-{minute}") for minute in range(6)],
    )

    def listed(*wanted: str) -> list[str | None]:
        return [one.run_id for one in newest_firings(raw, "night", "nightly", outcomes=wanted)]

    assert listed() == [f"nightly-{minute}" for minute in (5, 4, 3, 2, 1, 0)]
    assert listed("FAILED", "SUCCESS") == [f"nightly-{minute}" for minute in (4, 3, 1, 0)]
    assert listed("SUCCESS", "FAILED", "SUCCESS", "FAILED") == listed("FAILED", "SUCCESS")
    assert listed("SKIPPED") == []
