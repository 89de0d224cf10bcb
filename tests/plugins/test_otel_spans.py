"""The spans of records that a short run does not have: waits, steps without a start, a run that is left."""

from __future__ import annotations

from typing import Any

import pytest
from aetherflow_otel.conventions import MOST_CHARACTERS
from aetherflow_otel.run_spans import MOST_EVENTS, RunSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

RUN, JOB, STEP = "1" * 16, "2" * 16, "3" * 16


def record(event: str, span: str = RUN, second: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a record of a run."""
    places: dict[str, dict[str, Any]] = {
        JOB: {"job_id": "a"},
        STEP: {"job_id": "a", "step_id": "s", "attempt": 1},
    }
    return {
        "event": event,
        "timestamp": f"2026-01-31T03:30:{second:02}.000001Z",
        "level": "info",
        "message": f"{event}!",
        "flow_id": "f",
        "run_id": "r",
        "trace_id": "9" * 32,
        "span_id": span,
        **places.get(span, {}),
        **fields,
    }


def spans_of(*records: dict[str, Any], is_left: bool = False) -> dict[str, ReadableSpan]:
    """Return the spans that have ended, by name."""
    builder = RunSpans(Resource({}), InstrumentationScope("x"))
    ended = [span for one in records for span in builder.take(one)]
    found = {span.name: span for span in ended + (builder.left() if is_left else [])}
    assert is_left or builder.left() == []
    return found


BEGIN = (record("run_started"), record("job_started", JOB, 1))
END = (
    record("job_finished", JOB, 8, status="SUCCESS"),
    record("run_summary", second=9, status="SUCCESS"),
)


def test_what_a_step_waits_for_is_an_event_of_its_job_and_what_it_does_of_itself() -> None:
    spans = spans_of(
        *BEGIN,
        record("step_waiting", STEP, 2, pool="warehouse", held_by=["x"]),
        record("step_started", STEP, 3),
        record("effect_intended", STEP, 4, key="upload"),
        record("notice", STEP, 4, level="warning"),
        record("notice", STEP, 4, level="info"),
        record("step_finished", STEP, 5, status="SUCCESS"),
        *END,
    )

    (waited,) = spans["a"].events
    assert waited.name == "step_waiting"
    assert dict(waited.attributes or {})["aetherflow.pool"] == "warehouse"
    assert dict(waited.attributes or {})["aetherflow.held_by"] == '["x"]'
    assert [event.name for event in spans["a.s"].events] == ["effect_intended", "notice"]
    start, end = spans["a.s"].start_time, spans["a.s"].end_time
    assert start is not None
    assert end is not None
    assert (end - start, start % 1_000_000_000) == (2_000_000_000, 1000)


def test_a_step_that_did_not_start_has_a_span_without_length() -> None:
    spans = spans_of(*BEGIN, record("step_finished", STEP, 2, status="SKIPPED", reason="no data"), *END)

    step = spans["a.s"]
    assert step.start_time == step.end_time
    assert dict(step.attributes or {})["cicd.pipeline.task.run.result"] == "skip"
    assert dict(step.attributes or {})["aetherflow.reason"] == "no data"


def test_a_step_cancelled_while_it_waits_for_its_next_attempt_has_no_second_span() -> None:
    failed = {"error": {"code": "AF1", "message": "no"}, "wait_seconds": 60}
    builder = RunSpans(Resource({}), InstrumentationScope("x"))
    records = [
        *BEGIN,
        record("step_started", STEP, 2),
        record("step_retrying", STEP, 3, **failed),
        record("cancel_requested", second=4, cause="timeout"),
        record("step_finished", STEP, 4, status="CANCELLED"),
        record("job_finished", JOB, 4, status="CANCELLED"),
        record("run_summary", second=5, status="CANCELLED"),
    ]

    ended = [span for one in records for span in builder.take(one)]

    assert [span.name for span in ended] == ["a.s", "a", "RUN f"]
    assert [event.name for event in ended[1].events] == ["step_finished"]
    assert [event.name for event in ended[2].events] == ["cancel_requested"]
    assert dict(ended[2].attributes or {})["cicd.pipeline.result"] == "timeout"


def test_a_run_that_its_server_leaves_has_spans_as_far_as_it_came() -> None:
    spans = spans_of(*BEGIN, record("step_started", STEP, 2), record("notice", second=7), is_left=True)

    assert spans.keys() == {"a.s", "a", "RUN f"}
    assert {span.end_time for span in spans.values()} == {spans["a"].end_time}
    assert not any("result" in key for span in spans.values() for key in span.attributes or {})


@pytest.mark.parametrize("count", [MOST_EVENTS, MOST_EVENTS + 7])
def test_a_span_has_so_many_events_and_counts_the_others(count: int) -> None:
    noisy = [record("notice", JOB, 2, level="warning", text="x" * 2 * MOST_CHARACTERS)] * count

    job = spans_of(*BEGIN, *noisy, *END)["a"]

    assert len(job.events) == MOST_EVENTS
    assert dict(job.attributes or {}).get("aetherflow.dropped_events", 0) == count - MOST_EVENTS
    assert len(str(dict(job.events[0].attributes or {})["aetherflow.text"])) == MOST_CHARACTERS + 1
