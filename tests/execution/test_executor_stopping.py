"""Every way in which a run is stopped: by a person, by the clock, by its database, by another process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aetherflow.errors import HeldByAnother, StateError, StepError
from aetherflow.events import run_events as e
from aetherflow.execution import bus as bus_module
from aetherflow.ports import DurableSubscriber
from aetherflow.sdk import blocking
from aetherflow.sdk.context import StepContext
from aetherflow.store.journal import LeaseLost
from tests.execution.live_run import LiveRun, flow, live, one_step, query, stored
from tests.store.clock_double import FakeClock


class Hang:
    """A step that waits for its end, and records when it began and how it ended."""

    def __init__(self) -> None:
        self.began = anyio.Event()
        self.stopped = False

    async def __call__(self, context: StepContext, inputs: dict[str, Any]) -> None:
        """Wait."""
        del context, inputs
        self.began.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.stopped = True


def hanging(hang: Hang) -> dict[str, Any]:
    """Return the step types `hang` and `t`."""

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        await hang(context, inputs)

    async def nothing(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs

    return {"hang": step, "t": nothing}


TWO_JOBS = flow(
    "{id: a, steps: [{id: s, type: hang}, {id: later, type: t}]}",
    "{id: b, depends_on: [a], steps: [{id: s, type: t}]}",
)


@pytest.mark.asyncio
async def test_a_wish_to_stop_ends_the_run_in_order_and_a_second_one_changes_nothing(tmp_path: Path) -> None:
    hang = Hang()
    async with live(TWO_JOBS, tmp_path, hanging(hang)) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await hang.began.wait()
        run.executor.cancel("SIGTERM")
        run.executor.cancel("SIGINT")
    assert hang.stopped
    assert (run.state.phase, run.state.cancel_reason) == ("CANCELLED", "SIGTERM")
    assert stored(tmp_path)[-5:] == [
        "cancel_requested",
        "step_finished a.s CANCELLED",
        "job_finished a CANCELLED",
        "job_finished b CANCELLED",
        "run_finished CANCELLED",
    ]
    assert query(tmp_path, "SELECT status, reason FROM step_state") == [("CANCELLED", "SIGTERM")]


@pytest.mark.asyncio
async def test_a_cancellation_from_outside_ends_the_run_as_cancelled_in_the_file_and_for_observers(
    tmp_path: Path,
) -> None:
    hang = Hang()
    async with live(TWO_JOBS, tmp_path, hanging(hang)) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await hang.began.wait()
            tasks.cancel_scope.cancel()
        assert hang.stopped
        assert stored(tmp_path)[-1] == "run_finished CANCELLED"
        assert run.state.cancel_reason == "the program was asked to stop"
        finished = run.seen.of(e.RunFinished)
    assert [event.status for event in finished] == ["CANCELLED"]
    assert run.seen.closed == 1


@pytest.mark.asyncio
async def test_a_run_that_is_cancelled_before_it_begins_ends_as_cancelled(tmp_path: Path) -> None:
    hang = Hang()
    async with live(TWO_JOBS, tmp_path, hanging(hang)) as run:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run.run()
    assert run.state.phase == "CANCELLED"
    assert stored(tmp_path)[-1] == "run_finished CANCELLED"


class Gate:
    """A durable side that can be held, so that reports gather meanwhile."""

    def __init__(self, inner: DurableSubscriber) -> None:
        self.inner = inner
        self.open = anyio.Event()
        self.holds_end_of = ""
        self.held = anyio.Event()

    async def commit(self, events: Sequence[e.Event]) -> None:
        """Store; wait at the gate first."""
        if any(isinstance(event, e.StepFinished) and event.job_id == self.holds_end_of for event in events):
            self.held.set()
            await self.open.wait()
        await self.inner.commit(events)


@pytest.mark.asyncio
async def test_a_step_that_became_due_together_with_the_cancellation_does_not_begin(tmp_path: Path) -> None:
    gates: list[Gate] = []
    release, ended = anyio.Event(), anyio.Event()
    began: list[str] = []

    def gated(journal: DurableSubscriber) -> DurableSubscriber:
        gates.append(Gate(journal))
        return gates[0]

    async def work(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        began.append(f"{context.job_id}.{context.step_id}")
        if context.job_id == "a":
            await release.wait()
            ended.set()

    text = flow(
        "{id: a, steps: [{id: one, type: t}, {id: two, type: t}]}", "{id: b, steps: [{id: s, type: t}]}"
    )
    async with live(text, tmp_path, {"t": work}, durable=gated) as run:
        gates[0].holds_end_of = "b"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await gates[0].held.wait()
            release.set()
            await ended.wait()
            await anyio.wait_all_tasks_blocked()
            run.executor.cancel("enough")
            gates[0].open.set()
    assert sorted(began) == ["a.one", "b.s"]
    assert run.step("a.two").status == "CANCELLED"
    assert run.state.phase == "CANCELLED"


@pytest.mark.asyncio
async def test_a_sync_step_is_reported_to_stop_and_its_thread_ends(tmp_path: Path) -> None:
    began, ended = threading.Event(), threading.Event()

    def work(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        assert not context.stopping
        began.set()
        try:
            while True:
                context.raise_if_stopping()
                threading.Event().wait(0.001)
        finally:
            ended.set()

    async with live(one_step(), tmp_path, {"t": work}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await anyio.to_thread.run_sync(began.wait, 30)
        run.executor.cancel("enough")
    assert ended.is_set()
    assert run.step("a.s").status == "CANCELLED"
    assert run.seen.logged == []


@pytest.mark.asyncio
async def test_a_thread_that_ignores_the_wish_is_left_behind_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "THREAD_STOP_SECONDS", 0.1)
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def stubborn(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        began.set()
        go.wait(30)
        ended.set()

    try:
        async with live(one_step(), tmp_path, {"t": stubborn}) as run:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run.run)
                await anyio.to_thread.run_sync(began.wait, 30)
                run.executor.cancel("enough")
            assert not ended.is_set()
            assert run.step("a.s").status == "CANCELLED"
            assert run.seen.logged == [
                "the step's thread did not stop within 0.1 s and was left behind",
            ]
    finally:
        go.set()
        await anyio.to_thread.run_sync(ended.wait, 30)


@pytest.mark.asyncio
async def test_a_sync_step_that_waits_for_a_thread_never_starts_once_it_is_cancelled(tmp_path: Path) -> None:
    began, order = threading.Event(), list[str]()

    def work(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        order.append(context.job_id)
        began.set()
        while not context.stopping:
            threading.Event().wait(0.001)

    text = flow("{id: a, steps: [{id: s, type: t}]}", "{id: b, steps: [{id: s, type: t}]}")
    async with live(text, tmp_path, {"t": work}, threads=1) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await anyio.to_thread.run_sync(began.wait, 30)
        run.executor.cancel("enough")
    assert order == ["a"]
    assert (run.step("b.s").status, run.seen.logged) == ("CANCELLED", [])


async def ended_by_clock(run: LiveRun, clock: FakeClock, hang: Hang, seconds: float) -> None:
    """Run; when the step hangs, move the clock just short of the limit, then to it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await hang.began.wait()
        await clock.sleeping(1)
        clock.advance(seconds - 0.5)
        await anyio.wait_all_tasks_blocked()
        assert not hang.stopped
        clock.advance(0.5)


