"""Make OpenTelemetry log records of the records of events, as the page `events` of the manual maps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from aetherflow_otel.conventions import own_attributes, plain, result_of, task_name
from aetherflow_otel.run_spans import nanoseconds, span_context

_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}
_ELSEWHERE = frozenset(
    {
        *("schema", "timestamp", "level", "event", "message", "trace_id", "span_id", "flow_id", "run_id"),
        *("job_id", "step_id", "status", "error"),
    }
)
"""The fields that have a place of their own."""


def log_record(
    record: Mapping[str, Any], resource: Resource, scope: InstrumentationScope
) -> ReadableLogRecord:
    """Return the log record of an event."""
    time = nanoseconds(record)
    made = LogRecord(
        timestamp=time,
        observed_timestamp=time,
        context=_context(record),
        severity_text=record["level"],
        severity_number=_SEVERITIES[record["level"]],
        body=plain(record["message"]),
        attributes=_attributes(record),
        event_name=f"aetherflow.{record['event']}",
    )
    return ReadableLogRecord(made, resource, scope)


def _attributes(record: Mapping[str, Any]) -> dict[str, Any]:
    found = own_attributes(record, _ELSEWHERE)
    found |= {"cicd.pipeline.name": record["flow_id"], "cicd.pipeline.run.id": record["run_id"]}
    if record.get("job_id"):
        found["cicd.pipeline.task.name"] = task_name(record)
    if status := record.get("status"):
        key = "cicd.pipeline.task.run.result" if record.get("job_id") else "cicd.pipeline.result"
        found |= {key: result_of(status, record), "aetherflow.status": status}
    if error := record.get("error"):
        found |= {
            "error.type": error.get("code", ""),
            "exception.message": plain(error.get("message", "")),
        }
    return found


def _context(record: Mapping[str, Any]) -> Any:
    if not record.get("trace_id"):
        return None
    span = span_context(record["trace_id"], record["span_id"])
    return set_span_in_context(NonRecordingSpan(span))
