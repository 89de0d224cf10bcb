"""What a server asks about the past for alerts, messages and metrics reads no table whole.

`test_query_plans` records what commands ask; few of them come to these.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from aetherflow.store import alerts, backfills, firings, metric_rows, run_ends, usual_times
from aetherflow.store.alerts import Alert
from aetherflow.store.firings import Firing, NewFiring
from aetherflow.store.state_schema import MIGRATIONS
from tests.store.query_plans import Statement, scans, take_statistics_of_a_year

AT = datetime(2026, 1, 1, tzinfo=UTC)
ALERT = Alert("s", "i", "2026", "late_end", "2026", "it is late", "r")
Ask = Callable[[sqlite3.Connection, Firing], object]

QUESTIONS: dict[str, Ask] = {
    "claim_alert": lambda raw, _: alerts.claim_alert(raw, ALERT, ahead=AT),
    "set_run": lambda raw, _: alerts.set_run(raw, ALERT),
    "has_run_since": lambda raw, _: alerts.has_run_since(raw, ALERT, AT),
    "newest_reported": lambda raw, _: alerts.newest_reported(raw, "s", "i", late=True),
    "kinds_of": lambda raw, firing: alerts.kinds_of(raw, firing, ahead=AT),
    "has_run": lambda raw, _: alerts.has_run(raw, "s", "i"),
    "has_alert": lambda raw, _: alerts.has_alert(raw, "s", "i", "late_end"),
    "newest_firing_id": lambda raw, _: alerts.newest_firing_id(raw),
    "firings_from": lambda raw, _: alerts.firings_from(raw, "s", 1),
    "unstarted_runs": lambda raw, _: alerts.unstarted_runs(raw, "s", AT, AT),
    "is_unstarted": lambda raw, _: alerts.is_unstarted(raw, "r"),
    "firings_by_id": lambda raw, firing: alerts.firings_by_id(raw, [firing.firing_id]),
    "started_count": lambda raw, _: backfills.started_count(raw, "s", "i", "b"),
    "cancel_backfill": lambda raw, _: backfills.cancel_backfill(raw, "b", "why", AT),
    "has_event": lambda raw, _: firings.has_event(raw, "s", "i", "boot"),
    "fix_last_success": lambda raw, firing: firings.fix_last_success(raw, firing.firing_id),
    "missed_early": lambda raw, _: firings.missed_early(raw, "s", ["i"], AT, AT),
    "newest_decided": lambda raw, _: firings.newest_decided(raw, "s", "i", AT, AT, 1),
    "run_seconds": lambda raw, _: firings.run_seconds(raw, "s", "i"),
    "recorded_end": lambda raw, _: firings.recorded_end(raw, "r"),
    "item_successes": lambda raw, _: metric_rows.item_successes(raw, [("s", "i")]),
    "item_of_run": lambda raw, _: run_ends.item_of_run(raw, "r"),
    "has_succeeded_since": lambda raw, _: run_ends.has_succeeded_since(raw, "f", "i", AT),
    "end_before": lambda raw, _: run_ends.end_before(raw, "f", "i", "r", AT),
    "last_end": lambda raw, _: run_ends.last_end(raw, "r"),
    "ending_events": lambda raw, _: run_ends.ending_events(raw, "r"),
    "firing_succeeded_since": lambda raw, one: run_ends.firing_succeeded_since(raw, one, "2026-01-01"),
    "firing_before": run_ends.firing_before,
    "usual_times: runs": lambda raw, _: raw.execute(usual_times._RUNS, ("f", 1)),
    "usual_times: jobs": lambda raw, _: raw.execute(usual_times._JOBS, ("r", 1)),
    "usual_times: steps": lambda raw, _: raw.execute(usual_times._STEPS, ("r", 1)),
}


@pytest.fixture(params=["none", "of a year"])
def raw(request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A database of the current version in memory, with these statistics for SQLite."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript("".join(MIGRATIONS))
        if request.param == "of a year":
            take_statistics_of_a_year(connection)
        yield connection


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_about_the_past_reads_no_table_whole(raw: sqlite3.Connection, ask: Ask) -> None:
    new = NewFiring("s", "i", AT, "tick", "QUEUED", run_id="r", server="server:a")
    firing = firings.insert_firing(raw, new, AT)
    assert firing is not None
    asked: list[str] = []
    raw.set_trace_callback(asked.append)
    ask(raw, firing)
    raw.set_trace_callback(None)
    assert asked
    assert {sql: steps for sql in asked if (steps := scans(raw, Statement(sql)))} == {}


def test_how_many_firings_of_a_backfill_are_open_is_not_counted_among_those_that_are_over(
    raw: sqlite3.Connection,
) -> None:
    """It is asked for every tick: a backfill of 100,000 would cost the square of that."""
    (plan,) = raw.execute(f"EXPLAIN QUERY PLAN {backfills._OPEN}", ("s", "i", "b")).fetchall()
    assert plan[3] == "SEARCH firings USING INDEX firings_open (scheduler=? AND item_id=?)"
