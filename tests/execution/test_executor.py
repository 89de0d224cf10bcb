"""The executor turns a plan into work: order, concurrency, retry and failure, with a real database."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from aetherflow.errors import FailureKind, StepError
from aetherflow.events import run_events as e
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import Skipped, StepResult
from tests.execution.live_run import flow, live, one_step, query, stored
from tests.store.clock_double import FakeClock


async def nothing(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
    """A step that gives back its inputs."""
    del context
    return inputs


def jobs_of(count: int, more: str = "") -> list[str]:
    """Return independent jobs with one step of type `t` each."""
    return [f"{{id: j{n}, {more}steps: [{{id: s, type: t}}]}}" for n in range(count)]


@pytest.mark.asyncio
async def test_independent_jobs_run_at_the_same_time(tmp_path: Path) -> None:
    here = {"a": anyio.Event(), "b": anyio.Event()}

    async def meet(context: StepContext, inputs: dict[str, Any]) -> None:
        here[context.job_id].set()
        with anyio.fail_after(30):
            await here[inputs["other"]].wait()

    text = flow(
        "{id: a, steps: [{id: s, type: meet, inputs: {other: b}}]}",
        "{id: b, steps: [{id: s, type: meet, inputs: {other: a}}]}",
    )
    async with live(text, tmp_path, {"meet": meet}) as run:
        assert (await run.run()).phase == "SUCCESS"


@pytest.mark.asyncio
async def test_jobs_that_have_ended_take_no_memory(tmp_path: Path) -> None:
    """A run may have a hundred thousand of them."""
    left: list[str] = []

    async def look(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        left.extend(run.executor._tasks)

    text = flow(
        "{id: a, for_each: [1, 2, 3], steps: [{id: s, type: t}]}",
        "{id: b, depends_on: [a], steps: [{id: s, type: look}]}",
    )
    async with live(text, tmp_path, {"t": nothing, "look": look}) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert left == ["b"]


@pytest.mark.asyncio
@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_no_more_jobs_run_at_once_than_allowed(tmp_path: Path, limit: int) -> None:
    running: set[str] = set()
    peak = 0
    full = anyio.Event()

    async def count(context: StepContext, inputs: dict[str, Any]) -> None:
        nonlocal peak
        del inputs
        running.add(context.job_id)
        peak = max(peak, len(running))
        if len(running) == limit:
            full.set()
        await full.wait()
        running.remove(context.job_id)

    async with live(flow(*jobs_of(12)), tmp_path, {"t": count}, limit=limit) as run:
        assert (await run.run()).phase == "SUCCESS"
    assert peak == limit


@pytest.mark.asyncio
async def test_with_one_job_at_a_time_they_run_in_file_order(tmp_path: Path) -> None:
    order: list[str] = []

    async def note(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        order.append(context.job_id)

    async with live(flow(*jobs_of(9)), tmp_path, {"t": note}, limit=1) as run:
        await run.run()
    assert order == [f"j{n}" for n in range(9)]


@pytest.mark.asyncio
async def test_a_step_starts_after_the_end_of_the_one_before_is_in_the_file(tmp_path: Path) -> None:
    seen: list[list[Any]] = []

    async def look(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        seen.append(query(tmp_path, "SELECT job_id, step_id, status FROM step_state ORDER BY started_at"))

    text = flow(
        "{id: a, steps: [{id: one, type: look}, {id: two, type: look}]}",
        "{id: b, depends_on: [a], steps: [{id: three, type: look}]}",
    )
    async with live(text, tmp_path, {"look": look}) as run:
        await run.run()
    done = [("a", "one", "SUCCESS"), ("a", "two", "SUCCESS")]
    assert seen == [
        [("a", "one", "RUNNING")],
        [done[0], ("a", "two", "RUNNING")],
        [*done, ("b", "three", "RUNNING")],
    ]


@pytest.mark.asyncio
async def test_a_sync_step_runs_in_a_thread_and_does_not_block_the_loop(tmp_path: Path) -> None:
    go_on, threads = threading.Event(), [threading.get_ident()]

    def blocking(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        threads.append(threading.get_ident())
        assert go_on.wait(30)
        return {"job": context.job_id, **inputs}

    async def watchdog() -> None:
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        go_on.set()

    async with live(one_step(inputs="{x: 1}"), tmp_path, {"t": blocking}) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watchdog)
            await run.run()
        assert run.step("a.s").outputs == {"job": "a", "x": 1}
    assert len(set(threads)) == 2


@pytest.mark.asyncio
async def test_sync_steps_of_several_jobs_run_beside_each_other(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def meet(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        barrier.wait(30)

    async with live(flow(*jobs_of(4)), tmp_path, {"t": meet}) as run:
        assert (await run.run()).phase == "SUCCESS"


@pytest.mark.asyncio
async def test_what_a_sync_step_says_from_its_thread_is_heard_in_order(tmp_path: Path) -> None:
    def talk(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        for number in range(30):
            context.say(f"line {number}")
            context.show_line("stdout", f"out {number}")

    async with live(one_step(), tmp_path, {"t": talk}) as run:
        await run.run()
    assert run.seen.logged == [f"line {number}" for number in range(30)]
    assert [line.text for line in run.seen.of(e.StepOutput)] == [f"out {number}" for number in range(30)]


@pytest.mark.asyncio
async def test_a_step_that_fails_is_tried_again_with_backoff_and_every_attempt_is_stored(
    tmp_path: Path,
) -> None:
    clock, attempts = FakeClock(), list[int]()

    async def third_time_lucky(context: StepContext, inputs: dict[str, Any]) -> dict[str, int]:
        del inputs
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise ConnectionResetError(f"attempt {context.attempt}")
        return {"attempt": context.attempt}

    retry = "retry: {max_attempts: 4, backoff_seconds: 2, backoff_multiplier: 3, jitter: false}"
    async with live(one_step(more=retry), tmp_path, {"t": third_time_lucky}, clock=clock) as run:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.run)
            for wait in (2, 6):
                await clock.sleeping(1)
                waiting = query(tmp_path, "SELECT status, reason FROM step_state")
                assert waiting == [("PENDING", f"waits {wait} s before attempt {len(attempts) + 1}")]
                clock.advance(wait - 0.5)
                await anyio.wait_all_tasks_blocked()
                assert len(attempts) == (1 if wait == 2 else 2)
                clock.advance(0.5)
        assert run.state.phase == "SUCCESS"
    assert attempts == [1, 2, 3]
    retries = run.seen.of(e.StepRetrying)
    assert [(r.attempt, r.wait_seconds, r.error.message) for r in retries] == [
        (1, 2, "ConnectionResetError: attempt 1"),
        (2, 6, "ConnectionResetError: attempt 2"),
    ]
    assert query(tmp_path, "SELECT status, attempt, outputs, error FROM step_state") == [
        ("SUCCESS", 3, '{"attempt":3}', None)
    ]
    assert stored(tmp_path).count("step_started a.s") == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("retry_on", "kind", "attempts"),
    [
        ("[any]", "other", 3),
        ("[timeout]", "timeout", 3),
        ("[timeout]", "connection", 1),
        ("[connection, exit_code]", "exit_code", 3),
        ("[connection]", "other", 1),
        ("[any]", "cancelled", 1),
    ],
)
async def test_only_the_kinds_of_failure_that_retry_on_names_are_tried_again(
    tmp_path: Path, retry_on: str, kind: FailureKind, attempts: int
) -> None:
    tried = 0

    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        nonlocal tried
        del context, inputs
        tried += 1
        raise StepError("no", kind=kind)

    more = f"retry: {{max_attempts: 3, retry_on: {retry_on}}}"
    async with live(one_step(more=more), tmp_path, {"t": fail}) as run:
        assert (await run.run()).phase == "FAILED"
        assert run.step("a.s").attempt == attempts
    assert tried == attempts


@pytest.mark.asyncio
async def test_a_failed_step_ends_its_job_blocks_its_dependents_and_nothing_else(tmp_path: Path) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raise StepError("no such table", hint="create it", code="AF799", detail={"table": "x"})

    text = flow(
        "{id: a, steps: [{id: s, type: fail}, {id: later, type: t}]}",
        "{id: b, depends_on: [a], steps: [{id: s, type: t}]}",
        "{id: c, depends_on: [b], steps: [{id: s, type: t}]}",
        "{id: free, steps: [{id: s, type: t}]}",
    )
    async with live(text, tmp_path, {"fail": fail, "t": nothing}) as run:
        state = await run.run()
    assert state.phase == "FAILED"
    assert {name: job.status for name, job in state.jobs.items()} == {
        "a": "FAILED",
        "b": "BLOCKED",
        "c": "BLOCKED",
        "free": "SUCCESS",
    }
    assert list(state.jobs["a"].steps) == ["s"]
    error = state.jobs["a"].error
    assert error is not None
    assert (error.code, error.message, error.hint, error.detail) == (
        "AF799",
        "no such table",
        "create it",
        {"table": "x"},
    )


@pytest.mark.asyncio
async def test_a_job_continues_after_a_failed_step_that_may_fail(tmp_path: Path) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        raise ValueError(f"{context.step_id} {inputs}")

    text = flow(
        "{id: a, steps: [{id: s, type: fail, continue_on_error: true},"
        " {id: later, type: t, inputs: {was: '{{steps.s.status}}'}}]}"
    )
    async with live(text, tmp_path, {"fail": fail, "t": nothing}) as run:
        assert (await run.run()).phase == "SUCCESS"
        assert run.step("a.s").status == "FAILED"
        assert run.step("a.later").outputs == {"was": "FAILED"}


@pytest.mark.asyncio
async def test_fail_fast_cancels_what_runs_and_blocks_the_rest(tmp_path: Path) -> None:
    running = anyio.Event()

    async def hang(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        running.set()
        await anyio.sleep_forever()

    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        await running.wait()
        raise StepError("no")

    text = flow(
        "{id: a, steps: [{id: s, type: fail}]}",
        "{id: b, steps: [{id: s, type: hang}]}",
        "{id: c, depends_on: [b], steps: [{id: s, type: t}]}",
        head="fail_fast: true",
    )
    async with live(text, tmp_path, {"fail": fail, "hang": hang, "t": nothing}) as run:
        state = await run.run()
    assert state.phase == "FAILED"
    assert {name: job.status for name, job in state.jobs.items()} == {
        "a": "FAILED",
        "b": "CANCELLED",
        "c": "BLOCKED",
    }
    assert state.cancel_reason == "fail_fast: job a failed"


@pytest.mark.asyncio
async def test_a_step_without_data_skips_the_rest_of_its_job(tmp_path: Path) -> None:
    async def empty(context: StepContext, inputs: dict[str, Any]) -> StepResult:
        del context, inputs
        return Skipped("nothing new", {"count": 0})

    text = flow(
        "{id: a, steps: [{id: s, type: empty, on_no_data: skip_job,"
        " outputs: {n: '{{result.count}}', x: '{{result.x}}'}}, {id: later, type: t}]}",
        "{id: b, when: jobs.a.outputs.n == 0, steps: [{id: s, type: t, inputs: {of: '{{jobs.a.status}}'}}]}",
    )
    async with live(text, tmp_path, {"empty": empty, "t": nothing}) as run:
        state = await run.run()
        assert run.step("b.s").outputs == {"of": "SKIPPED"}
    assert (state.phase, state.jobs["a"].status, state.jobs["a"].outputs) == ("SUCCESS", "SKIPPED", {"n": 0})
    assert {name: step.status for name, step in state.jobs["a"].steps.items()} == {
        "s": "SKIPPED",
        "later": "SKIPPED",
    }


@pytest.mark.asyncio
async def test_the_instances_of_a_job_keep_to_its_own_limit_and_its_outputs_are_in_item_order(
    tmp_path: Path,
) -> None:
    running = peak = ended = 0
    others_ended = anyio.Event()

    async def square(context: StepContext, inputs: dict[str, Any]) -> dict[str, int]:
        nonlocal running, peak, ended
        del context
        running += 1
        peak = max(peak, running)
        if inputs["x"] == 4:  # the first item ends last
            await others_ended.wait()
        running -= 1
        ended += 1
        if ended == 4:
            others_ended.set()
        return {"square": inputs["x"] ** 2}

    text = flow(
        "{id: a, for_each: [4, 3, 2, 1, 0], max_parallel: 2, steps: [{id: s, type: square,"
        " inputs: {x: '{{item}}'}, outputs: {square: '{{result.square}}'}}]}"
    )
    async with live(text, tmp_path, {"square": square}) as run:
        state = await run.run()
    assert state.jobs["a"].outputs == {"square": [16, 9, 4, 1, 0]}
    assert peak == 2


@pytest.mark.asyncio
async def test_an_unknown_step_type_fails_its_step_and_not_the_run_of_the_others(tmp_path: Path) -> None:
    text = flow("{id: a, steps: [{id: s, type: nowhere}]}", "{id: b, steps: [{id: s, type: t}]}")
    async with live(text, tmp_path, {"t": nothing}) as run:
        state = await run.run()
    assert (state.jobs["a"].status, state.jobs["b"].status) == ("FAILED", "SUCCESS")
    assert run.seen.of(e.StepFinished)[0].duration_seconds >= 0


@pytest.mark.asyncio
async def test_tracebacks_are_shown_only_on_request(tmp_path: Path) -> None:
    async def fail(context: StepContext, inputs: dict[str, Any]) -> None:
        raise ValueError(f"broken {context.job_id} {inputs}")

    for show in (False, True):
        folder = tmp_path / str(show)
        folder.mkdir()
        async with live(one_step(), folder, {"t": fail}, show_traces=show) as run:
            await run.run()
        assert [("Traceback" in text, "broken a {}" in text) for text in run.seen.logged] == [
            (True, True)
        ] * show


@pytest.mark.asyncio
async def test_a_thousand_jobs_run_to_their_end(tmp_path: Path) -> None:
    async with live(flow(*jobs_of(1000)), tmp_path, {"t": nothing}, limit=50) as run:
        state = await run.run()
    assert state.phase == "SUCCESS"
    assert query(tmp_path, "SELECT status, count(*) FROM job_state GROUP BY 1") == [("SUCCESS", 1000)]
    assert len(run.seen.of(e.JobFinished)) == 1000
