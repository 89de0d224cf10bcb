"""What a step sees of its run, and how its threads are stopped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from aetherflow.errors import StepError
from aetherflow.events.run_events import Notice, StepOutput
from aetherflow.sdk import blocking
from aetherflow.sdk.context import StepContext
from aetherflow.testing.fake_run import FakeRun
from tests.execution.live_run import LiveRun, live, one_step
from tests.polling import eventually


async def context_of(folder: Path, use: Any) -> LiveRun:
    """Run a step that uses its context."""

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        await use(context)

    async with live(one_step("kind"), folder, {"kind": step}, secrets=["canary-1"]) as run:
        await run.run()
    assert run.state.phase == "SUCCESS", run.step("a.s").error
    return run


@pytest.mark.asyncio
async def test_a_step_knows_who_it_is_and_where_its_files_are(tmp_path: Path) -> None:
    async def use(context: StepContext) -> None:
        assert (context.flow_id, context.run_id, context.job_id, context.step_id) == (
            "demo",
            "run-1",
            "a",
            "s",
        )
        assert (context.step_type, context.attempt) == ("kind", 1)
        assert context.idempotency_key == "run-1/a/s"
        assert context.env["HOME"] == "/nowhere"
        base = tmp_path / "work" / "demo" / "a" / "run-1"
        assert not base.exists()
        assert context.artifacts == base / "artifacts"
        assert context.scratch == base / "scratch"
        assert context.manifests == base / "manifests"
        assert context.path("x/y.csv") == base / "artifacts" / "x" / "y.csv"
        assert context.path("/x/y.csv") == Path("/x/y.csv")
        assert context.log_file == tmp_path / "logs" / "run-1" / "a" / "s.1.log"
        assert not context.stopping
        context.raise_if_stopping()
        with pytest.raises(StepError, match="leaves the job's artifacts folder"):
            context.path("../x")
        with context.writing(context.path("whole.txt")) as part:
            part.write_text("x")
        assert context.path("whole.txt").read_text() == "x"

    await context_of(tmp_path, use)


@pytest.mark.asyncio
async def test_what_a_step_says_and_shows_is_reported_with_its_place_and_masked(tmp_path: Path) -> None:
    async def use(context: StepContext) -> None:
        context.say("careful: canary-1", "warning")
        context.show_line("stderr", "canary-1 failed")

    run = await context_of(tmp_path, use)
    notice, line = run.seen.of(Notice)[0], run.seen.of(StepOutput)[0]
    assert (notice.level, notice.message) == ("warning", "careful: ***")
    assert (line.stream, line.text) == ("stderr", "*** failed")
    for event in (notice, line):
        assert (event.job_id, event.step_id, event.step_type, event.attempt) == ("a", "s", "kind", 1)


@pytest.mark.asyncio
async def test_a_log_line_fails_nothing_whatever_its_level_and_value(tmp_path: Path) -> None:
    async def use(context: StepContext) -> None:
        context.log("no such level", "warn")  # type: ignore[arg-type]  # what is tested
        context.log(5, "debug")  # type: ignore[arg-type]  # what is tested

    run = await context_of(tmp_path, use)
    notices = [(notice.level, notice.message) for notice in run.seen.of(Notice)]
    assert notices == [("warning", "no such level"), ("debug", "5")]


@pytest.mark.asyncio
async def test_a_blocking_call_returns_and_raises_as_if_called_here(tmp_path: Path) -> None:
    def divide(a: int, b: int) -> float:
        assert threading.current_thread() is not threading.main_thread()
        return a / b

    async def use(context: StepContext) -> None:
        assert await context.run_sync(divide, 6, 3) == 2
        with pytest.raises(ZeroDivisionError):
            await context.run_sync(divide, 1, 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await context.run_sync(next, iter(()))

    await context_of(tmp_path, use)


@pytest.mark.asyncio
async def test_a_call_that_was_ended_does_not_stop_the_calls_that_follow(tmp_path: Path) -> None:
    stops: list[bool] = []

    async def use(context: StepContext) -> None:
        def until_told() -> None:
            anyio.from_thread.run_sync(scope.cancel)
            while not context.stopping:
                threading.Event().wait(0.001)
            stops.append(context.stopping)

        with anyio.CancelScope() as scope:
            await context.run_sync(until_told)
        assert scope.cancelled_caught
        await context.run_sync(lambda: stops.append(context.stopping))
        context.raise_if_stopping()

    await context_of(tmp_path, use)
    assert stops == [True, False]


@pytest.mark.asyncio
async def test_a_thread_that_stops_in_time_is_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "THREAD_STOP_SECONDS", 10)

    async def use(context: StepContext) -> None:
        def work() -> None:
            anyio.from_thread.run_sync(scope.cancel)
            while True:
                context.raise_if_stopping()
                threading.Event().wait(0.001)

        with anyio.CancelScope() as scope:
            await context.run_sync(work)

    before = anyio.current_time()
    run = await context_of(tmp_path, use)
    assert anyio.current_time() - before < 5
    assert run.seen.logged == []


@pytest.mark.asyncio
async def test_stopping_is_reported_as_a_cancelled_step(tmp_path: Path) -> None:
    caught: list[StepError] = []

    async def use(context: StepContext) -> None:
        def work() -> None:
            anyio.from_thread.run_sync(scope.cancel)
            try:
                while True:
                    context.raise_if_stopping()
            except StepError as error:
                caught.append(error)
                raise

        with anyio.CancelScope() as scope:
            await context.run_sync(work)

    await context_of(tmp_path, use)
    assert [(error.kind, error.code) for error in caught] == [("cancelled", "AF702")]


@pytest.mark.asyncio
async def test_a_thread_may_call_back_to_the_loop(tmp_path: Path) -> None:
    async def use(context: StepContext) -> None:
        async def twice(number: int) -> int:
            await anyio.lowlevel.checkpoint()
            return 2 * number

        assert await context.run_sync(lambda: anyio.from_thread.run(twice, 21)) == 42

    await context_of(tmp_path, use)


@pytest.mark.asyncio
async def test_no_more_threads_work_at_once_than_the_run_has(tmp_path: Path) -> None:
    lock, running, peak, three = threading.Lock(), 0, 0, threading.Barrier(3, timeout=30)

    def work() -> None:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        three.wait()
        with lock:
            running -= 1

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        async with anyio.create_task_group() as tasks:
            for _ in range(9):
                tasks.start_soon(context.run_sync, work)

    async with live(one_step(), tmp_path, {"t": step}, threads=3) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert peak == 3


@pytest.mark.asyncio
async def test_two_steps_that_want_one_lock_work_one_after_the_other(tmp_path: Path) -> None:
    wanting = inside = peak = 0

    async def step(context: StepContext, inputs: dict[str, Any]) -> None:
        nonlocal wanting, inside, peak
        del inputs
        wanting += 1
        async with context.lock("one", wait_seconds=10):
            inside += 1
            peak = max(peak, inside)
            assert await eventually(lambda: wanting == 2)
            inside -= 1

    text = "version: 1\nflow: {id: demo}\njobs:\n" + "".join(
        f"  - {{id: j{n}, steps: [{{id: s, type: t}}]}}\n" for n in range(2)
    )
    async with live(text, tmp_path, {"t": step}) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert peak == 1


def test_a_resumed_step_removes_what_its_killed_process_left_incomplete(tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.csv"

    for step_id in ("s", "other"):
        with FakeRun(tmp_path).context(step_id=step_id).writing(target) as part:
            part.write_text("first")
        part.write_text("half")  # as a process leaves it that is killed in the block
    target.unlink()
    foreign = [target.with_name(name) for name in (".a.csv.0123456789abcdef.part", ".a.csv.part", "b.csv")]
    for file in foreign:
        file.write_text("x")
    assert len(list(target.parent.iterdir())) == 5

    resumed = FakeRun(tmp_path, execution=2)
    again = resumed.context(step_id="s")
    with again.writing(target) as part:
        part.write_text("whole")
        with again.writing(target) as second:  # does not remove the one that is being written
            second.write_text("earlier")
    assert target.read_text() == "whole"
    [said] = resumed.logged
    assert said.startswith(f"removed {target.parent}/.a.csv.")
    assert said.endswith(".part, which was left incomplete when the run was killed")
    left = sorted(set(target.parent.iterdir()) - {target, *foreign})
    assert [file.read_text() for file in left] == ["half"], (
        "the other step's file is not this step's to remove"
    )
    with FakeRun(tmp_path, execution=2).context(step_id="other").writing(target) as part:
        part.write_text("done")
    assert sorted(target.parent.iterdir()) == sorted([target, *foreign])


def test_who_may_read_a_file_is_set_for_files_of_the_run_only(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "link").symlink_to(tmp_path / "elsewhere")
    context = FakeRun(tmp_path).context()
    ours = [
        tmp_path / "logs" / "a.log",
        tmp_path / "work" / "a.csv",
        tmp_path / "logs" / ".." / "work" / "a.csv",
    ]
    others = [tmp_path / "elsewhere" / "a", tmp_path / "logs" / ".." / "a", tmp_path / "work" / "link" / "a"]
    assert [context.access_of(path) for path in ours] == ["private"] * 3
    assert [context.access_of(path) for path in others] == [None] * 3
