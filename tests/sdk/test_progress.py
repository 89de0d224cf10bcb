"""Progress: displays get it twice a second, the log once a minute, however often a step reports it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.events.event_words import progress_text
from aetherflow.events.run_events import StepProgress
from aetherflow.testing import FakeClock, FakeRun


def test_progress_is_shown_twice_a_second_and_logged_once_a_minute(tmp_path: Path) -> None:
    clock = FakeClock()
    run = FakeRun(tmp_path, clock=clock)
    context = run.context()
    for done in range(1300):  # ten times a second, for 130 seconds
        context.progress(done, 2000, "rows")
        clock.advance(0.1)
    levels = [event.level for event in run.of(StepProgress)]
    assert levels.count("info") == 2
    assert 210 <= len(levels) <= 262


def test_the_end_is_shown_at_once_and_is_what_a_time_limit_quotes(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, clock=FakeClock())
    context = run.context()
    context.progress(1, 3, "files", "a.csv")
    context.progress(2, 3, "files", "b.csv")
    context.progress(3, 3, "files", "c.csv")
    assert [event.done for event in run.of(StepProgress)] == [1, 3]
    assert context.progress_note == "3 of 3 files (100 %), c.csv"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"done": 1200}, "1,200"),
        ({"done": 0, "total": 0, "unit": "files"}, "0 of 0 files"),
        ({"done": 2.5, "total": 10, "unit": "MiB"}, "2.5 of 10 MiB (25 %)"),
        ({"done": 12345678901, "unit": "bytes", "note": "a.csv"}, "12,345,678,901 bytes, a.csv"),
    ],
)
def test_progress_reads_like_this(fields: dict[str, float], text: str) -> None:
    at = FakeClock().now()
    event = StepProgress(at=at, flow_id="f", run_id="r", job_id="j", step_id="s", step_type="t", **fields)  # type: ignore[arg-type]  # a table of fields
    assert progress_text(event) == text


def test_a_secret_in_a_note_is_masked(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, secrets=["hunter2"])
    run.context().progress(1, note="hunter2.csv")
    assert "hunter2" not in run.of(StepProgress)[0].note
