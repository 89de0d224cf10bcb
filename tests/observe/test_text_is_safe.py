"""What comes from outside can neither start a record nor steer the terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.errors import ErrorInfo
from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.events.run_events import (
    CancelRequested,
    Event,
    JobFinished,
    JobStarted,
    Notice,
    RunFinished,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepRetrying,
)
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.event_text import counts, duration, flat, one_line, render_text
from aetherflow.observe.run_failures import Digest, Failure, digested
from aetherflow.observe.run_summary import failure_lines, headline, render_summary, resume_command
from tests.observe.demo_run import AT

nasty = st.text(
    alphabet=st.one_of(
        st.sampled_from("\n\r\x0b\x0c\x1c\x85\u2028\u2029\x1b[]0;31m\x07\x9b\t\x00\x7f\udc80"),
        st.characters(),
    ),
    max_size=30,
)


def events_that_say(text: str) -> list[Event]:
    error = ErrorInfo(code=text, message=text, hint=text)
    run: dict[str, Any] = {"at": AT, "flow_id": text, "run_id": text}
    step: dict[str, Any] = {**run, "job_id": text, "step_id": text, "step_type": text}
    built: list[tuple[type[Event], dict[str, Any]]] = [
        (RunStarted, {**run, "flow_file": text, "owner": text, "params": {text: text}, "selected_job": text}),
        (RunResumed, {**run, "attempt": 2, "owner": text, "rerun": [text], "selected_job": text}),
        (CancelRequested, {**run, "reason": text}),
        (RunFinished, {**run, "status": "FAILED", "duration_seconds": 1.0, "reason": text}),
        (JobFinished, {**run, "job_id": text, "status": "FAILED", "error": error, "outputs": {text: text}}),
        (StepRetrying, {**step, "attempt": 1, "wait_seconds": 1.0, "error": error}),
        (StepFinished, {**step, "status": "SKIPPED", "reason": text, "outputs": {text: text}}),
        (StepOutput, {**step, "stream": "stdout", "text": text}),
        (Notice, {**step, "level": "info", "message": text, "code": text}),
    ]
    return [kind(**fields) for kind, fields in built]


def is_calm(text: str) -> bool:
    """Whether only tabs and line ends are left of what could steer a terminal."""
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in text.replace("\t", "").replace("\n", ""))


@given(text=nasty)
def test_no_text_can_start_a_line_at_the_margin_or_steer_the_terminal(text: str) -> None:
    for event in events_that_say(text):
        shown = render_text(event, detail=True) or ""
        lines = shown.splitlines()
        assert all(line.startswith("22:14:03 ") for line in lines)
        assert len(lines) == 1 or isinstance(event, Notice)
        assert is_calm(shown)
        shown.encode()  # lone surrogates would break the stream


@given(text=nasty)
def test_a_summary_is_as_safe_as_a_line(text: str) -> None:
    failure = Failure(text, text, text, error=ErrorInfo(code=text, message=text, hint=text))
    end = RunFinished(at=AT, flow_id=text, run_id=text, status="FAILED", duration_seconds=1)

    shown = render_summary(end, Digest(state=text, secrets=(text,), failures=(failure,), more=1))

    assert all(line.startswith("22:14:03 ERROR run ") for line in shown.splitlines())
    assert is_calm(shown)


@given(text=nasty)
def test_a_record_is_one_line_of_json_whatever_the_text(text: str) -> None:
    for event in events_that_say(text):
        line = Recorder().line(event)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b[\x1b[0m31mnested", "\\x1b[31mnested"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("50%\r100%", "50%\\r100%"),
        ("a\nb", "a\\nb"),
        ("c1 \x9b31m", "c1 \\x9b31m"),
        ("line\u2028separator", "line\\u2028separator"),
        ("bad \udc80 byte", "bad \\udc80 byte"),
        ("Grüße 数", "Grüße 数"),
    ],
)
def test_control_characters_become_visible_and_colours_go(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_text_of_several_lines_is_put_on_one() -> None:
    assert flat("a\r\n  b\n\nc\x1b[31m") == "a; b; c"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0.00 s"),
        (0.214, "0.21 s"),
        (59.99, "59.99 s"),
        (59.999, "1 min 00 s"),
        (125.4, "2 min 05 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (93784, "26 h 03 min"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_counts_leave_out_what_is_zero() -> None:
    assert counts({"SUCCESS": 3, "FAILED": 0, "BLOCKED": 1}) == "3 SUCCESS, 1 BLOCKED"
    assert counts({}) == "none"


def test_a_summary_lists_what_failed_and_the_command_that_resumes() -> None:
    error = ErrorInfo(code="AF700", message="no such table", hint="create it")
    run: dict[str, Any] = {"at": AT, "flow_id": "demo", "run_id": "r1"}
    digest = Digest()
    for event in (
        RunStarted(**run, flow_file="my flows/demo.yaml", owner="x", selected_job="load"),
        RunPersisted(**run, state="/my states/s.sqlite", secrets=["token"]),
        StepFinished(**run, job_id="load", step_id="put", step_type="db_load", status="FAILED", error=error),
        JobFinished(**run, job_id="load", status="FAILED", error=error),
        JobFinished(**run, job_id="gate", status="FAILED", error=ErrorInfo(code="AF300", message="bad when")),
        JobFinished(**run, job_id="later", status="BLOCKED", reason="load FAILED"),
    ):
        digest = digested(digest, event)
    end = RunFinished(
        **run, status="FAILED", duration_seconds=6.2, jobs={"FAILED": 2, "BLOCKED": 1}, steps={"FAILED": 1}
    )

    assert render_summary(end, digest).splitlines() == [
        f"22:14:03 ERROR run r1 of demo  {line}"
        for line in (
            "failed: load.put (db_load): AF700: no such table",
            "  hint: create it",
            "failed: gate: AF300: bad when",
            "resume: aetherflow runs retry r1 --state '/my states/s.sqlite' --param token=VALUE",
            "FAILED in 6.20 s; jobs: 2 FAILED, 1 BLOCKED; steps: 1 FAILED",
        )
    ]


def test_the_last_line_counts_jobs_of_the_flow_and_their_instances_beside_them() -> None:
    end = RunFinished(
        at=AT,
        flow_id="demo",
        run_id="r1",
        status="FAILED",
        duration_seconds=6.2,
        jobs={"SUCCESS": 301, "FAILED": 3},
        instances={"SUCCESS": 300, "FAILED": 2},
        steps={"SUCCESS": 600},
    )

    assert headline(end) == (
        "run r1 of demo  FAILED in 6.20 s; jobs: 1 SUCCESS, 1 FAILED; "
        "instances: 300 SUCCESS, 2 FAILED; steps: 600 SUCCESS"
    )


def test_a_command_does_not_name_the_usual_database() -> None:
    run: dict[str, Any] = {"at": AT, "flow_id": "demo", "run_id": "r1"}
    digest = digested(Digest(), RunPersisted(**run, state="/home/ann/s.sqlite", is_usual_state=True))
    end = RunFinished(**run, status="CANCELLED", duration_seconds=6.2, resume_from=["collect"])

    assert resume_command(end, digest) == "aetherflow runs retry r1 --from collect"


def failures_of(items: list[str], messages: list[str]) -> Digest:
    """Return the digest of a run of a job with `for_each` whose instances fail with these messages."""
    run: dict[str, Any] = {"at": AT, "flow_id": "demo", "run_id": "r1"}
    steps = [PlannedStep(id="s", type="t", line=12)]
    plan = [PlannedJob(id="other", line=3), PlannedJob(id="fan", line=10, steps=steps)]
    digest = digested(Digest(), RunStarted(**run, flow_file="flow.yaml", owner="x", plan=plan))
    digest = digested(digest, JobStarted(**run, job_id="fan", items=items))
    for number, item in enumerate(items):
        digest = digested(digest, JobStarted(**run, job_id=f"fan[{number}]", item=item))
    for number, message in enumerate(messages):
        instance: dict[str, Any] = {**run, "job_id": f"fan[{number}]"}
        error = ErrorInfo(code="AF732", message=message)
        failed = StepFinished(**instance, step_id="s", step_type="t", status="FAILED", error=error)
        ended = JobFinished(**instance, status="FAILED", reason="step s failed", error=error)
        digest = digested(digested(digest, failed), ended)
    error = ErrorInfo(code="AF732", message=messages[0])
    ended = JobFinished(**run, job_id="fan", status="FAILED", reason="some instances failed", error=error)
    return digested(digest, ended)


def test_instances_that_fail_in_the_same_way_are_one_failure() -> None:
    items = [f"day-{number}.csv" for number in range(300)]
    messages = [
        f"exit code 1: sh -c 'cat $1' sh {item}\nlast lines of stderr:\n  no in/{item}.gz" for item in items
    ]

    (failure,) = failures_of(items, messages).failures

    assert (failure.count, failure.of, failure.item) == (300, 300, "day-0.csv")
    assert failure_lines(failure) == [
        "failed: fan.s (t) at flow.yaml:12: AF732: exit code 1: sh -c 'cat $1' sh day-0.csv",
        "  300 of 300 items: day-0.csv, day-1.csv, day-2.csv, day-3.csv, day-4.csv, ...",
        "  last lines of stderr:",
        "    no in/day-0.csv.gz",
    ]


def test_instances_that_fail_otherwise_are_failures_of_their_own() -> None:
    digest = failures_of(["a", "c", "e"], ["sh -c 'x' a", "sh -c 'x' c", "disk full"])

    assert [(one.job_id, one.item, one.count) for one in digest.failures] == [
        ("fan[0]", "a", 2),
        ("fan[2]", "e", 1),
    ]
    assert failure_lines(digest.failures[1]) == [
        "failed: fan[2].s (t) at flow.yaml:12, item e: AF732: disk full"
    ]
    assert (digest.items, digest.reported) == ({}, frozenset()), "nothing is remembered of what has ended"


def test_a_long_message_is_cut() -> None:
    message = "\n".join(["first" + "x" * 2000, *map(str, range(100))])

    first, *more = failure_lines(Failure("load", error=ErrorInfo(code="AF700", message=message)))

    assert len(first) < 1050
    assert first.endswith("xxx ...")
    assert more[-1] == "  ... 86 more lines"


def test_a_run_that_went_well_has_nothing_to_resume() -> None:
    end = RunFinished(at=AT, flow_id="demo", run_id="r1", status="SUCCESS", duration_seconds=1)

    assert "resume" not in render_summary(end, Digest("/s.sqlite"))


def test_a_resumed_run_forgets_the_failures_of_the_time_before() -> None:
    old = Digest("/s.sqlite", failures=(Failure("a", "b", "t"),))
    resumed = RunResumed(at=AT, flow_id="demo", run_id="r1", attempt=2, owner="x", flow_file="new.yaml")

    assert digested(old, resumed) == Digest(flow_file="new.yaml")


def test_a_summary_lists_only_the_first_failures_and_says_where_the_others_are() -> None:
    digest = Digest("/var/f.sqlite")
    for number in range(1000):
        digest = digested(
            digest,
            JobFinished(
                at=AT, flow_id="demo", run_id="r1", job_id=f"j{number}", status="FAILED", reason="no"
            ),
        )
    end = RunFinished(at=AT, flow_id="demo", run_id="r1", status="FAILED", duration_seconds=1)

    lines = render_summary(end, digest).splitlines()

    assert sum("failed: " in line for line in lines) == 21
    more = "failed: 980 more; all: aetherflow runs show r1 --state /var/f.sqlite"
    assert f"22:14:03 ERROR run r1 of demo  {more}" in lines


def test_what_reverses_the_order_of_characters_is_shown_as_an_escape_and_other_scripts_stay() -> None:
    assert one_line("cp \u202egpj.exe \u2066x\u2069") == "cp \\u202egpj.exe \\u2066x\\u2069"
    assert one_line("\u05e9\u05dc\u05d5\u05dd\u200f \u0645\u0631\u062d\u0628\u0627\t") == (
        "\u05e9\u05dc\u05d5\u05dd\u200f \u0645\u0631\u062d\u0628\u0627\t"
    )
