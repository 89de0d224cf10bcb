"""Two channels that share their lines write what each would write alone, whichever of them is behind."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from aetherflow.errors import ErrorInfo
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunPersisted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.event_stream import EventStreamObserver
from aetherflow.observe.log import LogObserver
from aetherflow.observe.shared_lines import SharedLines
from tests.observe.demo_run import AT

JOBS = 50

Form = Literal["json", "cloudevents"]


def history() -> list[Event]:
    """Return the events of a run in which every fifth job fails; their records need earlier events."""
    run: dict[str, Any] = {"flow_id": "demo", "run_id": "r1"}
    events: list[Event] = [
        RunStarted(**run, at=AT, flow_file="demo.yaml", owner="host:1"),
        RunPersisted(**run, at=AT, state="/var/state.sqlite", logs="/var/logs"),
    ]
    for number in range(JOBS):
        job: dict[str, Any] = {**run, "at": AT, "job_id": f"load[{number}]"}
        step: dict[str, Any] = {**job, "step_id": "read", "step_type": "t"}
        ended = AT + timedelta(seconds=number)
        status: Any = "SUCCESS" if number % 5 else "FAILED"
        error = None if number % 5 else ErrorInfo(code="AF730", message=f"exit code {number}")
        events += [
            JobStarted(**job, item=f"item {number}"),
            StepStarted(**step),
            StepFinished(**step | {"at": ended}, status=status, duration_seconds=float(number), error=error),
            JobFinished(
                **job | {"at": ended}, status=status, reason="" if number % 5 else "step read failed"
            ),
        ]
    end = RunFinished(**run, at=AT, status="FAILED", duration_seconds=9.0, jobs={"FAILED": 10})
    return [*events, Notice(**run, at=AT, level="debug", message="at the end"), end]


def alone(events: list[Event], form: Form, *, debug: bool = True) -> bytes:
    recorder, lines = Recorder(form), []
    for event in events:
        if debug or not isinstance(event, RunPersisted | Notice):
            lines.append(recorder.line(event))
        else:
            recorder.skip(event)
    return b"".join(lines)


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["json", "cloudevents"])
@pytest.mark.parametrize("most_bytes", [4 << 20, 2_000, 0], ids=["roomy", "narrow", "none"])
async def test_the_channels_write_what_each_would_write_alone(form: Form, most_bytes: int) -> None:
    shared, text, stream = SharedLines(most_bytes), io.StringIO(), io.BytesIO()
    log = LogObserver(text, format=form, level="info", shared=shared)
    event_stream = EventStreamObserver(stream, format=form, shared=shared)
    events = history()

    for first, second in ((0, 40), (40, 120), (120, len(events))):  # now the one is behind, now the other
        ahead, behind = (log, event_stream) if first != 40 else (event_stream, log)
        await ahead(events[first:second])
        await behind(events[first:second])

    assert stream.getvalue() == alone(events, form)
    assert text.getvalue().encode() == alone(events, form, debug=False)


def test_a_line_is_made_once_and_then_forgotten() -> None:
    shared = SharedLines()
    one, other = Recorder(shared=shared), Recorder(shared=shared)
    events = history()

    assert all(other.line(event) is line for event, line in [(event, one.line(event)) for event in events])
    assert [shared.take(event) for event in events] == [None] * len(events)


def test_a_channel_that_has_lost_events_leaves_no_incomplete_lines_for_the_other() -> None:
    shared = SharedLines()
    slow, whole = Recorder(shared=shared), Recorder(shared=shared)
    events = [replace(event, seq=number) for number, event in enumerate(history(), 1)]
    lost = [event for event in events if isinstance(event, JobStarted | StepFinished)]

    lines = []
    for event in events:
        if event not in lost:
            slow.line(event)
        lines.append(whole.line(event))

    assert b"".join(lines) == alone(events, "json")


def test_what_nobody_takes_makes_room() -> None:
    shared = SharedLines(100)
    events = history()[:4]
    for event in events:
        shared.leave(event, b"x" * 40)

    assert [shared.take(event) for event in events] == [None, None, b"x" * 40, b"x" * 40]
    shared.leave(events[0], b"x" * 101)
    assert shared.take(events[0]) is None
