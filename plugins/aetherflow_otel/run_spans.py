"""Make the spans of one execution of a run from the records of its events.

The names follow the semantic conventions for CI/CD: the run is a pipeline run, its jobs and the attempts of
its steps are task runs. Ids are those of the records. Only what has not ended is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from aetherflow_otel.conventions import attributes_of, own_attributes, result_of, task_name

Record = Mapping[str, Any]

MOST_EVENTS = 128
"""How many events a span has at most (the default of OTEL_SPAN_EVENT_COUNT_LIMIT)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVENTS = frozenset(
    {
        *("step_waiting", "step_placed", "result_refused", "lock_awaited", "lock_taken", "step_retrying"),
        *("cancel_requested", "hooks_started"),
        *("effect_intended", "effect_confirmed"),
    }
)
"""The records that are events of a span; a notice is one if it is a warning."""


class _OpenSpan:
    """A span that has not ended."""

    def __init__(self, record: Record, name: str, parent: SpanContext | None, kind: SpanKind) -> None:
        self.name = name
        self.parent = parent
        self.kind = kind
        self.start = nanoseconds(record)
        self.attributes = attributes_of(record)
        self.links: list[Link] = []
        self.events: list[Event] = []
        self.dropped = 0
        self.context = span_context(record["trace_id"], record["span_id"])

    def add(self, record: Record) -> None:
        """Add an event, unless there are too many."""
        if len(self.events) >= MOST_EVENTS:
            self.dropped += 1
            return
        found = {"message": record["message"]} | own_attributes(record)
        self.events.append(Event(record["event"], found, nanoseconds(record)))

    def add_exception(self, record: Record) -> None:
        """Add the error of a record as the conventions for exceptions ask."""
        if error := record.get("error"):
            found = {"exception.type": error.get("code", ""), "exception.message": error.get("message", "")}
            self.events.append(Event("exception", found, nanoseconds(record)))


