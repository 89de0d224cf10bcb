"""Make the record of an event, one line of JSON: the log, `--events` and `aetherflow events` all write it.

A record begins with the fields of `EventRecord`, in that order; those of the kind of event follow.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.events.nested_steps import outer_step
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunResumed,
    RunStarted,
    StepEvent,
    StepFinished,
    StepOutput,
    StepPlaced,
    StepStarted,
)
from aetherflow.events.schedule_events import ScheduleEvent, ScheduleNotice
from aetherflow.events.trace_ids import RunTrace
from aetherflow.observe.event_level import Level, level_of
from aetherflow.observe.event_text import one_line, sentence
from aetherflow.observe.line_writer import json_line
from aetherflow.observe.run_failures import Digest, Failure, digested, log_file
from aetherflow.observe.run_summary import repeat_command, resume_command
from aetherflow.observe.shared_lines import SharedLines

SCHEMA: Literal["aetherflow.event/1"] = "aetherflow.event/1"
"""The version of the record; a field that gets another meaning or goes away raises it."""

MOST_BYTES = 1 << 16
"""A longer line is cut."""

MESSAGE_CHARACTERS = 1000
KEPT_CHARACTERS = 8000
FAILURE_CHARACTERS = 200
"""How much of a text is left in a line that is cut; a character may take six bytes."""
ROOM_BYTES = 8192
"""For the field that says what is cut: it names a file."""
ENVELOPE_BYTES = 4096
"""For what a CloudEvent has around a record."""

_INTERNAL = frozenset(
    {
        "at",
        "definition",
        "when",
        "for_each",
        "ending_count",
        "plan",
        "is_usual_state",
        "resume_from",
        "kept_jobs",
        "kept_instances",
    }
)
"""Fields of events that only later processes, hints or the live tree need: fingerprints, counters, jobs."""
_NUMBERS = frozenset({int, float, bool})
"""Zero and false say something, unlike other empty values."""
_ZERO_IS_EMPTY = frozenset(
    {
        "max_attempts",
        "recoveries",
        "was_interrupted",
        "is_planned",
        "more_bytes",
        "is_unfinished",
        "is_reattached",
    }
)


_BEGINNINGS = (RunStarted, RunResumed)
_NOTICES = (Notice, ScheduleNotice)


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What the records of all events have in common. A field that does not apply is absent.

    Attributes:
        schema: the version of the record.
        seq: the number of the event in the history of the run: 1, 2, 3 ... over all its resumes, and the same
            in every channel. An event that is not stored has the number of the stored one before it; events
            of a server have none.
        sub_seq: of an event that is not stored, which one it is after `seq`: 1, 2, 3 ...; of an event of a
            server, which one it is since the server started.
        timestamp: when it happened: RFC 3339, UTC.
        level: how much it matters.
        event: what happened: the kind of event.
        message: the same for people, one sentence on one line.
        scheduler: the id of the scheduler file.
        item_id: the item of the scheduler file.
        flow_id: the flow.
        run_id: the run.
        job_id: the job; of a job with `for_each` also an instance: `load[3]`.
        step_id: the step.
        step_type: the type of the step.
        item: the item of the instance, in few characters.
        attempt: of a step which attempt, from 1 on; of a resume which execution of the run.
        duration_seconds: how long it took: a run or a step that ended, a job from its start to its end.
        reason: why.
        trace_id: of the run: 32 hexadecimal digits (W3C), computed from the ids of flow and run; of a run
            that was started inside a trace (`TRACEPARENT`), the id of that one.
        span_id: of the attempt of the step, else the job, else the run: 16 hexadecimal digits, computed from
            the ids. Each execution of the run has its own.
    """

    schema: Literal["aetherflow.event/1"]
    seq: int = 0
    sub_seq: int = 0
    timestamp: datetime
    level: Level
    event: str
    message: str
    scheduler: str = ""
    item_id: str = ""
    flow_id: str = ""
    run_id: str = ""
    job_id: str = ""
    step_id: str = ""
    step_type: str = ""
    item: str = ""
    attempt: int = 0
    duration_seconds: float | None = None
    reason: str = ""
    trace_id: str = ""
    span_id: str = ""


