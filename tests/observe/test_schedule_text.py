"""Every event of a scheduler has words and a record, and says how much it matters."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from aetherflow.events.run_events import Event, RunStarted
from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringLate,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    LeftFiring,
    ScheduleEvent,
    ScheduleInvalid,
    ScheduleLoaded,
    ScheduleNotice,
    ScheduleUpcoming,
    UpcomingItem,
)
from aetherflow.events.trace_ids import span_id, trace_id
from aetherflow.observe import schedule_text
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.event_text import render_text
from aetherflow.observe.log import LogObserver
from aetherflow.observe.run_failures import Digest
from tests.observe.demo_run import AT

TICK = datetime(2026, 1, 2, 22, 14, tzinfo=UTC)
CASES: list[tuple[Event, str]] = [
    (
        FiringScheduled(at=AT, scheduler="n", run_id="r1", item_id="a", scheduled_at=TICK, outcome="QUEUED"),
        "22:14:03 INFO  item a of 2026-01-02T22:14:00Z  fires as run r1",
    ),
    (
        FiringScheduled(
            at=AT,
            scheduler="n",
            run_id="r1",
            item_id="a",
            scheduled_at=TICK,
            outcome="QUEUED",
            cause="catch_up",
            late_seconds=180.0,
        ),
        "22:14:03 WARN  item a of 2026-01-02T22:14:00Z  fires as run r1, caught up, late by 3 min 00 s",
    ),
    (
        FiringScheduled(
            at=AT,
            scheduler="n",
            run_id="r1",
            item_id="a",
            scheduled_at=TICK,
            outcome="WAITING",
            cause="manual",
            reason="waits for b",
        ),
        "22:14:03 INFO  item a of 2026-01-02T22:14:00Z  WAITING, manual: waits for b",
    ),
    (
        FiringMissed(
            at=AT, scheduler="n", item_id="a", scheduled_at=TICK, outcome="MISSED", reason="late", ticks=9
        ),
        "22:14:03 WARN  9 ticks up to item a of 2026-01-02T22:14:00Z  MISSED: late",
    ),
    (
        FiringMissed(
            at=AT,
            scheduler="n",
            item_id="a",
            scheduled_at=TICK,
            outcome="MISSED",
            reason="late",
            ticks=63,
            first_at=TICK - timedelta(hours=9),
            runs=1,
        ),
        (
            "22:14:03 WARN  item a  63 ticks from 2026-01-02T13:14:00Z to 2026-01-02T22:14:00Z MISSED: late; "
            "1 of those due then runs"
        ),
    ),
    (
        FiringTakenOver(
            at=AT,
            scheduler="n",
            run_id="r1",
            item_id="a",
            scheduled_at=TICK,
            outcome="RUNNING",
            previous_server="s1",
        ),
        "22:14:03 WARN  item a of 2026-01-02T22:14:00Z  taken over from s1, RUNNING: run r1",
    ),
    (
        FiringFinished(
            at=AT, scheduler="n", run_id="r1", item_id="a", scheduled_at=TICK, outcome="FAILED", reason="boom"
        ),
        "22:14:03 ERROR item a of 2026-01-02T22:14:00Z  FAILED (run r1): boom",
    ),
    (
        FiringLate(
            at=AT,
            scheduler="n",
            run_id="r1",
            item_id="a",
            scheduled_at=TICK,
            alert="late_end",
            reason="not over by 07:00",
            on_late_run="r2",
        ),
        "22:14:03 WARN  item a of 2026-01-02T22:14:00Z  late_end: not over by 07:00; run r2 reports it",
    ),
    (
        FiringLate(
            at=AT, scheduler="n", item_id="a", scheduled_at=TICK, alert="missed", reason="late", ticks=9
        ),
        "22:14:03 INFO  9 ticks up to item a of 2026-01-02T22:14:00Z  missed: late",
    ),
    (
        ScheduleLoaded(at=AT, scheduler="n", file="s.yaml", item_count=1, is_first=True),
        "22:14:03 INFO  schedule s.yaml  loaded: 1 item",
    ),
    (
        ScheduleLoaded(
            at=AT,
            scheduler="n",
            file="s.yaml",
            item_count=10,
            is_first=True,
            upcoming=(
                UpcomingItem("nightly", datetime.fromisoformat("2026-01-03T02:30:00+01:00")),
                UpcomingItem(
                    "report", datetime.fromisoformat("2026-01-03T06:00:00+00:00"), after=("nightly",)
                ),
                UpcomingItem("off", None, enabled=False),
                UpcomingItem("once", None),
                UpcomingItem("boot", None, at_boot=True),
                UpcomingItem("begin", None, at_boot=True, fires_now=True),
                UpcomingItem(
                    "late",
                    datetime.fromisoformat("2026-01-03T02:30:00+01:00"),
                    overdue_since=datetime.fromisoformat("2026-01-02T02:30:00+01:00"),
                    missing="/f/gone.yaml",
                ),
                UpcomingItem(
                    "left",
                    None,
                    enabled=False,
                    left=(LeftFiring(datetime.fromisoformat("2026-01-02T02:30:00+01:00"), "RUNNING", "r1"),),
                    left_count=3,
                ),
            ),
        ),
        (
            "22:14:03 INFO  schedule s.yaml  loaded: 10 items\n"
            "22:14:03 INFO    nightly  next 2026-01-03 02:30:00+01:00 (in 3 h 16 min)\n"
            "22:14:03 INFO    report   next 2026-01-03 06:00:00+00:00 (in 7 h 46 min), after nightly\n"
            "22:14:03 INFO    off      disabled\n"
            "22:14:03 INFO    once     no firing is ahead\n"
            "22:14:03 INFO    boot     at the next boot\n"
            "22:14:03 INFO    begin    fires now, as the machine has booted\n"
            "22:14:03 INFO    late     next 2026-01-03 02:30:00+01:00 (in 3 h 16 min), overdue since "
            "2026-01-02 02:30:00+01:00 (20 h 44 min ago), cannot run: there is no file /f/gone.yaml\n"
            "22:14:03 INFO    left     disabled, to take over: run r1 of 2026-01-02 02:30:00+01:00, RUNNING, "
            "and 2 more to take over"
        ),
    ),
    (
        ScheduleUpcoming(
            at=AT,
            scheduler="n",
            file="s.yaml",
            first=301,
            listed=302,
            upcoming=(UpcomingItem("once", None), UpcomingItem("off", None, enabled=False)),
        ),
        (
            "22:14:03 INFO  schedule s.yaml  items 301 to 302 of 302\n"
            "22:14:03 INFO    once  no firing is ahead\n"
            "22:14:03 INFO    off   disabled"
        ),
    ),
    (
        ScheduleLoaded(at=AT, scheduler="n", file="s.yaml", item_count=3, added=("a",), changed=("b", "c")),
        "22:14:03 INFO  schedule s.yaml  reloaded: added a; changed b, c",
    ),
    (
        ScheduleLoaded(at=AT, scheduler="n", file="s.yaml", item_count=3),
        "22:14:03 INFO  schedule s.yaml  reloaded: no item has changed",
    ),
    (
        ScheduleInvalid(at=AT, scheduler="n", file="s.yaml", problem="s.yaml:1:1: wrong\nhint"),
        (
            "22:14:03 ERROR schedule s.yaml  is invalid now; the previous version stays in force: "
            "s.yaml:1:1: wrong\n"
            "22:14:03 ERROR   hint"
        ),
    ),
    (
        ScheduleNotice(at=AT, scheduler="n", message="it went back", item_id="a", code="AF211"),
        "22:14:03 WARN  item a  AF211: it went back",
    ),
]


@pytest.mark.parametrize(("event", "line"), CASES)
def test_the_words_of_an_event(event: Event, line: str) -> None:
    assert render_text(event) == line


def test_every_event_of_a_scheduler_is_here() -> None:
    assert {type(event) for event, _ in CASES} == set(ScheduleEvent.__subclasses__())
    assert schedule_text.MOST_NAMES > 1


def test_a_record_names_scheduler_and_item_and_leaves_out_what_says_nothing() -> None:
    assert Recorder().record(CASES[0][0]) == {
        "schema": "aetherflow.event/1",
        "timestamp": "2026-01-02T22:14:03Z",
        "level": "info",
        "event": "firing_scheduled",
        "message": "item a of 2026-01-02T22:14:00Z: fires as run r1",
        "scheduler": "n",
        "item_id": "a",
        "run_id": "r1",
        "trace_id": trace_id("", "r1"),
        "span_id": span_id("", "r1"),
        "scheduled_at": "2026-01-02T22:14:00Z",
        "outcome": "QUEUED",
        "cause": "tick",
        "late_seconds": 0.0,
    }


@pytest.mark.asyncio
async def test_a_log_of_many_runs_keeps_nothing_of_a_firing() -> None:
    """A server logs for years: what it remembers of runs must go when they end."""
    log = LogObserver(io.StringIO(), format="text", level="info")
    await log([event for event, _ in CASES])
    assert log._digest == Digest()


@pytest.mark.asyncio
async def test_lines_of_a_server_have_date_and_offset_and_one_zone() -> None:
    """Also where the machine's zone is another one: the times of firings are UTC too."""
    stream = io.StringIO()
    log = LogObserver(stream, format="text", level="info", many_runs=True, zone=ZoneInfo("Asia/Tokyo"))
    await log([CASES[0][0]])
    assert stream.getvalue() == (
        "2026-01-02T22:14:03Z INFO  item a of 2026-01-02T22:14:00Z  fires as run r1\n"
    )


@pytest.mark.asyncio
async def test_the_line_of_a_run_has_one_zone() -> None:
    stream = io.StringIO()
    started = RunStarted(at=AT, flow_id="f", run_id="r1", flow_file="f.yaml", owner="me")
    await LogObserver(stream, format="text", level="info", zone=ZoneInfo("Asia/Tokyo"))([started])
    assert stream.getvalue().startswith("07:14:03 INFO  run r1 of f  started at 2026-01-03T07:14:03+09:00")
