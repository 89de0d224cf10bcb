"""The picture of a run: what is in it, how it is cut to the screen, and that rich shows it as it is meant."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from aetherflow.errors import ErrorInfo
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetrying,
    StepStarted,
)
from aetherflow.observe.live_tree import painted
from aetherflow.observe.run_tree import MOST_JOBS, RunTree
from aetherflow.observe.tree_frame import GLYPHS, STYLES, clock, frame

AT = datetime(2026, 1, 2, 22, 14, 3, tzinfo=UTC)
BOOM = ErrorInfo(code="AF700", message="no such table: sales", hint="create it first")


def run(seconds: float = 0) -> dict[str, Any]:
    return {"at": AT + timedelta(seconds=seconds), "flow_id": "demo", "run_id": "r1"}


def step(job_id: str, step_id: str, seconds: float = 0) -> dict[str, Any]:
    return {**run(seconds), "job_id": job_id, "step_id": step_id, "step_type": "external.process"}


def tree_of(*events: Event) -> RunTree:
    tree = RunTree()
    for event in events:
        tree.apply(event)
    return tree


def lines(tree: RunTree, *, after: float, height: int = 24) -> list[str]:
    return [line.text for line in frame(tree, AT + timedelta(seconds=after), height)]


MIDWAY = (
    RunStarted(**run(), flow_file="demo.yaml", owner="host:1"),
    JobStarted(**run(), job_id="extract"),
    StepStarted(**step("extract", "pull")),
    StepFinished(**step("extract", "pull", 2), status="SUCCESS", duration_seconds=2),
    JobFinished(**run(2), job_id="extract", status="SUCCESS"),
    JobStarted(**run(2), job_id="load"),
    StepStarted(**step("load", "copy", 2)),
    StepOutput(**step("load", "copy", 3), stream="stdout", text="\x1b[32m10 rows\x1b[0m\n"),
    JobFinished(**run(3), job_id="report", status="SKIPPED", reason="when is false"),
    JobStarted(**run(3), job_id="check"),
    StepStarted(**step("check", "probe", 3)),
    StepFinished(**step("check", "probe", 4), status="FAILED", duration_seconds=1, error=BOOM),
    JobFinished(**run(4), job_id="check", status="FAILED", error=BOOM),
)


def test_a_small_run_is_shown_whole() -> None:
    assert lines(tree_of(*MIDWAY), after=67) == [
        "demo  run r1",
        "✓ extract  2.00 s",
        "  ✓ pull  external.process  2.00 s",
        "● load  1:05",
        "  ● copy  external.process  1:05",
        "      10 rows",
        "- report  SKIPPED  when is false",
        "✗ check  1.00 s",
        "  ✗ probe  external.process  1.00 s  AF700: no such table: sales",
        "1:07  1 running, 1 SUCCESS, 1 SKIPPED, 1 FAILED",
    ]


def test_on_a_low_screen_only_what_runs_and_what_failed_is_shown() -> None:
    assert lines(tree_of(*MIDWAY), after=67, height=7) == [
        "demo  run r1",
        "● load  1:05",
        "  ● copy  external.process  1:05",
        "      10 rows",
        "✗ check  1.00 s",
        "  ✗ probe  external.process  1.00 s  AF700: no such table: sales",
        "1:07  1 running, 1 SUCCESS, 1 SKIPPED, 1 FAILED",
    ]


def test_what_still_does_not_fit_is_counted() -> None:
    assert lines(tree_of(*MIDWAY), after=67, height=4) == [
        "demo  run r1",
        "● load  1:05",
        "  ... 4 more lines",
        "1:07  1 running, 1 SUCCESS, 1 SKIPPED, 1 FAILED",
    ]
    assert lines(tree_of(*MIDWAY), after=67, height=1) == ["1:07  1 running, 1 SUCCESS, 1 SKIPPED, 1 FAILED"]


def test_the_end_shows_the_counts_of_the_run_and_stops_the_clock() -> None:
    tree = tree_of(
        *MIDWAY,
        RunFinished(
            **run(10), status="FAILED", duration_seconds=10, jobs={"SUCCESS": 2, "FAILED": 1, "SKIPPED": 1}
        ),
    )

    assert lines(tree, after=99)[-1] == "0:10  2 SUCCESS, 1 FAILED, 1 SKIPPED"
    assert not any("●" in line for line in lines(tree, after=99))


def test_a_retry_says_what_went_wrong_until_the_next_attempt_begins() -> None:
    tree = tree_of(
        JobStarted(**run(), job_id="a"),
        StepStarted(**step("a", "s")),
        StepRetrying(**step("a", "s"), attempt=1, wait_seconds=5, error=BOOM),
    )
    assert "retry in 5.00 s: AF700: no such table: sales" in lines(tree, after=0)[2]

    tree.apply(StepStarted(**step("a", "s", 5), attempt=2))
    assert lines(tree, after=5)[2] == "  ● s  external.process  0:05  attempt 2"


def test_a_mapped_job_shows_how_many_of_its_items_are_done_unless_a_resume_hides_some() -> None:
    begun = (
        JobStarted(**run(), job_id="load", items=["a", "b", "c"]),
        *(JobStarted(**run(), job_id=f"load[{number}]") for number in range(3)),
        JobFinished(**run(1), job_id="load[0]", status="SUCCESS"),
        JobFinished(**run(1), job_id="load[2]", status="FAILED", error=BOOM),
    )
    started = RunStarted(**run(), flow_file="demo.yaml", owner="host:1")
    resumed = RunResumed(**run(), attempt=2, owner="host:1", flow_file="demo.yaml")

    assert lines(tree_of(started, *begun), after=2)[1] == "● load  0:02  2 of 3 items"
    assert lines(tree_of(resumed, *begun), after=2)[1] == "● load  0:02  3 items"
    ended = JobFinished(**run(3), job_id="load", status="FAILED", error=BOOM)
    assert "items" not in lines(tree_of(started, *begun, ended), after=3)[1]


def test_the_progress_of_a_step_is_shown_below_it_until_it_ends() -> None:
    begun = (
        JobStarted(**run(), job_id="load"),
        StepStarted(**step("load", "copy")),
        StepProgress(**step("load", "copy", 1), done=1200, total=5000, unit="rows", note="sales.csv"),
    )
    assert lines(tree_of(*begun), after=5)[3] == "      1,200 of 5,000 rows (24 %), sales.csv"
    ended = StepFinished(**step("load", "copy", 6), status="SUCCESS", duration_seconds=6)
    assert not any("rows" in line for line in lines(tree_of(*begun, ended), after=7))


def test_events_that_were_lost_on_the_way_leave_a_tree_that_can_be_shown() -> None:
    tree = tree_of(
        StepFinished(**step("a", "s", 1), status="SUCCESS", duration_seconds=1),
        StepOutput(**step("ghost", "s", 1), stream="stdout", text="late"),
        JobFinished(**run(1), job_id="b", status="BLOCKED", reason="a FAILED"),
    )

    assert lines(tree, after=2) == [
        "demo  run r1",
        "● a  0:01",
        "  ✓ s  external.process  1.00 s",
        "■ b  BLOCKED  a FAILED",
        "0:01  1 running, 1 BLOCKED",
    ]


def test_a_run_of_very_many_jobs_is_remembered_in_a_bounded_tree_with_all_counts() -> None:
    tree = RunTree()
    for number in range(5000):
        tree.apply(JobStarted(**run(), job_id=f"job{number}"))
        tree.apply(StepStarted(**step(f"job{number}", "s")))
        status = "FAILED" if number % 10 == 0 else "SUCCESS"
        tree.apply(JobFinished(**run(1), job_id=f"job{number}", status=status, reason="no"))  # type: ignore[arg-type] # a Literal in a conditional

    assert len(tree.jobs) <= 2 * MOST_JOBS
    shown = lines(tree, after=1, height=24)
    assert len(shown) == 24
    assert shown[-1] == "0:01  500 FAILED, 4500 SUCCESS"
    assert shown[1] == "✗ job0  1.00 s  no"


@given(
    jobs=st.lists(st.sampled_from(["RUNNING", "SUCCESS", "FAILED", "BLOCKED"]), max_size=30),
    height=st.integers(1, 40),
)
def test_a_picture_never_outgrows_the_screen_and_always_ends_with_the_total(
    jobs: list[str], height: int
) -> None:
    tree = RunTree()
    for number, status in enumerate(jobs):
        tree.apply(JobStarted(**run(), job_id=f"j{number}"))
        tree.apply(StepStarted(**step(f"j{number}", "s")))
        if status != "RUNNING":
            tree.apply(JobFinished(**run(1), job_id=f"j{number}", status=status))  # type: ignore[arg-type] # drawn from the Literal

    shown = lines(tree, after=1, height=height)

    assert len(shown) <= height
    if running := jobs.count("RUNNING"):
        assert f"{running} running" in shown[-1]


def test_every_status_has_a_glyph_and_a_style() -> None:
    assert (
        set(GLYPHS)
        == set(STYLES)
        == {
            "RUNNING",
            "SUCCESS",
            "FAILED",
            "SKIPPED",
            "BLOCKED",
            "CANCELLED",
        }
    )


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (5.9, "0:05"), (754, "12:34"), (3723, "1:02:03")]
)
def test_a_clock_reads_like_a_stop_watch(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_rich_cuts_long_lines_on_a_terminal_of_40_columns() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=40, force_terminal=True, color_system=None, highlight=False)

    console.print(painted(frame(tree_of(*MIDWAY), AT + timedelta(seconds=67), 24)))

    shown = screen.getvalue().splitlines()
    assert len(shown) == 10
    assert max(map(len, shown)) == 40
    assert shown[8] == "  ✗ probe  external.process  1.00 s  AF…"