@pytest.mark.asyncio
async def test_a_step_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    hang, clock = Hang(), FakeClock()
    text = one_step("hang", more="timeout_seconds: 5")
    async with live(text, tmp_path, hanging(hang), clock=clock) as run:
        await ended_by_clock(run, clock, hang, 5)
    error = run.step("a.s").error
    assert (error.code, error.kind, error.message) == (
        "AF710",
        "timeout",
        "the step's timeout_seconds passed after 5 s",
    )
    assert (run.step("a.s").status, run.state.phase) == ("FAILED", "FAILED")


@pytest.mark.asyncio
async def test_an_attempt_that_took_too_long_is_tried_again_where_retry_on_says_so(tmp_path: Path) -> None:
    clock, first = FakeClock(), Hang()

    async def slow_once(context: StepContext, inputs: dict[str, Any]) -> None:
        if context.attempt == 1:
            await first(context, inputs)

    more = "timeout_seconds: 5, retry: {max_attempts: 2, retry_on: [timeout]}"
    async with live(one_step(more=more), tmp_path, {"t": slow_once}, clock=clock) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            await first.began.wait()
            await clock.sleeping(1)
            clock.advance(5)
            await clock.sleeping(1)
            clock.advance(0)
        assert (run.step("a.s").status, run.step("a.s").attempt) == ("SUCCESS", 2)


