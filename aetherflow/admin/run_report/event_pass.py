"""Read all events of a run once, in batches, and keep only what a page needs of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

from aetherflow.admin.run_events import stored_events
from aetherflow.engine.state import step_entry
from aetherflow.events.event_words import waits_for
from aetherflow.events.run_events import (
    TRANSIENT,
    Event,
    RunResumed,
    RunStarted,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from aetherflow.observe.event_level import level_of
from aetherflow.observe.event_text import duration
from aetherflow.store.database import Database
from aetherflow.web.model import Execution, Span

FIRST_EVENTS = 300
LAST_EVENTS = 700
MOST_NOTABLE = 400
"""Warnings and errors between the first and the last events."""

Name = tuple[str, str]
"""A job and a step."""


class RunPass(msgspec.Struct):
    """What one pass over the events of a run has found.

    Attributes:
        kept: the first events, the last ones, and warnings and errors between them.
        total: how many events there are.
        spans: by job and step when its attempts ran, and when it waited.
        ends: how each attempt ended, by job, step and attempt.
        versions: by step type the version of its distribution.
    """

    kept: list[Event]
    total: int
    executions: list[Execution]
    spans: dict[Name, list[Span]]
    ends: dict[tuple[str, str, int], str]
    versions: dict[str, str]


async def pass_over_events(database: Database, run_id: str, now: datetime) -> RunPass:
    """Read the events of a run.

    Raises:
        StateError: the database cannot be read.
    """
    reader = EventReader()
    status = ""
    async for batch in stored_events(database, run_id, follow=False, is_usual_state=True):
        for event in batch.events:
            if not isinstance(event, TRANSIENT):
                reader.take(event)
        status = batch.status
    return reader.end(now, is_running=status == "RUNNING")


class EventReader:
    """Takes the events in order."""

    def __init__(self) -> None:
        self._first: list[Event] = []
        self._last: deque[Event] = deque(maxlen=LAST_EVENTS)
        self._notable: list[Event] = []
        self._total = 0
        self._executions: list[Execution] = []
        self._spans: dict[Name, list[Span]] = {}
        self._running: dict[Name, StepStarted] = {}
        self._waiting: dict[Name, StepWaiting] = {}
        self._ends: dict[tuple[str, str, int], str] = {}
        self._versions: dict[str, str] = {}
        self._begun: tuple[datetime, int] | None = None
        self._last_at: datetime | None = None

    def take(self, event: Event) -> None:
        """Take in one event."""
        self._total += 1
        if len(self._first) < FIRST_EVENTS:
            self._first.append(event)
        else:
            if len(self._notable) < MOST_NOTABLE and level_of(event) in ("warning", "error"):
                self._notable.append(event)
            self._last.append(event)
        match event:
            case RunStarted():
                self._begun = event.at, 1
            case RunResumed():
                kept = {name for name in self._running if step_entry(*name) in event.reattached}
                self._interrupt(self._last_at or event.at, "INTERRUPTED", kept)
                self._begun = event.at, event.attempt
            case StepStarted() | StepWaiting() | StepRetrying() | StepFinished():
                self._take_step(event)
            case _:
                pass
        self._last_at = event.at

    def _take_step(self, event: StepStarted | StepWaiting | StepRetrying | StepFinished) -> None:
        name = event.job_id, event.step_id
        match event:
            case StepWaiting():
                self._waiting.setdefault(name, event)
            case StepStarted():
                self._end_wait(name, event.at)
                self._running[name] = event
                if event.version:
                    self._versions[event.step_type] = event.version
            case StepRetrying():
                self._end_attempt(name, event.at, "FAILED", f"retried: {event.error.code}")
                end = event.at + timedelta(seconds=event.wait_seconds)
                title = f"waited {duration(event.wait_seconds)} before the next attempt"
                self._add(name, Span(event.at, end, "backoff", "PENDING", title))
            case StepFinished():
                self._end_wait(name, event.at)
                self._end_attempt(name, event.at, event.status, "")

    def _end_wait(self, name: Name, at: datetime) -> None:
        if (waiting := self._waiting.pop(name, None)) is not None:
            seconds = (at - waiting.at).total_seconds()
            self._add(
                name, Span(waiting.at, at, "wait", "PENDING", f"{duration(seconds)}: {waits_for(waiting)}")
            )

    def _end_attempt(self, name: Name, at: datetime, status: str, more: str) -> None:
        if (started := self._running.pop(name, None)) is None:
            return
        self._ends[*name, started.attempt] = status
        seconds = max((at - started.at).total_seconds(), 0.0)
        title = f"{name[0]}.{name[1]}, attempt {started.attempt}: {status} after {duration(seconds)}"
        self._add(name, Span(started.at, at, "attempt", status, f"{title}, {more}" if more else title))

    def _add(self, name: Name, span: Span) -> None:
        self._spans.setdefault(name, []).append(span)

    def _interrupt(self, at: datetime, status: str, kept: Collection[Name] = ()) -> None:
        """End what runs, since the execution has ended, but what goes on on a worker."""
        for name in [one for one in self._running if one not in kept]:
            self._end_attempt(name, at, status, "")
        for name in list(self._waiting):
            self._end_wait(name, at)
        if self._begun is not None:
            start, attempt = self._begun
            self._executions.append(Execution(start, max(at, start), attempt))
            self._begun = None

    def end(self, now: datetime, *, is_running: bool) -> RunPass:
        """Return what was found, once all events were taken."""
        if is_running:
            self._interrupt(now, "RUNNING")
        else:
            self._interrupt(self._last_at or now, "INTERRUPTED")
        shown = {event.seq: event for event in (*self._first, *self._notable, *self._last)}
        kept = [shown[seq] for seq in sorted(shown)]
        return RunPass(kept, self._total, self._executions, self._spans, self._ends, self._versions)
