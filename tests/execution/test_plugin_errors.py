"""What code of others raises beside exceptions of the ordinary kind fails its step, and nothing else."""

from __future__ import annotations

import asyncio
import math
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.engine.state import RunState
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.context import StepContext
from tests.execution.live_run import live, one_step
from tests.polling import eventually


class Panic(BaseException):
    """What a library written in Rust raises when it meets a bug of its own."""


async def foreign_cancellation() -> None:
    """Wait for a task that its own author cancels, as client libraries do."""
    task = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    await task


async def raising(error: BaseException) -> None:
    raise error


CANCELLED = "CancelledError: what the step waited for was cancelled, though nobody asked the step to stop"
CASES: dict[str, tuple[Callable[[], Awaitable[None]], str]] = {
    "panic": (lambda: raising(Panic("index out of bounds")), "Panic: index out of bounds"),
    "interrupt": (lambda: raising(KeyboardInterrupt()), "KeyboardInterrupt: no further message"),
    "exit": (lambda: raising(SystemExit(3)), "the step called sys.exit(3)"),
    "cancellation": (foreign_cancellation, CANCELLED),
    "group": (lambda: raising(BaseExceptionGroup("two", [Panic("a"), ValueError("b")])), "Panic: a"),
}


def sync_of(name: str) -> BaseException:
    return {
        "panic": Panic("index out of bounds"),
        "interrupt": KeyboardInterrupt(),
        "exit": SystemExit(3),
        "cancellation": asyncio.CancelledError(),
        "group": BaseExceptionGroup("two", [Panic("a"), ValueError("b")]),
    }[name]


async def run_of(folder: Path, step: Any, more: str = "") -> RunState:
    """Run a flow of one step, and a job beside it; return the state at the end."""
    beside = "  - {id: b, steps: [{id: s, type: other}]}\n"

    async def other(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        assert await eventually(lambda: run.state.jobs["a"].status == "FAILED")

    async with live(one_step("kind", more=more) + beside, folder, {"kind": step, "other": other}) as run:
        await run.run()
        state: RunState = run.state
    return state


def assert_failed(state: RunState, said: str, attempts: int = 1) -> None:
    step = state.jobs["a"].steps["s"]
    assert (step.status, step.attempt) == ("FAILED", attempts)
    assert step.error is not None
    assert step.error.code == "AF701"
    assert step.error.message.startswith(said)
    assert (state.jobs["b"].status, state.phase) == ("SUCCESS", "FAILED")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CASES)
async def test_an_async_step_fails_is_tried_again_and_hurts_nobody(tmp_path: Path, name: str) -> None:
    act, said = CASES[name]

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await act()

    state = await run_of(tmp_path, step, "retry: {max_attempts: 2, backoff_seconds: 0}")

    assert_failed(state, said, attempts=2)


async def group_with_a_failure() -> None:
    """Fail as a task group of asyncio does: on Python 3.11 the task of the step stays asked to cancel."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.Event().wait())
        tasks.create_task(raising_soon())


async def raising_soon() -> None:
    raise ValueError("of a task")


async def own_cancellation() -> None:
    """Cancel the task that runs the step."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


@pytest.mark.asyncio
@pytest.mark.parametrize("more", ["", "timeout_seconds: 60"], ids=["endless", "time_limit"])
@pytest.mark.parametrize(
    ("act", "said"), [(group_with_a_failure, "ValueError: of a task"), (own_cancellation, CANCELLED)]
)
async def test_a_step_that_cancels_its_own_task_fails_and_its_run_ends(
    tmp_path: Path, act: Callable[[], Awaitable[None]], said: str, more: str
) -> None:
    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with context.lock("k"):
            await act()

    assert_failed(await run_of(tmp_path, step, more), said)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CASES)
async def test_a_sync_step_fails_and_hurts_nobody(tmp_path: Path, name: str) -> None:
    def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise sync_of(name)

    assert_failed(await run_of(tmp_path, step), CASES[name][1])


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CASES)
async def test_what_a_sync_step_calls_on_the_loop_fails_in_the_step(tmp_path: Path, name: str) -> None:
    act, said = CASES[name]

    def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        context.run_async(act)

    assert_failed(await run_of(tmp_path, step), said)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", CASES)
async def test_under_a_lock_it_is_the_same(tmp_path: Path, name: str) -> None:
    act, said = CASES[name]

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with context.lock("k"):
            await act()

    assert_failed(await run_of(tmp_path, step), said)


@pytest.mark.asyncio
async def test_a_cancellation_of_ours_passes_and_another_does_not() -> None:
    found: list[bool] = []

    async def catch(act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except BaseException as error:
            found.append(is_our_cancellation(error))
            if is_our_cancellation(error):
                raise

    await catch(foreign_cancellation)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await catch(anyio.sleep_forever)
    with anyio.CancelScope() as scope, anyio.CancelScope(shield=True):
        scope.cancel()
        await catch(foreign_cancellation)
    assert found == [False, True, False]
    assert anyio.current_effective_deadline() == math.inf


def test_ctrl_c_counts_in_the_main_thread_where_no_loop_runs_and_python_raises_it() -> None:
    found: list[bool] = [is_our_cancellation(KeyboardInterrupt())]
    thread = threading.Thread(target=lambda: found.append(is_our_cancellation(KeyboardInterrupt())))
    thread.start()
    thread.join()
    assert found == [True, False]
    assert not is_our_cancellation(asyncio.CancelledError())
    assert not is_our_cancellation(GeneratorExit())
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert not is_our_cancellation(KeyboardInterrupt())
    signal.signal(signal.SIGINT, before)
