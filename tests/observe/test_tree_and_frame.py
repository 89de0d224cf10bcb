"""The picture of a run: what is in it, and how it is cut to the screen.

`snapshots/tree.txt` has pictures of three sizes. AETHERFLOW_SNAPSHOTS=write rewrites it; look at the
difference before it is committed.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aetherflow.events.run_events import (
    JobEnd,
    JobFinished,
    LockTaken,
    RunFinished,
    StepEnd,
    StepFinished,
    StepOutput,
    StepPlaced,
    StepProgress,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from aetherflow.observe.run_tree import MOST_ENDED, MOST_FAILED, RunTree
from aetherflow.observe.time_words import clock
from aetherflow.observe.tree_frame import GLYPHS, STYLES, frame
from aetherflow.observe.tree_line import Part, cut, fitted
from aetherflow.observe.tree_words import expectation
from tests.manual.documents import MANUAL
from tests.observe.demo_run import AT
from tests.observe.tree_states import (
    BOOM,
    EXPECTED,
    SIZES,
    STATES,
    began,
    ended,
    fan,
    job,
    lines,
    many,
    run,
    started,
    step,
    tree_of,
    work,
)

SNAPSHOTS = Path(__file__).parent / "snapshots" / "tree.txt"


def pictures() -> str:
    """Return a picture of every state in every size, each with a title."""
    blocks = []
    for name, (events, after) in STATES.items():
        tree = tree_of(events)
        tree.expected = EXPECTED
        for width, height in SIZES:
            shown = lines(tree, after=after, height=height - 1, width=width - 1)
            blocks.append("\n".join([f"== {name}, {width} x {height}", *shown]))
    return "\n\n".join(blocks) + "\n"


@pytest.mark.skipif("AETHERFLOW_SNAPSHOTS" not in os.environ, reason="only when the snapshots are to change")
def test_the_pictures_are_written() -> None:
    SNAPSHOTS.write_text(pictures(), encoding="utf-8")


def test_every_state_is_shown_exactly_so_in_three_sizes() -> None:
    assert pictures() == SNAPSHOTS.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "state", "height"),
    [(MANUAL / "terminal.md", "instances", 9), (MANUAL / "terminal.md", "work", 23)],
    ids=["instances", "work"],
)
def test_the_pages_show_the_tree_as_it_is(file: Path, state: str, height: int) -> None:
    events, after = STATES[state]
    tree = tree_of(events)
    tree.expected = EXPECTED
    page = file.read_text(encoding="utf-8")
    shown = "\n".join(lines(tree, after=after, height=height))
    assert f"```text\n{shown}\n```" in page


def test_every_sign_is_in_the_manual() -> None:
    page = (MANUAL / "terminal.md").read_text(encoding="utf-8")
    assert all(f"| `{glyph}` |" in page for glyph in GLYPHS.values())


def test_no_picture_is_wider_or_higher_than_its_terminal() -> None:
    for block in SNAPSHOTS.read_text(encoding="utf-8").rstrip("\n").split("\n\n"):
        title, *shown = block.splitlines()
        width, height = map(int, title.rpartition(", ")[2].split(" x "))
        assert len(shown) < height, title
        assert max(map(cell_len, shown)) < width, title


def test_the_counts_of_a_mapped_job_follow_its_instances() -> None:
    tree = tree_of(fan())
    waiting = "load[295].copy"

    tree.apply(StepStarted(**step(waiting, 80)))
    assert "283/300, 28 failed, 13 running, 4 waiting for pool warehouse" in lines(tree, after=80)[1]
    for event in ended(waiting, 81):
        tree.apply(event)
    assert "284/300, 28 failed, 12 running, 4 waiting for pool warehouse" in lines(tree, after=81)[1]
    tree.apply(JobFinished(**run(90), job_id="load", status="FAILED", reason="28 of 300 instances failed"))
    assert lines(tree, after=99)[1] == "✗ load  284/300, 28 failed  1 min 28 s"


def test_a_wait_ends_on_the_screen_when_it_ends() -> None:
    tree = tree_of(work())
    assert any("○ publish" in line and "lock warehouse" in line for line in lines(tree, after=13))
    tree.apply(LockTaken(**step("publish.swap", 14), lock="warehouse", waited_seconds=11))
    assert "● publish  with_lock  0:11" in lines(tree, after=14)


def test_a_step_waits_for_a_worker_and_then_its_place_is_shown() -> None:
    tree = tree_of([job("a"), StepStarted(**step("a.s"), executor="dask")])
    assert lines(tree, after=3)[1].endswith("  waits for a worker of dask")
    tree.apply(StepPlaced(**step("a.s", 5), executor="dask", worker="w1", host="etl2"))
    assert lines(tree, after=9)[1] == "● a  external.process  dask:w1@etl2  0:09"


def test_instances_that_wait_for_a_worker_are_counted() -> None:
    tree = tree_of([job("a", items=[1, 2]), job("a[0]"), job("a[1]")])
    for number in range(2):
        tree.apply(StepStarted(**step(f"a[{number}].s", 1), executor="dask"))
    tree.apply(StepPlaced(**step("a[0].s", 2), executor="dask", worker="w1", host="etl2"))
    assert "0/2, 1 running, 1 waiting for a worker of dask" in lines(tree, after=3)[1]


def test_a_step_that_goes_on_after_a_resume_is_shown_with_its_place() -> None:
    placed = StepPlaced(**step("a.s", 2), executor="dask", worker="w1", host="etl2", is_reattached=True)
    assert "dask:w1@etl2" in lines(tree_of([job("a"), placed]), after=3)[1]


def test_a_wait_names_no_holder_of_the_run_that_has_ended() -> None:
    tree = tree_of([*began("a.s"), *began("b.s"), job("c")])
    held = [f"nightly, run r1, {name}" for name in ("a.s", "b.s")]
    tree.apply(StepWaiting(**step("c.s"), pool="db", slots=1, size=2, held_by=held, ahead=1))
    assert lines(tree, after=1)[3].endswith("  waits for pool db, 1 ahead, held by a.s; b.s")

    tree.apply(StepRetrying(**step("a.s", 1), attempt=1, wait_seconds=9, error=BOOM))
    assert lines(tree, after=1)[3].endswith("  waits for pool db, held by b.s")
    for event in ended("b.s", 2):
        tree.apply(event)
    assert any(
        line.startswith("○ c") and line.endswith("  waits for pool db") for line in lines(tree, after=2)
    )


def test_what_a_step_inside_a_lock_does_is_shown_with_the_step_that_has_the_lock() -> None:
    tree = tree_of(began("a.swap", kind="with_lock"))
    inner = step("a", 1) | {"job_id": "a", "step_id": "swap.copy"}

    tree.apply(StepOutput(**inner, stream="stdout", text="copying 41 %\n"))
    assert lines(tree, after=1)[1] == "● a  with_lock  0:01  | copying 41 %"
    tree.apply(StepProgress(**inner, done=5, total=10, unit="rows"))
    assert lines(tree, after=1)[1] == "● a  with_lock  0:01  5 of 10 rows  | copying 41 %"


def test_a_retry_counts_down_and_its_next_attempt_is_numbered() -> None:
    tree = tree_of(began("a.s"))
    tree.apply(StepOutput(**step("a.s", 1), stream="stderr", text="not yet\n"))
    tree.apply(StepRetrying(**step("a.s", 1), attempt=1, wait_seconds=5, error=BOOM))
    why = "attempt 1: AF700: no such table: sales"
    assert lines(tree, after=2)[1] == f"○ a  0:02  retry in 4 s: {why}"
    assert lines(tree, after=9)[1] == f"○ a  external.process  0:09  retry now: {why}"
    tree.apply(StepStarted(**step("a.s", 9), attempt=2))
    assert lines(tree, after=9)[1] == "● a  external.process  0:09  attempt 2"


def test_the_pace_of_a_step_that_stops_reporting_falls() -> None:
    tree = tree_of(began("a.s"))
    for second in range(5):
        tree.apply(StepProgress(**step("a.s", second), done=100 * second, total=1000, unit="rows"))
    assert "400 of 1,000 rows, 100 rows/s, 6 s left" in lines(tree, after=4)[1]
    assert "400 of 1,000 rows, 10 rows/s" in lines(tree, after=40)[1]
    tree.apply(StepProgress(**step("a.s", 41), done=10, total=1000, unit="rows", note="the next file"))
    assert lines(tree, after=41)[1].endswith("10 of 1,000 rows, the next file")


def test_the_steps_of_a_job_are_below_it_while_they_matter() -> None:
    tree = tree_of([started(["a"], of_steps=3), *began("a.one")])
    tree.apply(StepFinished(**step("a.one", 1), status="SUCCESS", duration_seconds=1))
    tree.apply(StepStarted(**step("a.two", 1)))
    assert lines(tree, after=5)[1:3] == ["● a  0:05  1/3 steps", "    ● two  external.process  0:04"]
    for event in ended("a.two", 6, "FAILED", error=BOOM):
        tree.apply(event)
    assert lines(tree, after=9)[1:3] == [
        "✗ a  6.00 s",
        "    ✗ two  external.process  1.00 s  AF700: no such table: sales",
    ]


def test_the_end_shows_how_many_jobs_ended_and_stops_the_clock() -> None:
    tree = tree_of(work())
    tree.apply(RunFinished(**run(20), status="CANCELLED", duration_seconds=20, jobs={"SKIPPED": 1}))
    assert lines(tree, after=99)[-1] == "0:20  1 of 7 jobs, 1 skipped"
    assert not any("●" in line for line in lines(tree, after=99))


def test_events_that_were_lost_on_the_way_leave_a_tree_that_can_be_shown() -> None:
    tree = tree_of(
        [
            *ended("a.s", 1),
            StepOutput(**step("ghost.s", 1), stream="stdout", text="late"),
            StepStarted(**step("ghost[3].s", 1)),
            job("load[3]", 1),
            JobFinished(**run(1), job_id="b", status="BLOCKED", reason="a FAILED"),
        ]
    )
    assert lines(tree, after=2) == [
        "nightly  run r1",
        "● load[3]  0:01",
        "✓ a",
        "■ b  blocked  a FAILED",
        "0:01  2 of 3 jobs, 1 running, 1 blocked",
    ]


def test_a_run_of_very_many_jobs_is_remembered_in_a_bounded_tree_with_all_counts() -> None:
    tree = tree_of(many())
    assert len(tree.failed) <= MOST_FAILED
    assert len(tree.ended) <= MOST_ENDED
    assert len(tree.running) == 8
    big = tree_of([job("load", items=list(range(5000)))])
    for number in range(5000):
        for event in [*began(f"load[{number}].s"), *ended(f"load[{number}].s", 1, "FAILED", error=BOOM)]:
            big.apply(event)
    fan_of_load = big.running["load"].fan
    assert fan_of_load is not None
    assert (len(fan_of_load.failed), fan_of_load.ended["FAILED"]) == (MOST_FAILED, 5000)
    assert not fan_of_load.running


@given(
    statuses=st.lists(st.sampled_from(["RUNNING", *get_args(JobEnd)]), max_size=30),
    instances=st.lists(st.sampled_from(["RUNNING", *get_args(StepEnd)]), max_size=30),
    height=st.integers(1, 40),
    width=st.integers(1, 60),
)
def test_a_picture_never_outgrows_the_screen_and_always_ends_with_the_total(
    statuses: list[str], instances: list[str], height: int, width: int
) -> None:
    tree = RunTree()
    tree.apply(started([f"日本{number}" for number in range(len(statuses) + 5)]))
    tree.apply(job("load", items=instances))
    for name, status in [
        *((f"日本{number}.s", status) for number, status in enumerate(statuses)),
        *((f"load[{number}].s", status) for number, status in enumerate(instances)),
    ]:
        for event in began(name):
            tree.apply(event)
        if status != "RUNNING":
            tree.apply(JobFinished(**run(1), job_id=name[:-2], status=status))  # type: ignore[arg-type] # drawn from the Literal

    shown = frame(tree, AT + timedelta(seconds=1), height, width)

    assert 1 <= len(shown) <= height
    assert all(cell_len(line.text) <= width for line in shown)
    assert shown[-1].text.startswith("0:01"[: max(width - 1, 0)])


def test_every_status_has_a_glyph_and_a_style() -> None:
    assert set(GLYPHS) == set(STYLES) == {"RUNNING", "PENDING", *get_args(JobEnd), *get_args(StepEnd)}


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (5.9, "0:05"), (754, "12:34"), (3723, "1:02:03")]
)
def test_a_clock_reads_like_a_stop_watch(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("elapsed", "usual", "shown"),
    [
        (80, 243, "of about 4 min"),
        (80, 83, "of about 1 min 20 s"),
        (5, 42.4, "of about 42 s"),
        (5, 5040, "of about 1 h 24 min"),
        (400, 243, "(usually 4 min)"),
        (5, None, ""),
        (5, 0.4, ""),
    ],
)
def test_an_expectation_is_rough_and_is_given_up_when_it_was_wrong(
    elapsed: float, usual: float | None, shown: str
) -> None:
    assert expectation(elapsed, usual) == shown


def test_a_narrow_line_keeps_the_name_and_what_matters() -> None:
    parts = [Part("type", 2), Part("0:05 of about 4 min", short="0:05"), Part("no such table")]
    assert fitted("● load", parts, 60) == "● load  type  0:05 of about 4 min  no such table"
    assert fitted("● load", parts, 42) == "● load  0:05 of about 4 min  no such table"
    assert fitted("● load", parts, 30) == "● load  0:05  no such table"
    assert fitted("● load", parts, 20) == "● load  0:05  no su…"
    assert fitted("● extract_of_the_customers_of_2026", parts, 30) == "● extract_…2026  0:05  no suc…"
    assert cut("日本語", 4) == "日…"