@pytest.mark.asyncio
async def test_a_job_is_ended_when_its_time_is_over_whatever_its_steps_allow(tmp_path: Path) -> None:
    hang, clock = Hang(), FakeClock()
    text = flow(
        "{id: a, timeout_seconds: 9, steps: [{id: s, type: hang, timeout_seconds: 60,"
        " retry: {max_attempts: 5}, continue_on_error: true}, {id: later, type: t}]}"
    )
    async with live(text, tmp_path, hanging(hang), clock=clock) as run:
        await ended_by_clock(run, clock, hang, 9)
    error = run.step("a.s").error
    assert (error.code, error.message) == ("AF711", "the job's timeout_seconds passed after 9 s")
    assert (run.state.jobs["a"].status, list(run.state.jobs["a"].steps)) == ("FAILED", ["s"])
    assert run.step("a.s").attempt == 1


@pytest.mark.asyncio
async def test_the_time_of_a_job_counts_over_all_its_steps_and_none_begins_without_time(
    tmp_path: Path,
) -> None:
    clock, began = FakeClock(), list[str]()

    async def takes_a_while(context: StepContext, inputs: dict[str, Any]) -> None:
        began.append(context.step_id)
        clock.advance(inputs["seconds"])

    text = flow(
        "{id: a, timeout_seconds: 10, steps: [{id: one, type: t, inputs: {seconds: 4}},"
        " {id: two, type: t, inputs: {seconds: 6}}, {id: three, type: t}]}"
    )
    async with live(text, tmp_path, {"t": takes_a_while}, clock=clock) as run:
        await run.run()
    assert began == ["one", "two"]
    assert run.step("a.three").error.message == "the job's timeout_seconds passed after 10 s"


@pytest.mark.asyncio
async def test_an_attempt_that_could_only_begin_after_the_end_of_its_job_is_not_waited_for(
    tmp_path: Path,
) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise StepError("no answer\nwhole output: /logs/a", kind="connection")

    text = one_step(job="timeout_seconds: 10", more="retry: {max_attempts: 3, backoff_seconds: 30}")
    async with live(text, tmp_path, {"t": fail}, clock=FakeClock()) as run:
        with anyio.fail_after(20):
            await run.run()
    assert run.step("a.s").error.message == (
        "no answer (not tried again: the job's timeout_seconds would be over by then)\nwhole output: /logs/a"
    )
    assert run.step("a.s").attempt == 1


@pytest.mark.asyncio
async def test_a_run_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    hang, clock = Hang(), FakeClock()
    text = flow(
        "{id: a, steps: [{id: s, type: hang}]}",
        "{id: b, depends_on: [a], steps: [{id: s, type: t}]}",
        head="timeout_seconds: 7",
    )
    async with live(text, tmp_path, hanging(hang), clock=clock) as run:
        await ended_by_clock(run, clock, hang, 7)
    assert run.state.phase == "FAILED"
    assert run.state.cancel_reason == "the run's timeout_seconds passed after 7 s"
    assert {name: job.status for name, job in run.state.jobs.items()} == {"a": "CANCELLED", "b": "CANCELLED"}


@pytest.mark.asyncio
async def test_a_step_that_waits_for_its_next_attempt_is_cancelled_at_once(tmp_path: Path) -> None:
    clock = FakeClock()

    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise StepError("no")

    text = one_step(more="retry: {max_attempts: 3, backoff_seconds: 100}")
    async with live(text, tmp_path, {"t": fail}, clock=clock) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await clock.sleeping(1)
        run.executor.cancel("enough")
    assert (run.step("a.s").status, run.step("a.s").attempt) == ("CANCELLED", 1)
    assert run.state.phase == "CANCELLED"


