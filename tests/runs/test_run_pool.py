from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import pytest

from aetherflow.errors import Diagnostic, InvalidInput, RunInUse, StateError, UsageError
from aetherflow.runs import run_pool as run_pool_module
from aetherflow.runs.ports import ClaimPrecondition
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_pool import RunPool, RunPoolFull
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus
from tests.runs.executions import Executions, Seen, running, ticket
from tests.store.clock_double import FakeClock

pytestmark = pytest.mark.asyncio


async def test_so_many_runs_execute_at_a_time_and_the_queue_gives_the_next_ones() -> None:
    executions, seen = Executions(), Seen()
    run_pool = RunPool(executions, max_parallel_runs=2, observer=seen)
    async with running(run_pool):
        for run_id in "abc":
            await run_pool.submit(ticket(run_id))
        await seen.until("b", "started")
        await run_pool.submit(ticket("d", priority=9))
        assert [run.ticket.run_id for run in run_pool.running()] == ["a", "b"]
        assert [waiting.run_id for waiting in run_pool.queued()] == ["d", "c"]
        for run_id in "abdc":
            executions.gate(run_id).set()
            await seen.until(run_id, "ended")
        assert executions.began == ["a", "b", "d", "c"]
        assert executions.most == 2
    assert all(seen.of(run_id) == ["queued", "started", "ended"] for run_id in "abcd")
    assert seen.reports["a"] == RunReport("a", "SUCCESS", 0)


async def test_a_run_is_queued_or_executed_once_at_a_time() -> None:
    executions, seen = Executions(), Seen()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen)
    async with running(run_pool):
        await run_pool.submit(ticket("a"))
        await run_pool.submit(ticket("b"))
        await seen.until("a", "started")
        for run_id in "ab":
            with pytest.raises(UsageError, match=f"run {run_id} is queued or executed already") as refused:
                await run_pool.submit(ticket(run_id))
            assert refused.value.code == "AF651"
        executions.gate("a").set()
        await seen.until("a", "ended")
        await seen.until("b", "started")
        await run_pool.submit(ticket("a"))  # it has ended: it may be resumed
        assert [waiting.run_id for waiting in run_pool.queued()] == ["a"]


async def test_a_full_queue_refuses_and_says_so() -> None:
    executions, seen = Executions(), Seen()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen, max_queued=1)
    async with running(run_pool):
        await run_pool.submit(ticket("a"))
        await seen.until("a", "started")
        await run_pool.submit(ticket("b"))
        with pytest.raises(RunPoolFull, match="1 runs wait already; run c is not taken") as refused:
            await run_pool.submit(ticket("c"))
        assert refused.value.code == "AF650"
    assert seen.of("c") == []


async def test_a_run_can_be_cancelled_while_it_runs_and_while_it_waits() -> None:
    executions, seen = Executions(), Seen()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen)
    async with running(run_pool):
        await run_pool.submit(ticket("a"))
        await run_pool.submit(ticket("b"))
        await seen.until("a", "started")
        assert await run_pool.cancel("b", "not needed")
        assert await run_pool.cancel("a", "too late")
        await seen.until("a", "ended")
        await run_pool.drain(0)
        assert not await run_pool.cancel("a", "again")
    assert seen.reports["a"] == RunReport("a", "CANCELLED", 143, reason="too late")
    assert seen.reports["b"] == Refusal("b", "cancelled", "not needed", "AF653")
    assert seen.of("b") == ["queued", "refused"]


