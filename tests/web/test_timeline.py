"""The timeline draws what ran and what waited, and explains the marks that it uses."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aetherflow.web.model import Execution, JobEntry, Span, StepEntry, Timeline
from aetherflow.web.timeline import timeline
from tests.web.page_reader import PageReader

AT = datetime(2026, 1, 31, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def span(
    start: float, end: float, kind: Literal["attempt", "wait", "backoff"], status: str = "SUCCESS"
) -> Span:
    return Span(after(start), after(end), kind, status, f"{kind} {status}")


def drawn(*spans: Span, executions: tuple[Execution, ...] = (), **more: Any) -> PageReader:
    step = StepEntry("s", "t", "SUCCESS", 1.0, 7, spans=spans)
    job = JobEntry("j", "job-0", "SUCCESS", 1.0, 5, spans=spans, steps=(step,), **more)
    shown = timeline(Timeline(executions or (Execution(AT, after(10), 1),), (job,)))
    assert not re.search(r'style="|on\w+="', shown)
    return PageReader(shown)


def test_a_timeline_of_attempts_only_needs_no_legend() -> None:
    read = drawn(span(0, 4, "attempt"))

    assert read.wrong == []
    assert "attempt SUCCESS" in read.text("title")
    assert "in the colour of its status" not in read.text("p")
    assert read.links.count("#L5") == read.links.count("#L7") == 1


def test_the_legend_explains_what_is_there() -> None:
    read = drawn(span(0, 1, "wait", "PENDING"), span(1, 2, "attempt", "FAILED"), span(2, 3, "backoff"))

    assert "wait for a pool or a free place" in read.text("p")
    assert "wait before the next attempt" in read.text("p")
    assert "nothing executed the run" not in read.text("p")


def test_a_gap_between_executions_is_marked_and_explained() -> None:
    two = (Execution(AT, after(10), 1), Execution(after(7200), after(7210), 2))

    read = drawn(span(0, 1, "attempt"), executions=two)

    assert "nothing ran for 1 h 59 min, then it was resumed (attempt 2)" in read.text("title")
    assert "nothing executed the run (drawn short)" in read.text("p")


def test_instances_are_drawn_by_how_many_ran_and_waited_at_a_time() -> None:
    activity = (span(0, 10, "attempt", "FAILED"), span(0, 10, "attempt"), span(0, 10, "wait", "PENDING"))

    read = drawn(activity=activity, parts={"FAILED": 1, "SUCCESS": 2})

    assert "1 of 3: FAILED" in read.text("title")
    assert "1 of 3: PENDING" in read.text("title")
    assert "instances that wait" in read.text("p")
    assert "x 3" in read.text("summary")
