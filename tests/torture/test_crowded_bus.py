"""Very many events over a real journal, past a slow, a raising and a hung observer at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sizes import LARGE
from tests.torture.processes import query

EVENTS = 1_000_000 if LARGE else 40_000
MOST_BYTES = 50_000_000

pytestmark = pytest.mark.torture


def test_bad_observers_cost_neither_the_journal_nor_the_memory_and_what_they_lost_is_reported(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    database = tmp_path / "state.sqlite"
    script = Path(__file__).with_name("crowded_bus.py")
    done = subprocess.run(
        [sys.executable, script, database, str(EVENTS)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    seen, dropped, detached = report["observers"], report["dropped"], report["detached"]

    assert report["stored"] == EVENTS
    numbers = query(database, "SELECT min(seq), max(seq), count(*) FROM events WHERE run_id = 'crowded'")
    assert numbers == [(1, EVENTS, EVENTS)], "the journal has a hole"
    assert report["grown"] < MOST_BYTES

    assert seen["healthy"]["taken"] == EVENTS
    assert all(one["in_order"] for one in seen.values())
    assert dropped["slow"] == seen["slow"]["reported"] > 0
    # Each may lose the one notice that the raising observer was detached, and that is reported too.
    assert seen["slow"]["taken"] + seen["slow"]["notices"] + dropped["slow"] == EVENTS + 1
    assert seen["healthy"]["notices"] + dropped.get("healthy", 0) == 1
    assert dropped.get("healthy", 0) == seen["healthy"]["reported"]
    assert detached.keys() == {"raising", "hung"}
    assert detached["raising"].startswith("OSError: the disk of the log is full")
    words = r"it did not write its last events before the run ended; it had lost (\d+) events before"
    reason = re.fullmatch(words, detached["hung"])
    assert reason is not None, detached
    assert int(reason[1]) == dropped["hung"] > 0
    record_property(
        "torture",
        f"bus: {EVENTS} events stored, {report['grown'] / 1e6:.1f} MB more memory, drops counted = reported: "
        f"slow {dropped['slow']}, hung {dropped['hung']}; raising detached",
    )