@pytest.mark.parametrize(
    "broken", [RuntimeError("a bug"), SystemExit(3), BaseException("a panic"), asyncio.CancelledError("odd")]
)
async def test_what_a_run_raises_ends_that_run_only(broken: BaseException) -> None:
    executions, seen, problems = Executions(), Seen(), list[str]()
    executions.raises["before"] = broken
    executions.fails_after_start["after"] = broken
    executions.fails_after_start["full"] = StateError("the disk is full")
    executions.raises["held"] = RunInUse(
        "run held is being executed by another", hint="wait", state=Path("s")
    )
    run_pool = RunPool(executions, max_parallel_runs=4, observer=seen, on_problem=problems.append)
    async with running(run_pool):
        await run_pool.submit(ticket("sound"))
        for run_id, status in [("before", "refused"), ("after", "ended"), ("full", "ended")]:
            await run_pool.submit(ticket(run_id))
            await seen.until(run_id, "refused" if status == "refused" else "ended")
        await run_pool.submit(ticket("held"))
        await seen.until("held", "refused")
        assert [run.ticket.run_id for run in run_pool.running()] == ["sound"]
        executions.gate("sound").set()
        await seen.until("sound", "ended")
    told = f"an internal error: {type(broken).__name__}: {broken}"
    assert seen.reports["before"] == Refusal("before", "error", told, "AF654")
    assert seen.reports["after"] == RunReport("after", "INTERRUPTED", 1, reason=told, code="AF654")
    full = RunReport("full", "INTERRUPTED", 1, reason="the disk is full", code="AF600")
    assert seen.reports["full"] == full
    assert seen.reports["held"] == Refusal(
        "held", "run_in_use", "run held is being executed by another", "AF610", "wait", state="s"
    )
    assert len(problems) == 2
    assert all("Traceback" in problem for problem in problems)


async def test_the_secrets_of_a_run_are_masked_in_the_traceback_of_a_bug_and_in_its_report() -> None:
    seen, problems = Seen(), list[str]()

    async def execute(
        ticket: RunTicket,
        control: RunControl,
        started: Callable[[], Awaitable[None]],
        precondition: ClaimPrecondition | None = None,
    ) -> RunReport:
        assert precondition is None
        control.redactor.add("canary-1")
        if ticket.run_id != "before":
            await started()
        if ticket.run_id == "known":
            raise StateError("cannot store canary-1")
        raise KeyError("canary-1")

    run_pool = RunPool(execute, max_parallel_runs=1, observer=seen, on_problem=problems.append)
    async with running(run_pool):
        for name in ("before", "after", "known"):
            await run_pool.submit(ticket(name))
            await seen.until(name, "refused" if name == "before" else "ended")
    assert len(problems) == 2
    assert all("KeyError: '***'" in problem for problem in problems)
    assert [report.reason for report in seen.reports.values()] == [
        "an internal error: KeyError: '***'",
        "an internal error: KeyError: '***'",
        "cannot store ***",
    ]
    assert "canary-1" not in "".join(problems)


async def test_an_invalid_flow_is_refused_with_what_is_wrong() -> None:
    executions, seen = Executions(), Seen()
    diagnostic = Diagnostic("AF101", "no such key", "flow.yaml", 3, 5)
    executions.raises["a"] = InvalidInput([diagnostic])
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen)
    async with running(run_pool):
        await run_pool.submit(ticket("a"))
        await seen.until("a", "refused")
    refusal = Refusal("a", "invalid_flow", str(diagnostic), "AF101", diagnostics=(diagnostic,))
    assert seen.reports["a"] == refusal


async def test_an_observer_that_raises_hurts_no_run() -> None:
    class Broken(Seen):
        async def on_change(
            self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
        ) -> None:
            await super().on_change(ticket, status, report)
            raise RuntimeError(f"cannot note {status}")

    executions, seen, problems = Executions(), Broken(), list[str]()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen, on_problem=problems.append)
    async with running(run_pool):
        await run_pool.submit(ticket("a"))
        executions.gate("a").set()
        await seen.until("a", "ended")
    assert seen.of("a") == ["queued", "started", "ended"]
    assert [problem.strip().rpartition(": ")[2] for problem in problems] == [
        "cannot note queued",
        "cannot note started",
        "cannot note ended",
    ]


async def test_an_observer_whose_database_fails_is_reported_in_a_sentence() -> None:
    class Full(Seen):
        async def on_change(
            self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
        ) -> None:
            await super().on_change(ticket, status, report)
            if status == "ended":
                raise StateError("the disk is full")

    executions, seen, problems = Executions(), Full(), list[str]()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen, on_problem=problems.append)
    async with running(run_pool):
        await run_pool.submit(ticket("a"))
        executions.gate("a").set()
        await seen.until("a", "ended")
    assert problems == ["run a: its status ended could not be noted: the disk is full"]


