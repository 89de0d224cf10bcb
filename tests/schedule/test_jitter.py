"""Jitter is the same on every server, between nothing and its maximum, and spreads."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.jitter import jitter
from aetherflow.schedule.timetable import Timetable, due_at
from aetherflow.schedule.zone import load_zone


@given(st.text(), st.integers(0, 2**40), st.integers(-5, 10**6))
def test_between_nothing_and_its_maximum(item: str, tick: int, most: int) -> None:
    late = jitter(item, tick, most)
    assert 0 <= late <= max(0, most)
    assert late == jitter(item, tick, most)


def test_another_process_computes_the_same() -> None:
    script = (
        "from aetherflow.schedule.jitter import jitter; print([jitter('nightly', n, 600) for n in range(9)])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str([jitter("nightly", n, 600) for n in range(9)])


def test_it_spreads_over_items_and_over_ticks() -> None:
    for drawn in (
        [jitter(f"item{n}", 1_800_000_000, 99) for n in range(10_000)],
        [jitter("item", n, 99) for n in range(10_000)],
    ):
        counts = [drawn.count(late) for late in range(100)]
        assert min(counts) > 50
        assert max(counts) < 160


def test_a_tick_is_due_after_its_jitter() -> None:
    tick = datetime(2027, 1, 1, tzinfo=UTC)
    table = Timetable("item", parse_cron("0 0 * * *"), load_zone("UTC"), jitter_seconds=600)
    late = due_at(table, tick) - tick
    assert timedelta(0) < late <= timedelta(minutes=10)
    assert due_at(Timetable("item", table.trigger, table.zone), tick) == tick
