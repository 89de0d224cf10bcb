"""The record of an event: ids, durations, items and failures, and a line that would be too long."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from aetherflow.errors import ErrorInfo
from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunPersisted,
    RunStarted,
    StepFinished,
    StepOutput,
    StepStarted,
)
from aetherflow.observe.event_record import MOST_BYTES, Recorder
from tests.observe.demo_run import AT, RUN

STEP: dict[str, Any] = {**RUN, "job_id": "load[3]", "step_id": "read", "step_type": "external.process"}
BEGINNING: list[Event] = [
    RunStarted(**RUN, flow_file="demo.yaml", owner="host:1"),
    RunPersisted(**RUN, state="/var/s.sqlite", logs="/var/s.logs/r1"),
    JobStarted(**RUN, job_id="load[3]", item="south"),
]


def records(*events: Event) -> list[dict[str, Any]]:
    """Return the records of events that follow the beginning of a run."""
    recorder = Recorder()
    return [recorder.record(event) for event in (*BEGINNING, *events)][len(BEGINNING) :]


def cut_line(event: Event) -> dict[str, Any]:
    """Return the line of a large event, which is cut."""
    recorder = Recorder()
    for one in BEGINNING:
        recorder.skip(one)
    line = recorder.line(event)
    assert len(line) <= MOST_BYTES
    assert line.endswith(b"}\n")
    record: dict[str, Any] = json.loads(line)
    assert record["cut"]["bytes"] > MOST_BYTES
    return record


def test_the_events_of_an_instance_name_its_item_and_a_job_how_long_it_took() -> None:
    step, job, later = records(
        StepStarted(**STEP),
        JobFinished(**RUN | {"at": AT + timedelta(seconds=90)}, job_id="load[3]", status="SUCCESS"),
        Notice(**RUN, job_id="load[3]", level="info", message="after the end"),
    )

    assert (step["item"], step["attempt"]) == ("south", 1)
    assert (job["item"], job["duration_seconds"]) == ("south", 90.0)
    assert "item" not in later
    assert "attempt" not in later


def test_a_job_that_did_not_begin_has_no_duration() -> None:
    (job,) = records(JobFinished(**RUN, job_id="other", status="SKIPPED", reason="when is false"))

    assert "duration_seconds" not in job
    assert job["reason"] == "when is false"
    assert job["message"] == "other: SKIPPED: when is false"


def test_ids_of_trace_and_span_have_the_sizes_of_the_w3c_and_come_from_the_ids_alone() -> None:
    of_step, of_job, of_run = records(
        StepStarted(**STEP),
        JobFinished(**RUN, job_id="load[3]", status="SUCCESS"),
        RunFinished(**RUN, status="SUCCESS", duration_seconds=1.0),
    )
    assert len({one["span_id"] for one in (of_step, of_job, of_run)}) == 3
    assert {len(one["span_id"]) for one in (of_step, of_job, of_run)} == {16}
    assert {one["trace_id"] for one in (of_step, of_job, of_run)} == {"ea420ac58258ea17cd03959d90d6bd57"}
    assert of_run["span_id"] == "2ac603f9ffc8ce9e"


def test_a_summary_carries_the_first_failures_how_many_more_and_the_command_that_resumes() -> None:
    failed = [
        StepFinished(
            **STEP | {"job_id": f"load[{number}]"},
            status="FAILED",
            error=ErrorInfo(code="AF732", message=f"exit code {number}", detail={"exit_code": number}),
        )
        for number in range(25)
    ]
    *_, summary = records(*failed, RunFinished(**RUN, status="FAILED", duration_seconds=1.0))

    assert [one["error"]["message"] for one in summary["failures"]] == [f"exit code {n}" for n in range(20)]
    assert summary["failures"][3]["job_id"] == "load[3]"
    assert summary["more_failures"] == 5
    assert summary["resume"] == "aetherflow runs retry r1 --state /var/s.sqlite"


def test_a_summary_has_the_item_and_the_place_of_what_failed_in_several_instances_once() -> None:
    plan = [PlannedJob(id="load", steps=[PlannedStep(id="read", type="t", line=12)])]
    error = ErrorInfo(code="AF700", message="no such file")
    events: list[Event] = [
        RunStarted(**RUN, flow_file="flow.yaml", owner="x", plan=plan),
        JobStarted(**RUN, job_id="load", items=["a.csv", "b.csv", "c.csv"]),
    ]
    for number, item in enumerate(("a.csv", "b.csv")):
        job_id = f"load[{number}]"
        events.append(JobStarted(**RUN, job_id=job_id, item=item))
        events.append(StepFinished(**STEP | {"job_id": job_id}, status="FAILED", error=error))
    *_, summary = records(*events, RunFinished(**RUN, status="FAILED", duration_seconds=1.0))

    assert summary["failures"] == [
        {
            "job_id": "load[0]",
            "step_id": "read",
            "step_type": STEP["step_type"],
            "item": "a.csv",
            "place": "flow.yaml:12",
            "count": 2,
            "items": ("a.csv", "b.csv"),
            "of": 3,
            "error": {"code": "AF700", "message": "no such file"},
        }
    ]


def test_a_long_line_of_output_is_cut_with_the_log_file_that_has_all_of_it() -> None:
    record = cut_line(StepOutput(**STEP, stream="stdout", text="\x1b[31m" + "ü" * 60_000))

    assert record["cut"]["fields"] == ["text"]
    assert record["cut"]["file"] == "/var/s.logs/r1/load[3]/read.1.log"
    assert record["text"].startswith("\x1b[31müü")
    assert record["message"].startswith("üü")


@pytest.mark.parametrize("character", ["x", "ü", "\x00", "\udc80", "💥"])
def test_large_outputs_are_left_out_with_the_database_that_has_them(character: str) -> None:
    outputs = {"rows": 3, "text": character * 70_000}
    record = cut_line(StepFinished(**STEP, status="SUCCESS", outputs=outputs, job_outputs={"a": 1}))

    assert record["cut"]["fields"] == ["outputs"]
    assert record["cut"]["file"] == "/var/s.sqlite"
    assert (record["status"], record["job_outputs"]) == ("SUCCESS", {"a": 1})


def test_a_large_error_keeps_the_beginning_of_its_message() -> None:
    error = ErrorInfo(code="AF732", message="first " + "x" * 70_000, hint="look", detail={"log": "y" * 9000})
    record = cut_line(StepFinished(**STEP, status="FAILED", error=error))

    assert record["error"]["message"].startswith("first xxx")
    assert (record["error"]["hint"], "detail" in record["error"]) == ("look", False)


def test_a_long_notice_and_a_long_reason_are_cut_too() -> None:
    notice = cut_line(Notice(**RUN, level="error", message="trace\n" + "x" * 70_000))
    job = cut_line(JobFinished(**RUN, job_id="a", status="FAILED", reason="why " + "x" * 70_000))

    assert notice["message"].startswith("trace\nxxx")
    assert notice["cut"]["fields"] == ["message"]
    assert "file" not in notice["cut"]
    assert job["reason"].startswith("why xxx")


def test_a_large_summary_names_the_database_that_has_the_rest() -> None:
    stale = {f"job{number}": ["load"] for number in range(10_000)}
    record = cut_line(RunFinished(**RUN, status="SUCCESS", duration_seconds=1.0, stale=stale))

    assert "stale" in record["cut"]["fields"]
    assert record["cut"]["file"] == "/var/s.sqlite"


def test_many_large_failures_still_fit_in_the_summary() -> None:
    recorder = Recorder()
    for number in range(20):
        error = ErrorInfo(code="AF732", message=f"{number} " + "\x00" * 9000)
        recorder.skip(StepFinished(**STEP | {"job_id": f"j{number}"}, status="FAILED", error=error))
    line = recorder.line(RunFinished(**RUN, status="FAILED", duration_seconds=1.0))

    assert len(line) <= MOST_BYTES
    assert json.loads(line)["cut"]["fields"] == ["failures"]
