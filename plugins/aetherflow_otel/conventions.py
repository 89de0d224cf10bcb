"""The attributes of spans and log records: the semantic conventions for CI/CD, and ours beside them.

Names: https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/ and `registry/attributes/cicd`. What they
do not name begins with `aetherflow.`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

MOST_CHARACTERS = 8000
"""How much of a text an attribute has."""

_RESULTS = {
    "SUCCESS": "success",
    "FAILED": "failure",
    "SKIPPED": "skip",
    "BLOCKED": "skip",
    "CANCELLED": "cancellation",
}
_OF_SPAN = frozenset(
    {
        *("schema", "seq", "sub_seq", "timestamp", "level", "event", "message", "trace_id", "span_id"),
        *("flow_id", "run_id", "job_id", "step_id", "duration_seconds", "status", "error", "traceparent"),
        *("tracestate", "resumed_in", "params"),
    }
)
"""The fields that a span says otherwise, or does not say."""


def attributes_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span that a record begins or ends."""
    found: dict[str, Any] = {}
    if job_id := record.get("job_id"):
        step_id = record.get("step_id", "")
        found["cicd.pipeline.task.name"] = task_name(record)
        place = [record["run_id"], job_id, step_id, str(record.get("attempt", "")) if step_id else ""]
        found["cicd.pipeline.task.run.id"] = "/".join(part for part in place if part)
    else:  # spans of jobs and steps have these as attributes of their resource
        found["cicd.pipeline.action.name"] = "RUN"
        found |= {"cicd.pipeline.name": record["flow_id"], "cicd.pipeline.run.id": record["run_id"]}
    return found | own_attributes(record)


def task_name(record: Mapping[str, Any]) -> str:
    """Return the name of the job of a record, or of its step."""
    job_id, step_id = record["job_id"], record.get("step_id")
    return f"{job_id}.{step_id}" if step_id else job_id


def result_of(status: str, record: Mapping[str, Any], *, timed_out: bool = False) -> str:
    """Return a status in the words of the conventions."""
    error = record.get("error") or {}
    if status == "FAILED" and error.get("kind") == "timeout":
        return "timeout"
    if status == "CANCELLED" and timed_out:
        return "timeout"
    return _RESULTS.get(status, "error")


def own_attributes(record: Mapping[str, Any], elsewhere: Collection[str] = _OF_SPAN) -> dict[str, Any]:
    """Return the fields of a record as `aetherflow.FIELD`, without those that are said elsewhere."""
    return {f"aetherflow.{name}": plain(value) for name, value in record.items() if name not in elsewhere}


def plain(value: Any) -> Any:
    """Return a value as an attribute: a number, a truth value, or a text; a mapping or list as JSON."""
    if isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
