"""Alerts in a real database: stored once, and deleted with what they are about."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

import pytest

from aetherflow.events.schedule_events import AlertKind
from aetherflow.store.alerts import (
    Alert,
    alerts_of,
    claim_alert,
    delete_old_alerts,
    forget_runs,
    is_unstarted,
    newest_alerts,
    set_run,
    unstarted_runs,
)
from aetherflow.store.process_identity import this_process
from aetherflow.store.projection import timestamp
from aetherflow.store.run_deletion import OldRun, hide
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.real_parts import T0

DAY = timedelta(days=1)
RUN = "INSERT INTO run_state VALUES ('r1', 'f', 'f.yaml', 'SUCCESS', 1, 'now', 'now', '{}', '', 'me')"


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    """A database of the current version, in memory."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(MIGRATIONS))
        yield connection


def alert(day: int = 0, kind: AlertKind = "missed", item: str = "a", run_id: str | None = None) -> Alert:
    at = timestamp(T0 + day * DAY)
    return Alert("night", item, at, kind, at, "its tick is MISSED", run_id)


def claim(raw: sqlite3.Connection, one: Alert, now: datetime | None = None) -> bool:
    return claim_alert(raw, one, ahead=now or datetime.fromisoformat(one.alerted_at))


def test_an_alert_is_stored_once(raw: sqlite3.Connection) -> None:
    assert [claim(raw, alert()), claim(raw, alert()), claim(raw, alert(kind="long"))] == [True, False, True]
    assert claim(raw, alert(), T0 - DAY), "the one before is of a clock that was ahead"


def test_the_newest_tick_of_each_item_has_its_alerts(raw: sqlite3.Connection) -> None:
    for one in (alert(0), alert(1), alert(1, "long"), alert(0, item="b")):
        claim(raw, one)
    found = newest_alerts(raw, "night", ["a", "b", "c"])
    assert {name: [(one.scheduled_at, one.kind) for one in alerts] for name, alerts in found.items()} == {
        "a": [(timestamp(T0 + DAY), "long"), (timestamp(T0 + DAY), "missed")],
        "b": [(timestamp(T0), "missed")],
    }
    assert len(alerts_of(raw, "night", "a", timestamp(T0), timestamp(T0 + DAY))) == 3


def test_old_alerts_are_deleted_but_the_last_of_each_kind(raw: sqlite3.Connection) -> None:
    for one in (alert(0), alert(1), alert(1, "never_ran"), alert(9)):
        claim(raw, one)
    delete_old_alerts(raw, T0 + 5 * DAY)
    left = alerts_of(raw, "night", "a", timestamp(T0), timestamp(T0 + 9 * DAY))
    assert [(one.scheduled_at, one.kind) for one in left] == [
        (timestamp(T0 + DAY), "never_ran"),
        (timestamp(T0 + 9 * DAY), "missed"),
    ]


def test_a_run_is_to_be_started_until_the_database_knows_it_or_it_cannot(raw: sqlite3.Connection) -> None:
    for name, day in (("r1", 0), ("r2", 1), ("r3", 2)):
        claim(raw, alert(day))
        set_run(raw, alert(day, run_id=name))
    assert is_unstarted(raw, "r1")
    raw.execute(RUN)
    forget_runs(raw, ["r2"])
    assert [is_unstarted(raw, name) for name in ("r1", "r2", "r3")] == [False, False, True]
    assert [one.run_id for one in unstarted_runs(raw, "night", T0, T0 + 9 * DAY)] == ["r3"]


def test_a_run_that_is_pruned_is_not_started_again(raw: sqlite3.Connection) -> None:
    claim(raw, alert())
    set_run(raw, alert(run_id="r1"))
    raw.execute(RUN)
    assert hide(raw, [OldRun("r1", "f", "SUCCESS", 1, timestamp(T0))], this_process(), T0)
    assert unstarted_runs(raw, "night", T0, T0 + DAY) == []
