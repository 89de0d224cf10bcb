"""on_success, on_failure and on_exit: they follow the outcome, see it, and never change it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from aetherflow.clock import SystemClock
from aetherflow.engine.commands import Command, RunAttempt
from aetherflow.engine.machine import RunMachine
from aetherflow.engine.resume import plan_resume
from aetherflow.engine.state import JobState, RunState, apply, fold
from aetherflow.engine.template_scope import RunView, job_scope
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.plan.compiler import build_plan
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.spec.load import load_flow

AT = datetime(2026, 1, 2, tzinfo=UTC)
HEAD = """version: 1
flow:
  id: f
  on_success: [{id: cheer, type: check_items, inputs: {items: [x]}}]
  on_failure: [{id: tell, type: check_items, inputs: {items: "{{run.errors}}"}}]
  on_exit: [{id: bye, type: check_items, inputs: {items: ["{{run.status}}"]}}]
jobs:
  - id: a
    steps: [{id: s, type: check_items, inputs: {items: [x]}}]
"""


class Play:
    """A run driven by hand: every attempt that begins is ended as the test says."""

    def __init__(self, plan: Plan, history: list[e.Event] | None = None) -> None:
        self.plan = plan
        self.events: list[e.Event] = list(history or [])
        state = fold(self.events)
        beginning: e.Event = (
            e.RunResumed(
                at=AT,
                flow_id="f",
                run_id="r",
                attempt=state.attempt + 1,
                owner="o",
                ending_count=state.endings,
            )
            if history
            else e.RunStarted(at=AT, flow_id="f", run_id="r", flow_file="f.yaml", owner="o")
        )
        apply(state, beginning)
        self.events.append(beginning)
        self.state: RunState = state
        self.machine = RunMachine(plan, state, env={}, clock=SystemClock(), limit=4)
        self.open: list[Command] = []
        self.take([])

    def take(self, reported: list[e.Event]) -> None:
        react = self.machine.react(reported)
        self.events += react.events
        self.open = [*self.open, *react.commands]

    def end_next(self, status: e.StepEnd = "SUCCESS") -> str:
        """End the attempt that began first; return which step it was."""
        work = self.open.pop(0)
        assert isinstance(work, RunAttempt)
        error = ErrorInfo(code="AF732", message="exit code 1") if status == "FAILED" else None
        finished = e.StepFinished(
            at=AT,
            flow_id="f",
            run_id="r",
            job_id=work.instance.id,
            step_id=work.step.id,
            step_type=work.step.spec.type,
            status=status,
            error=error,
        )
        self.take([finished])
        return f"{work.instance.id}.{work.step.id}"

    def play(self, failing: frozenset[str] = frozenset()) -> list[str]:
        """End everything that begins; return the steps in order."""
        order = []
        while self.open:
            work = self.open[0]
            assert isinstance(work, RunAttempt)
            order.append(self.end_next("FAILED" if work.instance.id in failing else "SUCCESS"))
        return order


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return plan_of(tmp_path, HEAD)


def plan_of(folder: Path, text: str) -> Plan:
    path = folder / "f.yaml"
    path.write_text(text)
    loaded = load_flow(path)
    diagnostics = DiagnosticSink(loaded.document)
    plan = build_plan(loaded, diagnostics)
    assert diagnostics.diagnostics == []
    return plan


def test_success_is_followed_by_on_success_and_on_exit(plan: Plan) -> None:
    play = Play(plan)
    assert play.play() == ["a.s", "@on_success.cheer", "@on_exit.bye"]
    assert play.state.phase == "SUCCESS"


def test_failure_is_followed_by_on_failure_and_on_exit(plan: Plan) -> None:
    play = Play(plan)
    assert play.play(frozenset({"a"})) == ["a.s", "@on_failure.tell", "@on_exit.bye"]
    assert play.state.phase == "FAILED"


def test_a_cancelled_run_is_followed_by_on_exit_only(plan: Plan) -> None:
    play = Play(plan)
    play.take([e.CancelRequested(at=AT, flow_id="f", run_id="r", reason="SIGINT")])
    play.open = play.open[:1]
    play.end_next("CANCELLED")
    assert play.play() == ["@on_exit.bye"]
    assert play.state.phase == "CANCELLED"


@pytest.mark.parametrize("hook_instance", ["@on_failure", "@on_exit"])
def test_a_failing_ending_step_does_not_hide_the_outcome(plan: Plan, hook_instance: str) -> None:
    play = Play(plan)
    assert play.play(frozenset({"a", hook_instance}))[-1] == "@on_exit.bye"
    assert play.state.phase == "FAILED"
    success = Play(plan)
    success.play(frozenset({hook_instance}))
    assert success.state.phase == "SUCCESS"


def test_the_counts_of_a_run_are_those_of_its_jobs(plan: Plan) -> None:
    play = Play(plan)
    play.play(frozenset({"@on_exit"}))
    finished = play.events[-1]
    assert isinstance(finished, e.RunFinished)
    assert (finished.jobs, finished.steps) == ({"SUCCESS": 1}, {"SUCCESS": 1})


def test_ending_steps_see_the_status_and_the_errors(plan: Plan) -> None:
    play = Play(plan)
    assert play.machine.names["run"]["status"] == "RUNNING"
    play.end_next("FAILED")
    work = play.open[0]
    assert isinstance(work, RunAttempt)
    scope = job_scope(play.machine.names, play.state, work.instance)
    assert scope["run"]["status"] == "FAILED"
    assert scope["run"]["failed_jobs"] == ["a"]
    assert scope["run"]["reason"] == "job a failed: exit code 1"
    errors = [{"job": "a", "code": "AF732", "message": "exit code 1"}]
    assert work.step.inputs.render(scope) == {"items": errors}


def test_a_resumed_run_ends_again_and_its_earlier_ending_stays(plan: Plan) -> None:
    first = Play(plan)
    first.play(frozenset({"a", "@on_failure"}))
    second = Play(plan, first.events)
    assert second.play() == ["a.s", "@on_success.2.cheer", "@on_exit.2.bye"]
    assert second.state.phase == "SUCCESS"
    assert second.state.jobs["@on_failure"].status == "FAILED"
    assert second.state.jobs["@on_exit"].status == "SUCCESS"


def test_a_crash_while_the_run_ends_repeats_no_ending_step_that_was_acknowledged(plan: Plan) -> None:
    whole_job = Play(plan)
    order = whole_job.play()
    for cut in range(1, len(whole_job.events) + 1):
        prefix = whole_job.events[:cut]
        done = {f"{event.job_id}.{event.step_id}" for event in prefix if isinstance(event, e.StepFinished)}
        if isinstance(prefix[-1], e.RunFinished):
            continue
        resumed = Play(plan, prefix)
        assert resumed.play() == [step for step in order if step not in done]
        assert resumed.state.phase == "SUCCESS"


def test_a_second_cancel_ends_the_ending_steps_too(plan: Plan) -> None:
    play = Play(plan)
    play.end_next("FAILED")
    play.take([e.CancelRequested(at=AT, flow_id="f", run_id="r", reason="SIGINT")])
    play.open = play.open[:1]
    play.end_next("CANCELLED")
    assert play.open == []
    assert play.state.phase == "FAILED"
    assert play.state.jobs["@on_exit"].status == "CANCELLED"


def test_a_flow_without_ending_steps_has_no_ending(tmp_path: Path) -> None:
    play = Play(plan_of(tmp_path, "version: 1\nflow: {id: f}\n" + HEAD[HEAD.index("jobs:") :]))
    play.play()
    assert not any(isinstance(event, e.HooksStarted) for event in play.events)
    assert play.state.phase == "SUCCESS"


def test_after_a_time_limit_ending_steps_see_the_reason(plan: Plan) -> None:
    play = Play(plan)
    reason = "the run's timeout_seconds passed after 2 s"
    assert play.machine.names["run"]["reason"] == ""
    play.take([e.CancelRequested(at=AT, flow_id="f", run_id="r", reason=reason, cause="timeout")])
    play.open = play.open[:1]
    play.end_next("CANCELLED")
    assert play.machine.names["run"]["status"] == "FAILED"
    assert play.machine.names["run"]["reason"] == reason
    assert play.play() == ["@on_failure.tell", "@on_exit.bye"]


FAN_OUT = HEAD.replace("    steps: [{id: s", "    for_each: ITEMS\n    steps: [{id: s")


def test_failed_instances_are_reported_as_one_failure_of_their_job(tmp_path: Path) -> None:
    items = [str(n) for n in range(1500)]
    play = Play(plan_of(tmp_path, FAN_OUT.replace("ITEMS", str(items))))
    for number in range(1500):
        play.end_next("SUCCESS" if number % 3 == 0 else "FAILED")
    run = play.machine.names["run"]
    assert run["failed_jobs"] == ["a"]
    assert run["errors"] == [{"job": "a", "code": "AF732", "message": "exit code 1", "instances": 1000}]
    assert run["reason"] == "job a failed in 1000 instances: exit code 1"


def test_what_is_reported_of_failures_fits_into_a_command_line() -> None:
    error = ErrorInfo(code="AF732", message="\u20ac" * 5000)
    jobs = {f"j{number}": JobState(status="FAILED", error=error) for number in range(500)}
    run = RunView(RunState(jobs=jobs, outcome="FAILED"), None)
    assert run["failed_jobs"] == [f"j{number}" for number in range(20)]
    assert len(run["errors"]) == 20
    assert len(msgspec.json.encode(run["errors"])) < 100_000
    assert run["reason"].endswith("\u20ac (and 499 more)")


def test_a_resume_shows_what_becomes_of_ending_steps_that_were_cut_off(tmp_path: Path) -> None:
    text = HEAD.replace("{id: bye,", "{id: hello, type: check_items, inputs: {items: [x]}}, {id: bye, POLICY")
    for policy in ("", "on_interrupt: fail,"):
        plan = plan_of(tmp_path, text.replace("POLICY", policy))
        play = Play(plan)
        while len(play.open) and (step := play.end_next()) != "@on_exit.hello":
            assert step
        found = plan_resume(plan, fold(play.events))
        assert found.texts("keep") == [
            "a.s (SUCCESS)",
            "@on_success.cheer (SUCCESS)",
            "@on_exit.hello (SUCCESS)",
        ]
        wanted = (
            ["@on_exit.bye (INTERRUPTED, on_interrupt: fail)"] if policy else ["@on_exit.bye (INTERRUPTED)"]
        )
        assert (found.texts("end_interrupted") if policy else found.texts("rerun")) == wanted
        assert plan_resume(plan, fold(play.events), ["a"]).texts("keep") == [], "the run ends again"