class RunSpans:
    """The spans of one execution of a run.

    Args:
        resource: what sends them.
        scope: the name and version of what made them.
    """

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        self._resource = resource
        self._scope = scope
        self._run: _OpenSpan | None = None
        self._jobs: dict[str, _OpenSpan] = {}
        self._steps: dict[str, _OpenSpan] = {}
        self._ended: dict[str, set[str]] = {}
        self._last = 0
        self._timed_out = False

    def take(self, record: Record) -> list[ReadableSpan]:
        """Take the next record; return the spans that it ends."""
        self._last = max(self._last, nanoseconds(record))
        match record["event"]:
            case "run_started" | "run_resumed":
                self._start_run(record)
            case "job_started":
                parent = self._jobs.get(_whole_job(record["job_id"])) or self._run
                self._jobs[record["job_id"]] = _span(record, record["job_id"], parent)
            case "step_started" | "step_placed":
                self._start_step(record)
            case "step_retrying":
                self._add_event(record)
                return self._end_step(record, "FAILED")
            case "step_finished":
                return self._end_step(record, record["status"])
            case "job_finished":
                return self._end_job(record)
            case "run_summary":
                return self._end_run(record)
            case "cancel_requested":
                self._timed_out = record.get("cause") == "timeout"
                self._add_event(record)
            case kind if kind in _EVENTS or (kind == "notice" and record["level"] in ("warning", "error")):
                self._add_event(record)
        return []

    def left(self) -> list[ReadableSpan]:
        """Return what has not ended, as far as it came: the run is left to another execution."""
        run = [] if self._run is None else [self._run]
        spans = [*self._steps.values(), *reversed(self._jobs.values()), *run]
        self._steps, self._jobs, self._run = {}, {}, None
        return [self._ended_span(span, self._last, Status()) for span in spans]

    def _start_run(self, record: Record) -> None:
        outer = record.get("traceparent", "")
        parent = _context_of(outer) if outer else None
        run = _OpenSpan(record, f"RUN {record['flow_id']}", parent, SpanKind.SERVER)
        if resumed_in := record.get("resumed_in"):
            run.links.append(Link(_context_of(resumed_in)))
        self._run, self._jobs, self._steps, self._ended = run, {}, {}, {}

    def _start_step(self, record: Record) -> None:
        if record["event"] == "step_placed" and record["job_id"] in self._steps:
            self._add_event(record)
            return  # one that has no span was begun before the run was resumed
        parent = self._jobs.get(record["job_id"]) or self._run
        self._steps[record["job_id"]] = _span(record, task_name(record), parent)

    def _add_event(self, record: Record) -> None:
        """Add an event to the span of a record: of its step, else of its job, else of the run."""
        job_id = record.get("job_id", "")
        found = self._steps.get(job_id)
        if found is None or found.context.span_id != int(record["span_id"], 16):
            found = self._jobs.get(job_id) or self._run
        if found is not None:
            found.add(record)

    def _end_step(self, record: Record, status: str) -> list[ReadableSpan]:
        job_id, span_id = record["job_id"], record["span_id"]
        span = self._steps.get(job_id)
        if span is None or span.context.span_id != int(span_id, 16):
            if span_id in self._ended.get(job_id, ()):  # cancelled while it waited for its next attempt
                self._add_event(record)
                return []
            parent = self._jobs.get(job_id) or self._run
            span = _span(record, task_name(record), parent)
        else:
            del self._steps[job_id]
        self._ended.setdefault(job_id, set()).add(span_id)
        return [self._finished(span, record, status, "cicd.pipeline.task.run.result")]

    def _end_job(self, record: Record) -> list[ReadableSpan]:
        job_id = record["job_id"]
        self._ended.pop(job_id, None)
        span = self._jobs.pop(job_id, None)
        if span is None:
            parent = self._jobs.get(_whole_job(job_id)) or self._run
            span = _span(record, job_id, parent)
        return [self._finished(span, record, record["status"], "cicd.pipeline.task.run.result")]

    def _end_run(self, record: Record) -> list[ReadableSpan]:
        run, self._run = self._run, None
        spans = self.left()
        if run is None:  # the run began before this observer
            run = _OpenSpan(record, f"RUN {record['flow_id']}", None, SpanKind.SERVER)
        return [*spans, self._finished(run, record, record["status"], "cicd.pipeline.result")]

    def _finished(self, span: _OpenSpan, record: Record, status: str, key: str) -> ReadableSpan:
        result = result_of(status, record, timed_out=self._timed_out)
        span.attributes |= attributes_of(record) | {key: result, "aetherflow.status": status}
        span.add_exception(record)
        ended = Status()
        if result in ("failure", "error", "timeout"):
            error = record.get("error") or {}
            span.attributes["error.type"] = error.get("code") or result
            ended = Status(StatusCode.ERROR, error.get("message") or record["message"])
        return self._ended_span(span, nanoseconds(record), ended)

    def _ended_span(self, span: _OpenSpan, end: int, status: Status) -> ReadableSpan:
        if span.dropped:
            span.attributes["aetherflow.dropped_events"] = span.dropped
        return ReadableSpan(
            span.name,
            span.context,
            span.parent,
            self._resource,
            span.attributes,
            span.events,
            span.links,
            span.kind,
            status=status,
            start_time=span.start,
            end_time=max(end, span.start),
            instrumentation_scope=self._scope,
        )


def nanoseconds(record: Record) -> int:
    """Return when a record was made, in nanoseconds since 1970."""
    return (datetime.fromisoformat(record["timestamp"]) - _EPOCH) // timedelta(microseconds=1) * 1000


def _span(record: Record, name: str, parent: _OpenSpan | None) -> _OpenSpan:
    return _OpenSpan(record, name, None if parent is None else parent.context, SpanKind.INTERNAL)


def _whole_job(job_id: str) -> str:
    """Return the job of an instance `load[3]`; another job has none."""
    return job_id.rpartition("[")[0] if job_id.endswith("]") else ""


def span_context(trace_id: str, span_id: str, *, is_remote: bool = False) -> SpanContext:
    """Return what a span is known by, of its ids in hexadecimal digits."""
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED))


def _context_of(traceparent: str) -> SpanContext:
    _, trace_id, span_id, _ = traceparent.split("-")
    return span_context(trace_id, span_id, is_remote=True)
