"""The transition tables, row by row, and what each event writes into the state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any, get_args

import msgspec
import pytest

from aetherflow.engine.state import JobState, RunState, StepState, apply, fold
from aetherflow.engine.transitions import INTERRUPTED, RESUMED_JOBS, RESUMED_STEPS, IllegalEvent
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.spec.flow import JobStatus, StepStatus

AT = datetime(2026, 1, 1, tzinfo=UTC)
COMMON: dict[str, Any] = {"at": AT, "flow_id": "f", "run_id": "r"}
STEP: dict[str, Any] = {**COMMON, "job_id": "j", "step_id": "s", "step_type": "t"}
BROKEN = ErrorInfo(code="AF700", message="it broke")

RUN_STARTED = e.RunStarted(**COMMON, flow_file="f.yaml", owner="me", params={"day": 1})
JOB_STARTED = e.JobStarted(**COMMON, job_id="j")
STEP_STARTED = e.StepStarted(**STEP, attempt=2, definition="abc")
RETRYING = e.StepRetrying(**STEP, attempt=2, wait_seconds=1, error=BROKEN)


def run_finished(status: e.RunEnd) -> e.Event:
    return e.RunFinished(**COMMON, status=status, duration_seconds=1)


def job_finished(status: e.JobEnd, **more: Any) -> e.Event:
    return e.JobFinished(**COMMON, job_id="j", status=status, **more)


def step_finished(status: e.StepEnd, **more: Any) -> e.Event:
    return e.StepFinished(**STEP, status=status, **more)


def resumed(*rerun: str, attempt: int = 2) -> e.Event:
    return e.RunResumed(**COMMON, attempt=attempt, owner="me", rerun=list(rerun))


CANCEL = e.CancelRequested(**COMMON, reason="enough")

# How to reach each status, by events alone.
RUNS: dict[str, list[e.Event]] = {
    "NEW": [],
    "RUNNING": [RUN_STARTED],
    **{status: [RUN_STARTED, run_finished(status)] for status in get_args(e.RunEnd)},
}
JOBS: dict[str, list[e.Event]] = {
    "PENDING": [RUN_STARTED],
    "RUNNING": [RUN_STARTED, JOB_STARTED],
    "BLOCKED": [RUN_STARTED, job_finished("BLOCKED")],
    **{
        status: [RUN_STARTED, JOB_STARTED, job_finished(status)]
        for status in ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")
    },
}
STEPS: dict[str, list[e.Event]] = {
    "PENDING": JOBS["RUNNING"],
    "PENDING after a failed attempt": [*JOBS["RUNNING"], STEP_STARTED, RETRYING],
    "RUNNING": [*JOBS["RUNNING"], STEP_STARTED],
    **{status: [*JOBS["RUNNING"], STEP_STARTED, step_finished(status)] for status in get_args(e.StepEnd)},
}

# What may happen, written down a second time, from what the words mean.
RUN_MOVES = {
    ("NEW", "RunStarted", "RUNNING"),
    ("RUNNING", "CancelRequested", "RUNNING"),
    *(("RUNNING", "RunFinished", end) for end in ("SUCCESS", "FAILED", "CANCELLED")),
    *((phase, "RunResumed", "RUNNING") for phase in ("RUNNING", "SUCCESS", "FAILED", "CANCELLED")),
}
JOB_MOVES = {
    ("PENDING", "JobStarted", "RUNNING"),
    *(("PENDING", "JobFinished", end) for end in ("FAILED", "SKIPPED", "BLOCKED", "CANCELLED")),
    *(("RUNNING", "JobFinished", end) for end in ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")),
}
STEP_MOVES = {
    ("PENDING", "StepStarted", "RUNNING"),
    *(("PENDING", "StepFinished", end) for end in ("SKIPPED", "CANCELLED")),
    ("RUNNING", "StepRetrying", "PENDING"),
    *(("RUNNING", "StepFinished", end) for end in ("SUCCESS", "FAILED", "SKIPPED", "CANCELLED")),
}
RUN_EVENTS = [
    (RUN_STARTED, "RUNNING"),
    (resumed(), "RUNNING"),
    (CANCEL, "RUNNING"),
    *((run_finished(end), end) for end in get_args(e.RunEnd)),
]
JOB_EVENTS = [(JOB_STARTED, "RUNNING"), *((job_finished(end), end) for end in get_args(e.JobEnd))]
STEP_EVENTS = [
    (STEP_STARTED, "RUNNING"),
    (RETRYING, "PENDING"),
    *((step_finished(end), end) for end in get_args(e.StepEnd)),
]


def name_of(value: object) -> str:
    event = value[0] if isinstance(value, tuple) else value
    if isinstance(event, e.Event):
        return f"{type(event).__name__}-{getattr(event, 'status', '')}"
    return str(value)


def check_move(way: Sequence[e.Event], event: e.Event, is_legal: bool) -> RunState:  # noqa: FBT001 - a value
    """Apply an event where the way leads; an illegal one must leave no trace."""
    state, untouched = fold(way), fold(way)
    if is_legal:
        apply(state, event)
    else:
        with pytest.raises(IllegalEvent):
            apply(state, event)
        assert state == untouched
    return state


def test_the_ways_lead_to_every_status_there_is() -> None:
    assert {fold(way).phase for way in RUNS.values()} == {"NEW", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"}
    assert {status: fold(way).job("j").status for status, way in JOBS.items()} == {
        status: status for status in get_args(JobStatus)
    }
    reached = {fold(way).job("j").steps.get("s", StepState()).status for way in STEPS.values()}
    assert reached == set(get_args(StepStatus))


@pytest.mark.parametrize(("phase", "move"), list(product(RUNS, RUN_EVENTS)), ids=name_of)
def test_a_run_goes_where_the_table_says_and_nowhere_else(phase: str, move: tuple[e.Event, str]) -> None:
    event, end = move
    is_legal = (phase, type(event).__name__, end) in RUN_MOVES
    state = check_move(RUNS[phase], event, is_legal)
    assert state.phase == (end if is_legal else phase)


@pytest.mark.parametrize(("status", "move"), list(product(JOBS, JOB_EVENTS)), ids=name_of)
def test_a_job_goes_where_the_table_says_and_nowhere_else(status: str, move: tuple[e.Event, str]) -> None:
    event, end = move
    is_legal = (status, type(event).__name__, end) in JOB_MOVES
    state = check_move(JOBS[status], event, is_legal)
    assert state.job("j").status == (end if is_legal else status)


@pytest.mark.parametrize(("way", "move"), list(product(STEPS, STEP_EVENTS)), ids=name_of)
def test_a_step_goes_where_the_table_says_and_nowhere_else(way: str, move: tuple[e.Event, str]) -> None:
    event, end = move
    status = way.partition(" ")[0]
    is_legal = (status, type(event).__name__, end) in STEP_MOVES
    state = check_move(STEPS[way], event, is_legal)
    assert state.job("j").steps.get("s", StepState()).status == (end if is_legal else status)


RESUMES: list[dict[str, Any]] = [{}, {"rerun": ["j"]}, {"reopened": ["j"]}, {"excluded_jobs": ["j"]}]


def resumes_of(way: Sequence[e.Event]) -> Iterator[tuple[RunState, RunState]]:
    """Yield the state where the way leads, and the one after a resume, for every kind of resume."""
    for entries in RESUMES:
        event = e.RunResumed(**COMMON, attempt=2, owner="me", **entries)
        yield fold(way), fold([*way, event])


def step_status(state: RunState) -> str:
    step = state.job("j").steps.get("s", StepState())
    return INTERRUPTED if ("j", "s") in state.interrupted else step.status


def test_a_resume_makes_of_a_job_what_the_table_says() -> None:
    found: dict[str, set[str]] = {status: set() for status in RESUMED_JOBS}
    for way in JOBS.values():
        for before, after in resumes_of(way):
            found[before.job("j").status].add(after.job("j").status)
    hook = [msgspec.structs.replace(event, job_id="@on_exit") for event in JOBS["RUNNING"][1:]]
    over = e.RunResumed(**COMMON, attempt=2, owner="me", ending_count=1)
    found["RUNNING"].add(fold([RUN_STARTED, *hook, over]).job("@on_exit").status)
    assert found == RESUMED_JOBS


def test_a_resume_makes_of_a_step_what_the_table_says() -> None:
    found: dict[str, set[str]] = {status: set() for status in RESUMED_STEPS}
    ways = [*STEPS.values(), [*STEPS["RUNNING"], resumed()]]
    for way in [*ways, *([*way, job_finished("SUCCESS")] for way in STEPS.values())]:
        for before, after in resumes_of(way):
            found[step_status(before)].add(step_status(after))
    assert found == RESUMED_STEPS


@pytest.mark.parametrize("status", [status for status in JOBS if status != "RUNNING"])
@pytest.mark.parametrize("event", [event for event, _ in STEP_EVENTS], ids=name_of)
def test_nothing_happens_to_the_steps_of_a_job_that_does_not_run(status: str, event: e.Event) -> None:
    check_move(JOBS[status], event, is_legal=False)


@pytest.mark.parametrize("phase", [phase for phase in RUNS if phase != "RUNNING"])
@pytest.mark.parametrize("event", [event for event, _ in (*JOB_EVENTS, *STEP_EVENTS)], ids=name_of)
def test_nothing_happens_to_the_jobs_of_a_run_that_does_not_run(phase: str, event: e.Event) -> None:
    check_move(RUNS[phase], event, is_legal=False)


@pytest.mark.parametrize(
    "event", [event for event, _ in (*RUN_EVENTS[1:], *JOB_EVENTS, *STEP_EVENTS)], ids=name_of
)
def test_an_event_of_another_run_is_refused(event: e.Event) -> None:
    stranger = msgspec.structs.replace(event, run_id="another")
    state = fold(STEPS["RUNNING"])
    with pytest.raises(IllegalEvent, match="run another: the event belongs to another run than r"):
        apply(state, stranger)
    assert state == fold(STEPS["RUNNING"])


def test_what_is_not_journalled_is_no_part_of_a_history() -> None:
    notice = e.Notice(**COMMON, level="info", message="hello")
    with pytest.raises(IllegalEvent, match="Notice is not part of a run's history"):
        apply(fold(RUNS["RUNNING"]), notice)


def test_an_illegal_event_says_what_and_where() -> None:
    with pytest.raises(IllegalEvent) as caught:
        fold([*STEPS["SUCCESS"], STEP_STARTED])
    assert str(caught.value) == "step j.s of run r is SUCCESS: StepStarted to RUNNING cannot happen"


def test_the_fields_of_a_run_are_those_of_its_events() -> None:
    cancel = e.CancelRequested(**COMMON, reason="too late", cause="timeout")
    state = fold([RUN_STARTED, cancel])
    assert (state.flow_id, state.run_id, state.params, state.started_at) == ("f", "r", {"day": 1}, AT)
    assert (state.cancelling, state.cancel_reason, state.attempt) == ("timeout", "too late", 1)
    apply(state, resumed(attempt=2))
    assert (state.cancelling, state.cancel_reason, state.attempt) == (None, "", 2)


def test_the_fields_of_a_step_are_those_of_its_events() -> None:
    state = fold(STEPS["RUNNING"])
    assert state.job("j").steps["s"] == StepState("RUNNING", "t", 2, "abc", began=2)
    apply(state, RETRYING)
    assert state.job("j").steps["s"] == StepState("PENDING", "t", 2, "abc", error=BROKEN, began=2)
    apply(state, msgspec.structs.replace(STEP_STARTED, attempt=3))
    assert state.job("j").steps["s"] == StepState("RUNNING", "t", 3, "abc", began=4)
    apply(state, step_finished("SKIPPED", attempt=3, outputs={"a": 1}, job_outputs={"b": 2}, reason="none"))
    assert state.job("j").steps["s"] == StepState(
        "SKIPPED", "t", 3, "abc", {"a": 1}, {"b": 2}, "none", began=4
    )
    assert state.job("j").outputs == {"b": 2}


@pytest.mark.parametrize(
    ("progress", "left"),
    [
        ([], 2),
        ([STEP_STARTED, step_finished("FAILED")], 2),
        ([STEP_STARTED, step_finished("SUCCESS")], 0),
        ([STEP_STARTED, step_finished("SKIPPED")], 0),
        ([job_finished("FAILED"), run_finished("FAILED")], 0),
    ],
)
def test_deaths_in_a_row_count_until_a_step_succeeds_or_the_run_ends(
    progress: list[e.Event], left: int
) -> None:
    died_twice = e.RunResumed(**COMMON, attempt=2, owner="me", recoveries=2)
    state = fold([RUN_STARTED, JOB_STARTED, STEP_STARTED, died_twice, JOB_STARTED, *progress])
    assert state.recoveries == left


def test_the_end_of_a_job_brings_its_outputs_or_leaves_those_of_its_steps() -> None:
    done = [*STEPS["RUNNING"], step_finished("SUCCESS", job_outputs={"a": 1})]
    assert fold([*done, job_finished("CANCELLED")]).job("j").outputs == {"a": 1}
    ended = fold([*done, job_finished("FAILED", outputs={"b": 2}, reason="so", error=BROKEN)]).job("j")
    assert (ended.outputs, ended.reason, ended.error) == ({"b": 2}, "so", BROKEN)


def test_a_job_that_nothing_happened_to_is_pending_and_asking_leaves_no_trace() -> None:
    state = fold([RUN_STARTED])
    assert state.job("never") == JobState()
    assert state.jobs == {}


def test_counts_are_by_status() -> None:
    state = fold([*STEPS["SUCCESS"], e.JobFinished(**COMMON, job_id="k", status="BLOCKED")])
    assert state.counts() == ({"RUNNING": 1, "BLOCKED": 1}, {}, {"SUCCESS": 1})


def test_counts_say_how_many_of_the_jobs_are_instances_and_leave_hooks_out() -> None:
    names = ("load", "load[0]", "load[1]", "@on_exit")
    state = fold([RUN_STARTED, *(e.JobStarted(**COMMON, job_id=name) for name in names)])
    assert state.counts() == ({"RUNNING": 3}, {"RUNNING": 2}, {})


def of_step(event: e.Event, step_id: str) -> e.Event:
    return msgspec.structs.replace(event, step_id=step_id)


def through(*steps: tuple[str, e.StepEnd, dict[str, Any]]) -> list[e.Event]:
    """Return how a job came through these steps."""
    history = list(JOBS["RUNNING"])
    for step_id, status, promoted in steps:
        history.append(of_step(STEP_STARTED, step_id))
        history.append(of_step(step_finished(status, job_outputs=promoted), step_id))
    return history


@pytest.mark.parametrize("end", ["SUCCESS", "SKIPPED"])
def test_a_resume_keeps_a_job_that_is_done_even_with_a_failed_step(end: e.JobEnd) -> None:
    history = [*through(("a", "FAILED", {}), ("b", "SUCCESS", {"k": 1})), job_finished(end, outputs={"k": 1})]
    before = fold(history).jobs
    assert fold([*history, resumed()]).jobs == before


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED", None])
def test_a_resume_reopens_what_is_not_done_and_keeps_the_steps_that_are(end: e.JobEnd | None) -> None:
    history = through(
        ("a", "SUCCESS", {"k": 1, "a": 1}),
        ("b", "SKIPPED", {"k": 2}),
        ("c", "FAILED", {}),
        ("d", "CANCELLED", {}),
    )
    history.append(of_step(STEP_STARTED, "e"))
    if end:
        history.append(job_finished(end, outputs={"stale": 1}, error=BROKEN, reason="so"))
    job = fold([*history, resumed()]).job("j")
    assert (job.status, job.reason, job.error, job.outputs) == ("PENDING", "", None, {"k": 2, "a": 1})
    assert {step_id: step.status for step_id, step in job.steps.items()} == {
        "a": "SUCCESS",
        "b": "SKIPPED",
        "c": "PENDING",
        "d": "PENDING",
        "e": "PENDING",
    }
    assert job.steps["c"] == StepState(step_type="t")


def test_a_resume_reopens_a_blocked_job() -> None:
    assert fold([*JOBS["BLOCKED"], resumed()]).job("j") == JobState()


def test_rerun_of_a_step_reopens_its_job_and_takes_back_what_it_promoted() -> None:
    history = [
        *through(("a", "SUCCESS", {"k": 1}), ("b", "SUCCESS", {"k": 2, "b": 2})),
        job_finished("SUCCESS", outputs={"k": 2, "b": 2}),
    ]
    job = fold([*history, resumed("j/b")]).job("j")
    assert (job.status, job.outputs) == ("PENDING", {"k": 1})
    assert {step_id: step.status for step_id, step in job.steps.items()} == {"a": "SUCCESS", "b": "PENDING"}


def test_rerun_of_a_job_reopens_all_of_it_and_forgets_its_items() -> None:
    mapped = [
        RUN_STARTED,
        e.JobStarted(**COMMON, job_id="j", items=[1, 2]),
        e.JobStarted(**COMMON, job_id="j[0]"),
        e.JobFinished(**COMMON, job_id="j[0]", status="SUCCESS"),
    ]
    assert fold([*mapped, resumed()]).job("j").items == [1, 2]
    assert fold([*mapped, resumed()]).job("j[0]").status == "SUCCESS"
    again = fold([*mapped, resumed("j", "j[0]")])
    assert again.job("j") == JobState()
    assert again.job("j[0]").status == "PENDING"


def test_an_earlier_step_that_runs_again_does_not_overrule_a_later_one() -> None:
    history = [*through(("a", "FAILED", {}), ("b", "SUCCESS", {"k": "b"})), resumed(), JOB_STARTED]
    history += [of_step(STEP_STARTED, "a"), of_step(step_finished("SUCCESS", job_outputs={"k": "a"}), "a")]
    assert fold(history).job("j").outputs == {"k": "b"}
    assert fold([*history, resumed()]).job("j").outputs == {"k": "b"}
