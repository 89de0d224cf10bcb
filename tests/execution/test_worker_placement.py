"""Attempts that are given to an executor: how they are stopped, lost, left, and accepted when stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow import StepResult
from aetherflow.errors import AetherFlowError, AttemptLost, ErrorInfo, StepError
from aetherflow.events import run_events as e
from aetherflow.execution.ports import LogLine
from aetherflow.execution.worker_messages import Answer, End, GetPackage
from aetherflow.execution.worker_placement import WorkersOfRun, grace_seconds, worker_placement
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import ExecutorAttempt, Needs, WorkerFacts
from aetherflow.task_errors import one_error
from tests.execution.live_run import LiveRun, live, one_step, stored
from tests.execution.worker_script import Start
from tests.polling import eventually

DONE = End(Answer(StepResult(outputs={"n": 1})))


def nothing(_context: StepContext, _inputs: dict[str, Any]) -> None:
    """Stand for a step that another process runs."""
    raise AssertionError


class ScriptedExecutor:
    """Implements `OpenExecutor`; its workers are the test.

    Attributes:
        attempts: what it was given.
        forgotten: the keys of attempts whose `run` was cancelled.
        ended: the keys of attempts whose end was accepted.
    """

    slots = 4
    joins_within = 0.0
    ships = None

    def __init__(self) -> None:
        self.attempts: list[ExecutorAttempt] = []
        self._failure: Exception | None = None
        self._fails = anyio.Event()
        self._given = anyio.Event()
        self.forgotten: list[str] = []
        self.ended: list[str] = []

    async def run(self, attempt: ExecutorAttempt) -> None:
        """Wait for the end of an attempt, or fail."""
        self.attempts.append(attempt)
        self._given.set()
        fails = self._fails
        try:
            async with anyio.create_task_group() as tasks:

                async def fail() -> None:
                    await fails.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(fail)
                await attempt.ended()
                self.ended.append(attempt.key)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            self.forgotten.append(attempt.key)
            raise
        if fails.is_set() and self._failure is not None:
            raise self._failure

    def fail(self, failure: Exception | None) -> None:
        """Let what runs now fail; or return, without a failure."""
        self._failure, fails, self._fails = failure, self._fails, anyio.Event()
        fails.set()

    async def given(self, number: int = 0) -> ExecutorAttempt:
        """Return an attempt when it was given."""
        with anyio.fail_after(30):
            while len(self.attempts) <= number:
                self._given = anyio.Event()
                await self._given.wait()
        return self.attempts[number]

    async def find(self, keys: Collection[str]) -> frozenset[str]:
        """Find nothing."""
        assert keys
        return frozenset()

    async def workers(self) -> list[WorkerFacts]:
        """Return no worker."""
        return []

    async def ask(self, question: bytes) -> dict[str, bytes]:
        """Ask nobody."""
        assert question
        return {}

    async def check(self) -> list[CheckResult]:
        """Check nothing."""
        return []

    async def start(self, number: int = 0, name: str = "s1") -> Start:
        """Return a start of an attempt that was given, which asks whether it may begin."""
        start = Start(await self.given(number), name)
        start.begin()
        return start


@asynccontextmanager
async def executing(
    folder: Path, executor: ScriptedExecutor, text: str = "", *, stop_seconds: float = 60
) -> AsyncIterator[LiveRun]:
    """Execute a run beside a block, and to its end after it."""
    runs: list[LiveRun] = []

    def announce(event: e.Event) -> None:
        runs[0].services.announce(event)

    settings = WorkersOfRun(
        executor=executor,
        package_id="p",
        package_text=lambda: "{}",
        needs_of=lambda _: Needs(),
        announce=announce,
        conceal=lambda call: call,
        stop_seconds=stop_seconds,
    )
    async with (
        worker_placement(settings) as placement,
        live(text or one_step(), folder, {"t": nothing}, placement=placement) as run,
        one_error() as tasks,
    ):
        runs.append(run)
        tasks.start_soon(run.run)
        yield run
        with anyio.fail_after(60):
            await run.ended.wait()


@pytest.mark.asyncio
async def test_a_worker_is_told_when_the_end_of_its_attempt_is_stored(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        start = await executor.start()
        stored_then: list[list[str]] = []
        bus, publish = run.bus, run.bus.publish

        async def watched(events: Any) -> None:
            await publish(events)
            if any(isinstance(event, e.StepFinished) for event in events):
                stored_then.append(start.kinds)

        vars(bus)["publish"] = watched
        start.say(DONE)
        await run.ended.wait()
    assert run.state.phase == "SUCCESS"
    assert stored_then == [["Go"]]
    assert start.kinds == ["Go", "Accepted"]
    assert executor.ended == [executor.attempts[0].key]
    assert executor.forgotten == []


@pytest.mark.asyncio
async def test_a_failed_attempt_is_accepted_before_the_next_one_is_given_away(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor, one_step(more="retry: {max_attempts: 2}")) as run:
        first = await executor.start()
        first.say(End(Answer(error=ErrorInfo("AF799", "no", "connection"))))
        second = await executor.start(1)
        second.say(DONE)
    assert run.step("a.s").attempt == 2
    assert (first.kinds, second.kinds) == (["Go", "Accepted"], ["Go", "Accepted"])
    assert len({attempt.key for attempt in executor.attempts}) == 2


@pytest.mark.asyncio
async def test_a_lost_attempt_is_tried_again_and_its_late_result_is_refused(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    text = one_step(more="retry: {max_attempts: 2, retry_on: [lost]}")
    async with executing(tmp_path, executor, text) as run:
        first = await executor.start()
        executor.fail(AttemptLost("the worker w1 is gone"))
        second = await executor.start(1)
        first.say(End(Answer(StepResult(outputs={"n": 2}))), LogLine("still there"))
        assert first.kinds == ["Go", "Refuse", "Refuse"]
        second.say(DONE)
    assert run.step("a.s").outputs == {"n": 1}
    assert run.seen.of(e.Notice) == []
    [refused] = run.seen.of(e.ResultRefused)
    assert (refused.attempt, refused.executor, refused.worker, refused.host) == (1, "far", "w1", "far")
    assert refused.reason == "the attempt was given up: the worker w1 is gone"
    assert stored(tmp_path).count("result_refused a.s") == 1


@pytest.mark.asyncio
async def test_a_cancelled_attempt_is_stopped_and_the_run_waits_for_its_end(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        start = await executor.start()
        run.executor.cancel("enough")
        assert await eventually(lambda: "Stop" in start.kinds)
        assert not run.ended.is_set()
        start.say(End(Answer()))
    assert (run.state.phase, run.step("a.s").status) == ("CANCELLED", "CANCELLED")
    assert start.kinds == ["Go", "Stop", "Accepted"]


@pytest.mark.asyncio
async def test_a_result_that_comes_after_the_cancellation_counts(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        start = await executor.start()
        run.executor.cancel("enough")
        assert await eventually(lambda: "Stop" in start.kinds)
        start.say(DONE)
    assert (run.step("a.s").status, run.step("a.s").outputs) == ("SUCCESS", {"n": 1})
    assert start.kinds == ["Go", "Stop", "Accepted"]


@pytest.mark.asyncio
async def test_a_cancelled_attempt_that_no_worker_has_begun_is_taken_back(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        await executor.given()
        run.executor.cancel("enough")
        await run.ended.wait()
        assert await eventually(lambda: bool(executor.forgotten))
        late = await executor.start()
    assert (run.state.phase, late.kinds) == ("CANCELLED", ["Refuse"])


@pytest.mark.asyncio
async def test_a_worker_that_does_not_stop_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aetherflow.execution.worker_placement.THREAD_STOP_SECONDS", 0.01)
    executor = ScriptedExecutor()
    text = one_step(more="timeout_seconds: 0.01")
    async with executing(tmp_path, executor, text, stop_seconds=0.01) as run:
        start = await executor.start()
        await run.ended.wait()
        start.say(DONE)
        assert await eventually(lambda: bool(executor.forgotten))
        assert start.kinds == ["Go", "Stop", "Refuse"]
    assert run.step("a.s").error.code == "AF710"
    (given_up,) = run.seen.of(e.Notice)
    assert given_up.code == "AF800"
    assert "the worker w1 (far) did not end attempt 1 of a.s" in given_up.message


@pytest.mark.asyncio
async def test_a_worker_that_is_lost_after_its_answer_came_is_answered_when_it_comes_back(
    tmp_path: Path,
) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        start = await executor.start()
        start.say(DONE)
        executor.fail(AttemptLost("the worker w1 is gone"))
        await run.ended.wait()
        start.say(DONE)
    assert run.state.phase == "SUCCESS"
    assert start.kinds == ["Go", "Accepted", "Accepted"]


@pytest.mark.asyncio
async def test_a_fault_of_an_executor_loses_the_attempt_and_not_the_run(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        await executor.start()
        executor.fail(RuntimeError("a fault"))
    error = run.step("a.s").error
    assert (error.code, error.kind) == ("AF802", "lost")
    assert "a fault" in error.message


@pytest.mark.asyncio
async def test_an_executor_that_returns_too_early_loses_the_attempt(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        await executor.start()
        executor.fail(None)
    assert run.step("a.s").error.code == "AF802"


@pytest.mark.asyncio
async def test_what_no_worker_can_run_fails_with_that_error(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        await executor.given()
        executor.fail(StepError("no worker offers SFTP", code="AF811"))
    assert run.step("a.s").error.code == "AF811"


@pytest.mark.asyncio
async def test_a_run_that_is_left_leaves_its_attempts_to_the_next_process(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        start = await executor.start()
        run.executor.leave("the server stops")
        await run.ended.wait()
        start.say(LogLine("on"), DONE)
    assert run.state.phase == "RUNNING"
    assert start.kinds == ["Go"]
    assert executor.forgotten == [executor.attempts[0].key]


@pytest.mark.asyncio
async def test_a_run_that_another_process_has_taken_over_stops_nothing_there(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    failure: AetherFlowError | None = None
    try:
        async with executing(tmp_path, executor) as run:
            start = await executor.start()
            run.executor.fail(AetherFlowError("taken over"))
            await run.ended.wait()
    except AetherFlowError as error:
        failure = error
    assert str(failure) == "taken over"
    assert start.kinds == ["Go"]


@pytest.mark.asyncio
async def test_what_the_engine_cannot_conclude_is_undone_on_the_worker(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    text = one_step(more="outputs: {o: '{{result.missing}}'}")
    async with executing(tmp_path, executor, text) as run:
        start = await executor.start()
        start.say(End(Answer(StepResult(), must_wait=True)))
    assert run.step("a.s").status == "FAILED"
    assert start.kinds == ["Go", "Undo"]


@pytest.mark.asyncio
async def test_a_worker_asks_for_the_package_of_this_run_only(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor):
        start = await executor.start()
        assert await start.ask(1, GetPackage("p")) == "{}"
        assert (await start.ask(2, GetPackage("other"))).code == "AF884"
        start.say(DONE)


@pytest.mark.asyncio
async def test_a_worker_that_ends_an_attempt_by_itself_loses_it(tmp_path: Path) -> None:
    executor = ScriptedExecutor()
    async with executing(tmp_path, executor) as run:
        start = await executor.start()
        start.say(End(Answer(stopped="it closes")))
    error = run.step("a.s").error
    assert (error.code, error.kind) == ("AF801", "lost")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(None, 15), (3, 15), (60, 60), ("2m", 120), ("{{nonsense}}", 15), ([], 15), (True, 15)],
)
def test_the_grace_of_a_program_is_added_to_the_patience(written: Any, seconds: float) -> None:
    inputs = {} if written is None else {"kill_grace_seconds": written}
    assert grace_seconds(inputs) == seconds