@pytest.mark.asyncio
async def test_a_step_that_finishes_although_it_was_cancelled_counts_as_done(tmp_path: Path) -> None:
    hang = Hang()

    async def tidy(context: StepContext, inputs: dict[str, Any]) -> dict[str, int]:
        try:
            await hang(context, inputs)
        except anyio.get_cancelled_exc_class():
            return {"tidied": 1}
        return {}

    async with live(one_step(), tmp_path, {"t": tidy}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.run)
        await hang.began.wait()
        run.executor.cancel("enough")
    assert (run.step("a.s").status, run.step("a.s").outputs) == ("SUCCESS", {"tidied": 1})
    assert hang.stopped


@pytest.mark.asyncio
async def test_a_journal_that_fails_stops_the_run_cancels_its_steps_and_is_reported_as_itself(
    tmp_path: Path,
) -> None:
    hang = Hang()

    async def sabotage(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await hang.began.wait()
        raw = sqlite3.connect(tmp_path / "state.sqlite")
        raw.execute("DROP TABLE step_state")
        raw.close()

    text = flow(
        "{id: a, steps: [{id: s, type: sabotage}, {id: later, type: t}]}",
        "{id: b, steps: [{id: s, type: hang}]}",
    )
    async with live(text, tmp_path, {**hanging(hang), "sabotage": sabotage}) as run:
        with pytest.raises(StateError, match="no such table: step_state") as raised:
            await run.run()
    assert raised.type is StateError
    assert hang.stopped
    assert "step_finished a.s SUCCESS" not in stored(tmp_path)
    assert [event for event in run.seen.events if isinstance(event, e.StepFinished | e.RunFinished)] == []


@pytest.mark.asyncio
async def test_a_run_that_was_taken_over_stops_and_writes_nothing_more(tmp_path: Path) -> None:
    hang = Hang()

    async def take_over(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await hang.began.wait()
        raw = sqlite3.connect(tmp_path / "state.sqlite")
        with raw:
            raw.execute("UPDATE leases SET generation = generation + 1")
        raw.close()

    text = flow("{id: a, steps: [{id: s, type: take}]}", "{id: b, steps: [{id: s, type: hang}]}")
    async with live(text, tmp_path, {**hanging(hang), "take": take_over}) as run:
        with pytest.raises(LeaseLost, match="run:run-1 was taken over by another process") as raised:
            await run.run()
    assert isinstance(raised.value, HeldByAnother)
    assert raised.value.exit_code == 75
    assert hang.stopped
    assert stored(tmp_path)[-1].startswith("step_started")


@pytest.mark.asyncio
async def test_a_run_that_is_given_up_stops_without_another_word_to_the_journal(tmp_path: Path) -> None:
    hang = Hang()
    async with live(TWO_JOBS, tmp_path, hanging(hang)) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(_give_up, run, hang)
        with pytest.raises(StateError, match="the heartbeat failed"):
            await run.run()
    assert hang.stopped
    assert stored(tmp_path)[-1] == "step_started a.s"


async def _give_up(run: LiveRun, hang: Hang) -> None:
    await hang.began.wait()
    run.executor.fail(StateError("the heartbeat failed"))


@pytest.mark.asyncio
async def test_an_observer_that_hangs_does_not_keep_a_cancelled_run_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.2)
    hung = anyio.Event()

    class Hung:
        async def __call__(self, events: Sequence[e.Event]) -> None:
            del events
            hung.set()
            await anyio.sleep_forever()

        async def aclose(self) -> None:
            await anyio.sleep_forever()

    async def nothing(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs

    text = flow(*(f"{{id: j{n}, steps: [{{id: s, type: t}}]}}" for n in range(30)))
    async with live(text, tmp_path, {"t": nothing}, limit=1) as run, anyio.create_task_group() as tasks:
        run.bus.subscribe(tasks, "hung", Hung(), when_full="wait", capacity=5)
        tasks.start_soon(run.run)
        await hung.wait()
        await anyio.wait_all_tasks_blocked()
        assert run.state.phase == "RUNNING"
        run.executor.cancel("SIGTERM")
        with anyio.fail_after(20):
            await run.ended.wait()
    assert stored(tmp_path)[-1] == "run_finished CANCELLED"
    assert run.bus.dropped["hung"] > 0
