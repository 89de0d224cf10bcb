"""What messages about runs say: subjects, bodies, and what is cut."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.observe.message_text import SHORT_CHARACTERS, MessageFacts, message_values, shortened_middle

AT = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
IDS: dict[str, Any] = {"at": AT, "flow_id": "nightly", "run_id": "r1"}


def facts(event: Any, **more: Any) -> MessageFacts:
    """Return the facts of a run that took 65 s; its step failed if that is the event."""
    started = e.RunStarted(flow_file="flow.yaml", owner="me", secrets=["token"], **IDS)
    error = ErrorInfo("AF732", "exit code 1: cp\nno space", hint="make room")
    failed = [
        e.StepFinished(
            job_id="load", step_id="copy", step_type="external.process", status="FAILED", error=error, **IDS
        ),
        e.StepFinished(
            job_id="@notify-1", step_id="mail", step_type="mail_send", status="FAILED", error=error, **IDS
        ),
    ]
    given = {
        "flow_id": "nightly",
        "run_id": "r1",
        "status": "FAILED",
        "reason": "job load failed",
        "events": [started, *(failed if event == "failure" else [])],
        "state": "/srv/state.sqlite",
        "ended_at": AT + timedelta(seconds=65),
        "jobs": {"FAILED": 1},
    }
    return MessageFacts(event=event, **{**given, **more})


def test_a_failure_says_what_failed_and_how_to_resume() -> None:
    values = message_values(facts("failure"))
    assert values["subject"] == "[FAILED] nightly: load.copy: AF732 exit code 1: cp"
    assert values["text"].splitlines() == [
        "[FAILED] nightly: load.copy: AF732 exit code 1: cp",
        "",
        "failed: load.copy (external.process): AF732: exit code 1: cp",
        "  no space",
        "  hint: make room",
        "resume: aetherflow runs retry r1 --state /srv/state.sqlite --param token=VALUE",
        "run r1 of nightly  FAILED in 1 min 05 s: job load failed; jobs: 1 FAILED; steps: none",
    ]
    assert values["short"] == values["text"]
    assert values["duration"] == "1 min 5 s"
    assert values["item"] == "none", "an empty text is no value of a template"
    assert [(one["job"], one["step"], one["code"]) for one in values["failures"]] == [
        ("load", "copy", "AF732")
    ]


@pytest.mark.parametrize(
    ("given", "subject"),
    [
        (facts("success", status="SUCCESS", item="night"), "[SUCCESS] night (nightly)"),
        (facts("late", reason="its run is not over", item="nightly"), "[LATE] nightly: its run is not over"),
        (
            facts("recovery", status="SUCCESS", broken_since="2026-11-28T03:00:00Z"),
            "[RECOVERED] nightly: SUCCESS after a failure, reported 2026-11-28T03:00:00Z",
        ),
        (
            facts("failure", events=[], reason="exit code 3: cp\nlast lines: ..."),
            "[FAILED] nightly: exit code 3: cp",
        ),
    ],
)
def test_the_subject_is_one_line(given: MessageFacts, subject: str) -> None:
    assert message_values(given)["subject"] == subject
    assert message_values(given, "TEST ")["subject"].startswith("TEST [")


def test_of_a_run_that_is_late_there_is_a_command_that_shows_it_and_none_that_resumes_it() -> None:
    values = message_values(facts("late", reason="its run is not over", item="a", scheduled_at="2026"))
    assert values["text"].splitlines()[2:] == [
        "item a, tick 2026: its run is not over",
        "look at it: aetherflow runs show r1 --state /srv/state.sqlite",
    ]
    assert values["resume"] == "none"


def test_a_long_text_keeps_its_beginning_and_its_last_two_lines() -> None:
    text = "subject\n" + "x" * 5000 + "\nresume: it\nrun r1 FAILED\n"
    short = shortened_middle(text, SHORT_CHARACTERS)
    assert len(short) <= SHORT_CHARACTERS
    assert short.startswith("subject\nxxx")
    assert short.endswith("\nresume: it\nrun r1 FAILED")
    assert len(shortened_middle("y" * 5000, 100)) <= 100


def test_the_last_line_has_no_output_of_a_program_and_the_command_that_resumes_is_always_there() -> None:
    reason = f"job load failed: {'why ' * 300}\nlast lines of stdout:\n  {'x' * 3000}"
    error = ErrorInfo("AF732", f"exit code 1\nlast lines of stdout:\n  {'x' * 3000}")
    failed = e.StepFinished(
        job_id="load", step_id="copy", step_type="external.process", status="FAILED", error=error, **IDS
    )
    given = facts("failure", reason=reason)
    values = message_values(facts("failure", reason=reason, events=[given.events[0], failed]))
    *_, resume, end = values["short"].rstrip().splitlines()
    assert resume == "resume: aetherflow runs retry r1 --state /srv/state.sqlite --param token=VALUE"
    assert end.startswith("run r1 of nightly  FAILED in 1 min 05 s: job load failed: why")
    assert "xxx" not in values["text"].rstrip().splitlines()[-1]
    assert len(values["short"]) <= SHORT_CHARACTERS