async def test_nothing_is_reported_of_a_ticket_before_that_it_is_queued() -> None:
    class Slow(Seen):
        async def on_change(
            self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
        ) -> None:
            if status == "queued":
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
            await super().on_change(ticket, status, report)

    executions, seen = Executions(), Slow()
    run_pool = RunPool(executions, max_parallel_runs=5, observer=seen)
    async with running(run_pool), anyio.create_task_group() as submitting:
        for run_id in "abcdef":
            executions.gate(run_id).set()
            submitting.start_soon(run_pool.submit, ticket(run_id))
        for run_id in "abcdef":
            await seen.until(run_id, "ended")
    assert all(seen.of(run_id) == ["queued", "started", "ended"] for run_id in "abcdef")


async def test_draining_waits_for_what_runs_and_reports_what_never_began() -> None:
    executions, seen, clock = Executions(), Seen(), FakeClock()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen, clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        await run_pool.submit(ticket("a"))
        await run_pool.submit(ticket("b"))
        await seen.until("a", "started")
        tasks.start_soon(run_pool.drain, 60.0)
        await seen.until("b", "refused")
        await clock.sleeping(1)
        with pytest.raises(RunPoolFull, match="shutting down") as refused:
            await run_pool.submit(ticket("c"))
        executions.gate("a").set()
    assert refused.value.code == "AF652"
    assert seen.reports["a"] == RunReport("a", "SUCCESS", 0)
    assert seen.reports["b"] == Refusal(
        "b", "server_stopping", "the server stopped before the run started", "AF652"
    )
    assert executions.began == ["a"]


async def test_after_the_grace_runs_are_cancelled_and_then_killed() -> None:
    executions, seen, clock = Executions(), Seen(), FakeClock()
    executions.resisting.add("b")
    run_pool = RunPool(executions, max_parallel_runs=2, observer=seen, clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        await run_pool.submit(ticket("a"))
        await run_pool.submit(ticket("b"))
        await seen.until("b", "started")
        tasks.start_soon(run_pool.drain, 60.0, 5.0)
        await clock.sleeping(1)
        clock.advance(59)
        await anyio.lowlevel.checkpoint()
        assert seen.of("a") == ["queued", "started"]
        clock.advance(1)
        await seen.until("a", "ended")
        await clock.sleeping(1)
        assert [run.cancel_reason for run in run_pool.running()] == ["the server stops"]
        clock.advance(5)
    assert [seen.reports[run_id] for run_id in "ab"] == [
        RunReport(run_id, "CANCELLED", 143, reason="the server stops") for run_id in "ab"
    ]


async def test_a_second_request_forces_the_end() -> None:
    executions, seen, clock = Executions(), Seen(), FakeClock()
    executions.resisting.add("a")
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen, clock=clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        await run_pool.submit(ticket("a"))
        await seen.until("a", "started")
        tasks.start_soon(run_pool.drain, 3600.0)
        await clock.sleeping(1)
        with anyio.fail_after(30):
            await run_pool.drain(3600.0)
    assert seen.of("a") == ["queued", "started", "ended"]


async def test_a_cancelled_runner_ends_its_runs_in_order() -> None:
    executions, seen = Executions(), Seen()
    run_pool = RunPool(executions, max_parallel_runs=1, observer=seen)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        await run_pool.submit(ticket("a"))
        await run_pool.submit(ticket("b"))
        await seen.until("a", "started")
        tasks.cancel_scope.cancel()
    assert seen.of("a") == ["queued", "started", "ended"]
    assert seen.of("b") == ["queued", "refused"]


@pytest.mark.parametrize("how", ["drained", "cancelled"])
async def test_runs_that_not_even_force_ends_are_reported(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(Executions):
        async def _wait(self, run_id: str, control: RunControl) -> RunReport:
            del control
            await self.gate(run_id).wait()
            return RunReport(run_id, "SUCCESS", 0)

    async def leave(run_ids: Sequence[str]) -> None:
        left.extend(run_ids)
        executions.gate("a").set()

    monkeypatch.setattr(run_pool_module, "FORCE_SECONDS", 0)
    monkeypatch.setattr(run_pool_module, "CANCEL_SECONDS", 0)
    executions, seen, left = Deaf(), Seen(), list[str]()
    run_pool = RunPool(executions, max_parallel_runs=2, observer=seen, on_left=leave)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        for run_id in "ab":
            await run_pool.submit(ticket(run_id))
            await seen.until(run_id, "started")
        executions.gate("b").set()
        await seen.until("b", "ended")
        if how == "cancelled":
            tasks.cancel_scope.cancel()
        else:
            assert not await run_pool.drain(0, 0)
    assert left == ["a"]
