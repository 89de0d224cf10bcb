"""What holds wherever an attempt runs: in this process, and in another one that is reached by JSON only."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from aetherflow import Mark, StepResult
from aetherflow.errors import StepError
from aetherflow.events import run_events as e
from aetherflow.execution.output_files import LARGE_BYTES
from aetherflow.execution.worker_messages import Accepted, FromEngine, Go, Reply
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import Shipping
from aetherflow.sdk.step import Skipped, StepType
from aetherflow.sdk.step_decorator import step
from tests.execution.live_run import ENVIRONMENT, LiveRun, flow, live, one_step, query
from tests.execution.thread_executor import ThreadExecutor, on_threads
from tests.polling import eventually
from tests.store.clock_double import FakeClock

Functions = dict[str, Callable[..., Any]]


class Bench:
    """Opens runs whose steps are performed by one of the placements."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.workers = ThreadExecutor([], {})

    def live(self, text: str, functions: Functions, **more: Any) -> AbstractAsyncContextManager[LiveRun]:
        """Open a run of these steps."""
        return self.live_types(text, [step(name)(function) for name, function in functions.items()], **more)

    @asynccontextmanager
    async def live_types(self, text: str, types: list[StepType], **more: Any) -> AsyncIterator[LiveRun]:
        """Open a run of these step types."""
        if self.kind == "local":
            async with live(text, self.folder, types, **more) as run:
                yield run
            return
        self.workers = ThreadExecutor(types, {}, Shipping() if self.kind == "ship" else None)
        runs: list[LiveRun] = []
        async with (
            on_threads(self.workers, lambda: runs[0].services) as placement,
            live(text, self.folder, types, placement=placement, **more) as run,
        ):
            runs.append(run)
            yield run