class Cut(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is missing in a line that would have been too long.

    Attributes:
        fields: the fields that are shorter than they were, or left out.
        bytes: how long the whole line was.
        file: the file that has all of it: the log of the step, or the state database; absent if none has.
    """

    fields: list[str]
    bytes: int
    file: str = ""


class _Shape(msgspec.Struct, frozen=True):
    """What is the same in all events of one kind, so that it is found once.

    Attributes:
        name: of the record.
        common: the fields of `EventRecord` that the event has by the same name.
        own: the fields that follow the common ones.
    """

    name: str
    common: tuple[str, ...]
    own: tuple[str, ...]


class _Memory(msgspec.Struct):
    """What later records of a run need from its earlier events; of jobs their start and their item.

    Attributes:
        running: the step that each job executes; a step inside it has its span.
        trace_id: of the trace.
        seq: of the last event.
        is_whole: no stored event since the beginning was missed, as those are that a slow reader loses.
    """

    digest: Digest = Digest()
    started: dict[str, tuple[datetime, str]] = {}
    running: dict[str, str] = {}
    trace: RunTrace = RunTrace("", "")
    trace_id: str = ""
    seq: int = 0
    is_whole: bool = True


class Recorder:
    """Makes the records of the events of one run or of many, given in order.

    Args:
        format: of its lines: records, or CloudEvents with a record as data.
        shared: lines that a recorder of the same format makes of the same events for another channel. One
            that has missed events leaves none: what its records say of a run is incomplete.
    """

    def __init__(
        self,
        format: Literal["json", "cloudevents"] = "json",  # noqa: A002 - the word of the setting
        shared: SharedLines | None = None,
    ) -> None:
        self._runs: dict[str, _Memory] = {}
        self._shared = shared
        self._made = _cloud_event if format == "cloudevents" else _json

    def line(self, event: Event) -> bytes:
        """Return the record of an event as a line of JSON with its end, at most MOST_BYTES long."""
        memory = self._remember(event)
        line = None if self._shared is None else self._shared.take(event)
        if line is None:
            line = self._made(event, memory)
            if self._shared is not None and memory.is_whole:
                self._shared.leave(event, line)
        _forget(event, memory)
        return line

    def record(self, event: Event) -> dict[str, Any]:
        """Return the record of an event as a mapping of JSON values."""
        memory = self._remember(event)
        head, own = _parts(event, memory)
        _forget(event, memory)
        plain: dict[str, Any] = msgspec.to_builtins(head) | msgspec.to_builtins(own)
        return plain

    def skip(self, event: Event) -> None:
        """Take in an event that gets no record here; a later one may need it."""
        _forget(event, self._remember(event))

    def _remember(self, event: Event) -> _Memory:
        """Return what is remembered of the run of an event, with the event."""
        if isinstance(event, ScheduleEvent):
            return _memory_of(event)
        memory = self._runs.get(event.run_id)
        if memory is None or isinstance(event, _BEGINNINGS):
            memory = self._runs[event.run_id] = _memory_of(event)
            memory.is_whole, memory.seq = isinstance(event, _BEGINNINGS), event.seq
        # An event that is not stored has the number of the stored one before it.
        if event.seq > (memory.seq if event.sub_seq else memory.seq + 1):
            memory.is_whole = False
        memory.seq = event.seq
        match event:
            case StepStarted() | StepPlaced():
                memory.running[event.job_id] = event.step_id
            case StepFinished():
                memory.running.pop(event.job_id, None)
                if event.status == "FAILED":
                    memory.digest = digested(memory.digest, event)
            case RunFinished():
                del self._runs[event.run_id]
            case _:
                if isinstance(event, JobStarted):
                    memory.started[event.job_id] = event.at, event.item
                memory.digest = digested(memory.digest, event)
        return memory


def record_name(kind: type[Event]) -> str:
    """Return the name that the records of a kind of event have; the end of a run is its `run_summary`."""
    return "run_summary" if kind is RunFinished else str(kind.__struct_config__.tag)


def _json(event: Event, memory: _Memory) -> bytes:
    return _line(event, memory, MOST_BYTES)[1]


def _cloud_event(event: Event, memory: _Memory) -> bytes:
    from aetherflow.observe.cloud_event import cloud_event  # noqa: PLC0415 - rarely used

    return cloud_event(*_line(event, memory, MOST_BYTES - ENVELOPE_BYTES))


def _line(event: Event, memory: _Memory, most: int) -> tuple[EventRecord, bytes]:
    head, own = _parts(event, memory)
    line = _encoded(head, own)
    if len(line) > most:
        cut = Cut(fields=[], bytes=len(line), file=_file_of(event, memory.digest))
        line = _encoded(*_cut(head, own, cut, most))
    return head, line


def _forget(event: Event, memory: _Memory) -> None:
    """Forget what only the record of this event needed."""
    if isinstance(event, JobFinished):
        memory.started.pop(event.job_id, None)


def _parts(event: Event, memory: _Memory) -> tuple[EventRecord, dict[str, Any]]:
    """Return the common fields and those of the event."""
    shape = _shape(type(event))
    own = {}
    if isinstance(event, RunFinished):
        own = {name: getattr(event, name) for name in shape.own if name != "stale" or event.stale}
        return _head(event, memory, shape), own | _summary(event, memory.digest)
    for name in shape.own:
        value = getattr(event, name)
        if value or (type(value) in _NUMBERS and name not in _ZERO_IS_EMPTY):
            own[name] = value
    return _head(event, memory, shape), own


def _file_of(event: Event, digest: Digest) -> str:
    """Return the file that has all of an event; empty if none has."""
    if isinstance(event, Notice):
        return ""
    if isinstance(event, StepOutput):
        return log_file(digest.logs, event) if digest.logs else ""
    return digest.state


def _memory_of(event: Event) -> _Memory:
    trace = _trace_of(event)
    return _Memory(trace=trace, trace_id=trace.trace_id)


def _trace_of(event: Event) -> RunTrace:
    if not isinstance(event, RunStarted | RunResumed):
        return RunTrace(event.flow_id, event.run_id)
    execution = event.attempt if isinstance(event, RunResumed) else 1
    return RunTrace(event.flow_id, event.run_id, event.traceparent, execution=execution)


def _span_of(event: Event, memory: _Memory, job_id: str, step_id: str) -> str:
    """Return the span of an event; a step inside another step (`with_lock`) has the span of that one."""
    running = memory.running.get(job_id)
    if running and step_id != running:
        step_id = outer_step(step_id, running.__eq__)
    return memory.trace.span_id(job_id, step_id, event.attempt if isinstance(event, StepEvent) else 1)


def _head(event: Event, memory: _Memory, shape: _Shape) -> EventRecord:
    fields: dict[str, Any] = {name: getattr(event, name) for name in shape.common}
    job_id = fields.get("job_id", "")
    if job_id and (known := memory.started.get(job_id)) is not None:
        began, fields["item"] = known
        if isinstance(event, JobFinished):
            fields["duration_seconds"] = max((event.at - began).total_seconds(), 0.0)
    if event.run_id:
        fields["trace_id"] = memory.trace_id
        fields["span_id"] = _span_of(event, memory, job_id, fields.get("step_id", ""))
    fields["message"] = _message(event)
    return EventRecord(
        schema=SCHEMA, timestamp=event.at.astimezone(UTC), level=level_of(event), event=shape.name, **fields
    )


def _message(event: Event) -> str:
    """Return one sentence about an event: what it says itself, else its first line for people."""
    if isinstance(event, _NOTICES):
        return event.message
    if isinstance(event, StepOutput):
        text = one_line(event.text.rstrip())
    else:
        words = sentence(event) or record_name(type(event))
        text = words.partition("\n")[0].replace("  ", ": ", 1)
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"


def _summary(event: RunFinished, digest: Digest) -> dict[str, Any]:
    """Return what failed in a run, and the command that resumes it."""
    more: dict[str, Any] = {}
    if digest.failures:
        more["failures"] = list(digest.failures)
    if digest.more:
        more["more_failures"] = digest.more
    if digest.state and (command := resume_command(event, digest)):
        more["resume"] = command
    if digest.state and (command := repeat_command(event, digest)):
        more["repeat"] = command
    return more


@cache
def _shape(kind: type[Event]) -> _Shape:
    made_here = {"level", "message", "item"}
    common = tuple(
        name
        for name in EventRecord.__struct_fields__
        if name in kind.__struct_fields__ and name not in made_here
    )
    return _Shape(record_name(kind), common, own_fields(kind))


@cache
def own_fields(kind: type[Event]) -> tuple[str, ...]:
    """Return the fields of a kind of event that follow the common ones."""
    common = {*EventRecord.__struct_fields__, *_INTERNAL}
    return tuple(name for name in kind.__struct_fields__ if name not in common)


def _encoded(head: EventRecord, own: dict[str, Any]) -> bytes:
    try:
        line = msgspec.json.encode(head)
        if own:
            line = line[:-1] + b"," + msgspec.json.encode(own)[1:]
    except UnicodeEncodeError:  # text that is no valid Unicode, as a file name of another encoding
        return json_line(msgspec.to_builtins(head) | msgspec.to_builtins(own))
    return line + b"\n"


def _cut(head: EventRecord, own: dict[str, Any], cut: Cut, most: int) -> tuple[EventRecord, dict[str, Any]]:
    """Return the fields of a record without the longest values, and what is missing."""
    fields = list(cut.fields)
    for name in ("message", "reason"):
        if len(text := getattr(head, name)) > KEPT_CHARACTERS:
            head = msgspec.structs.replace(head, **{name: _shortened(text)})
            fields.append(name)
    kept = dict(own)
    longest = sorted(own, key=lambda name: len(json_line(own[name])), reverse=True)
    for name, shortened in [(name, _shortened) for name in longest] + [(name, _left_out) for name in longest]:
        if len(_encoded(head, kept)) < most - ROOM_BYTES:
            break
        fields.append(name)
        if (shorter := shortened(kept.pop(name, None))) is not None:
            kept[name] = shorter
    return head, kept | {"cut": msgspec.structs.replace(cut, fields=list(dict.fromkeys(fields)))}


def _shortened(value: Any) -> Any:
    """Return the beginning of a text, an error without its detail; None: the value is left out."""
    match value:
        case str():
            return f"{value[:KEPT_CHARACTERS]}…" if len(value) > KEPT_CHARACTERS else value
        case ErrorInfo():
            message, hint = value.message[:KEPT_CHARACTERS], value.hint[:MESSAGE_CHARACTERS]
            return msgspec.structs.replace(value, message=message, hint=hint, detail={})
        case [Failure(), *_]:
            return [_short_failure(failure) for failure in value]
    return None


def _left_out(_value: Any) -> None:
    """Leave a value out."""


def _short_failure(failure: Failure) -> Failure:
    error, reason = failure.error, failure.reason[:FAILURE_CHARACTERS]
    if error is not None:
        message = error.message[:FAILURE_CHARACTERS]
        error = msgspec.structs.replace(error, message=message, hint="", detail={})
    return msgspec.structs.replace(failure, error=error, reason=reason)