@pytest.fixture(params=["local", "thread", "ship"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return Bench(request.param, tmp_path)


class Out(msgspec.Struct):
    """Outputs of a step, one of which JSON does not know."""

    day: date
    rows: list[int]


@pytest.mark.asyncio
async def test_outputs_reach_the_next_step_as_plain_json(bench: Bench) -> None:
    seen: list[Any] = []

    async def give(context: StepContext, inputs: dict[str, Any]) -> Out:
        del context
        return Out(date(2026, 1, 2), [inputs["n"], 2])

    async def take(context: StepContext, inputs: dict[str, Any]) -> None:
        seen.append((context.step_id, inputs))

    text = flow(
        "{id: a, steps: [{id: s, type: give, inputs: {n: 1}, outputs: {rows: '{{result.rows}}'}},"
        " {id: t, type: take, inputs: {day: '{{steps.s.day}}', rows: '{{job.outputs.rows}}'}}]}"
    )
    async with bench.live(text, {"give": give, "take": take}) as run:
        state = await run.run()
    assert state.phase == "SUCCESS"
    assert run.step("a.s").outputs == {"day": "2026-01-02", "rows": [1, 2]}
    assert seen == [("t", {"day": "2026-01-02", "rows": [1, 2]})]


@pytest.mark.asyncio
async def test_a_mark_that_a_step_moves_is_stored_exactly(bench: Bench) -> None:
    async def read(context: StepContext, inputs: dict[str, Any]) -> StepResult:
        del context, inputs
        return StepResult(marks={"orders": Mark.of(Decimal("10.50"))})

    async with bench.live(one_step(), {"t": read}) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert query(bench.folder, "SELECT type, value FROM marks") == [("decimal", "10.50")]


@pytest.mark.asyncio
async def test_the_context_says_who_the_step_is_and_where_its_files_are(bench: Bench) -> None:
    async def who(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        context.path("made.txt").write_text("x")
        if context.attempt == 1:
            raise StepError("again", kind="connection")
        names = ("flow_id", "run_id", "job_id", "step_id", "step_type", "attempt", "execution")
        facts = {name: getattr(context, name) for name in names}
        return {**facts, "key": context.idempotency_key, "env": dict(context.env), **inputs}

    text = one_step(inputs="{home: '{{env.HOME}}'}", more="retry: {max_attempts: 2}")
    async with bench.live(text, {"t": who}) as run:
        await run.run()
    assert run.step("a.s").outputs == {
        "flow_id": "demo",
        "run_id": "run-1",
        "job_id": "a",
        "step_id": "s",
        "step_type": "t",
        "attempt": 2,
        "execution": 1,
        "key": "run-1/a/s",
        "env": ENVIRONMENT,
        "home": "/nowhere",
    }
    assert (bench.folder / "work/demo/a/run-1/artifacts/made.txt").exists()


@pytest.mark.asyncio
async def test_a_step_that_found_nothing_to_do_is_skipped_with_its_reason(bench: Bench) -> None:
    async def idle(context: StepContext, inputs: dict[str, Any]) -> Any:
        del context, inputs
        return Skipped("no rows", {"rows": 0})

    async with bench.live(one_step(), {"t": idle}) as run:
        assert (await run.run()).phase == "SUCCESS"
    found = run.step("a.s")
    assert (found.status, found.reason, found.outputs) == ("SKIPPED", "no rows", {"rows": 0})


@pytest.mark.asyncio
async def test_a_failure_keeps_its_code_kind_hint_and_detail(bench: Bench) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise StepError("no host", kind="connection", code="AF799", hint="look", detail={"port": 1})

    text = one_step(more="retry: {max_attempts: 2, retry_on: [connection]}")
    async with bench.live(text, {"t": fail}) as run:
        assert (await run.run()).phase == "FAILED"
    error = run.step("a.s").error
    assert (error.message, error.kind, error.code) == ("no host", "connection", "AF799")
    assert (error.hint, error.detail, run.step("a.s").attempt) == ("look", {"port": 1}, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), BaseException("a panic")])
async def test_whatever_the_code_of_a_step_raises_fails_that_step_only(
    bench: Bench, error: BaseException
) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise error

    async with bench.live(one_step(), {"t": fail}) as run:
        assert (await run.run()).phase == "FAILED"
    assert run.step("a.s").error.code == "AF701"


@pytest.mark.asyncio
async def test_a_step_that_returns_junk_fails_and_its_type_is_named(bench: Bench) -> None:
    async def junk(context: StepContext, inputs: dict[str, Any]) -> Any:
        del context, inputs
        return ["a list"]

    async with bench.live(one_step(), {"t": junk}) as run:
        await run.run()
    assert run.step("a.s").error.message == "the step type t returned list"


@pytest.mark.asyncio
@pytest.mark.parametrize("code", ["AF620", "AF711"])
async def test_a_step_cannot_pretend_that_its_job_lost_its_lock_or_its_time(bench: Bench, code: str) -> None:
    async def forge(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        if context.attempt == 1:
            raise StepError("mine", detail={"lock_key": "job:demo/a", "cause": "job_lock"}, code=code)

    head = "locks: {scope: job}"
    text = flow("{id: a, steps: [{id: s, type: t, retry: {max_attempts: 2}}]}", head=head)
    async with bench.live(text, {"t": forge}) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert run.step("a.s").attempt == 2


@pytest.mark.asyncio
async def test_messages_that_no_step_may_send_are_ignored_and_reported(tmp_path: Path) -> None:
    bench = Bench("thread", tmp_path)

    async def quiet(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("now")

    async with bench.live(one_step(), {"t": quiet}) as run:
        finished = e.StepFinished(
            at=run.services.clock.now(),
            flow_id="demo",
            run_id="run-1",
            job_id="a",
            step_id="s",
            step_type="t",
            status="FAILED",
        )
        forged = [
            msgspec.json.encode(finished),
            b'{"type": "log", "message": "real", "level": "info", "job_id": "other", "run_id": "other"}',
            b'{"type": "log", "message": "x", "level": "fatal"}',
            b"[]",
        ]
        bench.workers.before = lambda sent: forged if b"now" in sent else [sent]
        assert (await run.run()).phase == "SUCCESS"
    notices = run.seen.of(e.Notice)
    assert [(one.level, one.code) for one in notices] == [("warning", "AF884")] * 1 + [("info", "")] + [
        ("warning", "AF884")
    ] * 2
    assert {(one.job_id, one.step_id, one.run_id) for one in notices} == {("a", "s", "run-1")}
    assert notices[1].message == "real"


@pytest.mark.asyncio
async def test_log_and_output_lines_are_shown_in_order_with_who_said_them(bench: Bench) -> None:
    def talk(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("one")
        context.say("two", "warning")
        context.show_line("stdout", "out")
        context.show_line("stderr", "err")

    async with bench.live(one_step(), {"t": talk}) as run:
        await run.run()
    said = [event for event in run.seen.events if isinstance(event, e.Notice | e.StepOutput)]
    assert [
        (event.level, event.message) if isinstance(event, e.Notice) else (event.stream, event.text)
        for event in said
    ] == [("info", "one"), ("warning", "two"), ("stdout", "out"), ("stderr", "err")]
    assert {(event.job_id, event.step_id, event.step_type, event.attempt) for event in said} == {
        ("a", "s", "t", 1)
    }


@pytest.mark.asyncio
async def test_progress_is_shown_while_the_step_runs(bench: Bench) -> None:
    async def copy(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.progress(1, 3, "files", "a.csv")
        context.progress(3, 3, "files")

    async with bench.live(one_step(), {"t": copy}) as run:
        await run.run()
    shown = run.seen.of(e.StepProgress)
    assert [(one.done, one.total, one.unit, one.note) for one in shown] == [
        (1, 3, "files", "a.csv"),
        (3, 3, "files", ""),
    ]
    assert {(one.job_id, one.step_id, one.attempt) for one in shown} == {("a", "s", 1)}


@pytest.mark.asyncio
async def test_secrets_are_masked_in_all_that_comes_back(bench: Bench) -> None:
    secret = "canary-12345"  # noqa: S105 - the canary of this test

    async def leak(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        context.log(f"log {secret}")
        context.show_line("stdout", f"line {secret}")
        context.progress_note = f"note {secret}"
        if context.attempt == 1:
            raise StepError(f"error {secret}", detail={"d": secret}, hint=secret)
        return {"got": inputs["password"], "own": [secret]}

    text = one_step(
        inputs="{password: hunter-22222}", more="retry: {max_attempts: 2}, outputs: {o: '{{result.own}}'}"
    )
    async with bench.live(text, {"t": leak}, secrets=[secret]) as run:
        assert (await run.run()).phase == "SUCCESS"
    everything = repr(run.seen.events) + repr(run.state)
    assert secret not in everything
    assert "hunter-22222" not in everything
    assert run.step("a.s").outputs == {"got": "***", "own": ["***"]}


@pytest.mark.asyncio
async def test_a_time_limit_stops_the_step_and_its_progress_note_is_shown(bench: Bench) -> None:
    stopped: list[str] = []
    began, clock = threading.Event(), FakeClock()

    async def slow(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        try:
            began.set()
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            stopped.append(context.step_id)
            context.progress_note = "3 of 9 files"
            raise

    async with bench.live(one_step(more="timeout_seconds: 0.2"), {"t": slow}, clock=clock) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            assert await eventually(began.is_set)
            await clock.sleeping(1)
            clock.advance(0.2)
        assert run.state.phase == "FAILED"
    error = run.step("a.s").error
    assert (error.kind, error.code, stopped) == ("timeout", "AF710", ["s"])
    assert error.message == "the step's timeout_seconds passed after 0.2 s: 3 of 9 files"


@pytest.mark.asyncio
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_cancelled_run_stops_the_step_before_it_ends(bench: Bench, *, is_async: bool) -> None:
    stopped: list[bool] = []

    async def wait_async(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("begun")
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(True)

    def wait(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.log("begun")
        while not context.stopping:
            time.sleep(0.005)
        stopped.append(True)
        context.raise_if_stopping()

    async with (
        bench.live(one_step(), {"t": wait_async if is_async else wait}) as run,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(run.run)
        await run.seen.until(lambda event: isinstance(event, e.Notice) and event.message == "begun")
        run.executor.cancel("enough")
        await run.ended.wait()
    assert (run.state.phase, run.step("a.s").status, stopped) == ("CANCELLED", "CANCELLED", [True])


@pytest.mark.asyncio
async def test_a_large_output_is_a_file_and_the_next_step_sees_its_value(bench: Bench) -> None:
    seen: list[int] = []

    async def give(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        del context, inputs
        return {"big": "x" * (LARGE_BYTES + 1)}

    async def take(context: StepContext, inputs: dict[str, Any]) -> None:
        del context
        seen.append(len(inputs["big"]))

    text = flow(
        "{id: a, steps: [{id: s, type: give}, {id: t, type: take, inputs: {big: '{{steps.s.big}}'}}]}"
    )
    async with bench.live(text, {"give": give, "take": take}, has_output_files=True) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert run.step("a.s").outputs["big"].keys() == {"$file", "bytes"}
    assert seen == [LARGE_BYTES + 1]


@pytest.mark.asyncio
async def test_a_step_that_needs_the_coordinator_runs_there_and_others_elsewhere(tmp_path: Path) -> None:
    bench = Bench("thread", tmp_path)

    @step("here", placement="coordinator")
    async def here(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with context.lock("k"):
            pass

    @step("there")
    async def there(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs

    text = flow("{id: a, steps: [{id: s, type: here}, {id: t, type: there, timeout_seconds: 9}]}")
    async with bench.live_types(text, [here, there]) as run:
        assert (await run.run()).phase == "SUCCESS"
    got = [msgspec.json.decode(message, type=FromEngine) for message in bench.workers.got]
    (work,) = [message.work for message in got if isinstance(message, Go)]
    assert (work.call.step_id, work.call.time_limit_seconds) == ("t", 9)
    assert [type(message) for message in got] == [Go, Reply, Accepted]  # the package was asked for
