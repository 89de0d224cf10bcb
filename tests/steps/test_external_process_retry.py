"""The retry inside the step: when, how often, and with which waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.errors import StepError
from aetherflow.events.run_events import Event
from aetherflow.sdk.context import StepContext
from aetherflow.testing import FakeClock
from tests.polling import eventually
from tests.steps.process_context import process_context, run_step, said

COUNT = "echo x >> tries; "


def tries(context: StepContext) -> int:
    return len((context.artifacts / "tries").read_text().splitlines())


async def fails(context: StepContext, script: str, retry: dict[str, Any], **inputs: Any) -> StepError:
    with pytest.raises(StepError) as raised:
        await run_step(context, command=["sh", "-c", COUNT + script], retry=retry, **inputs)
    return raised.value


@pytest.mark.asyncio
async def test_it_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    clock, events = FakeClock(), list[Event]()
    context = process_context(tmp_path, events, clock=clock)
    script = COUNT + "echo said $(wc -l < tries); test $(wc -l < tries) = 3"
    result = await run_step(
        context,
        command=["sh", "-c", script],
        log={"stdout": "capture"},
        retry={"max_attempts": 5, "backoff_seconds": 2, "backoff_multiplier": 3},
    )
    assert result.outputs == {"exit_code": 0, "attempts": 3, "stdout": "said 3"}
    assert clock.sleeps == [2, 6]
    assert "attempt 1 of 5 failed (exit code 1); again in 2 s" in said(events)
    lines = context.log_file.read_text().splitlines()
    assert lines[::2] == ["said 1", "said 2", "said 3"]
    assert [line.rpartition(", ")[0] for line in lines[1::2]] == [
        f"[aetherflow: execution 1 of the run, attempt 1 of the step, start {number} of its program"
        for number in (2, 3)
    ]


@pytest.mark.asyncio
async def test_the_waits_grow_up_to_their_limit(tmp_path: Path) -> None:
    clock = FakeClock()
    context = process_context(tmp_path, clock=clock)
    retry = {"max_attempts": 6, "sleep_seconds": 1, "backoff_multiplier": 2, "max_backoff_seconds": 5}
    error = await fails(context, "exit 4", retry)
    assert clock.sleeps == [1, 2, 4, 5, 5]
    assert (error.detail["attempts"], error.detail["exit_code"], tries(context)) == (6, 4, 6)


@pytest.mark.asyncio
async def test_without_a_multiplier_the_waits_are_equal(tmp_path: Path) -> None:
    clock = FakeClock()
    await fails(process_context(tmp_path, clock=clock), "exit 1", {"max_attempts": 3, "backoff_seconds": 7})
    assert clock.sleeps == [7, 7]


@pytest.mark.asyncio
async def test_without_retry_there_is_one_attempt(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    with pytest.raises(StepError):
        await run_step(context, command=["sh", "-c", COUNT + "exit 1"])
    assert tries(context) == 1


@pytest.mark.parametrize(("codes", "expected"), [([7], 1), ([3, 7], 3), (3, 3), ([], 1), (None, 3)])
@pytest.mark.asyncio
async def test_only_the_listed_exit_codes_are_retried(tmp_path: Path, codes: object, expected: int) -> None:
    context = process_context(tmp_path, clock=FakeClock())
    await fails(context, "exit 3", {"max_attempts": 3, "retry_on_exit_codes": codes})
    assert tries(context) == expected


@pytest.mark.parametrize(("again", "expected"), [(True, 2), (False, 1)])
@pytest.mark.asyncio
async def test_a_timeout_is_retried_only_on_request(tmp_path: Path, *, again: bool, expected: int) -> None:
    context = process_context(tmp_path, clock=FakeClock())
    retry = {"max_attempts": 2, "retry_on_timeout": again}
    error = await fails(context, "sleep 1000", retry, timeout_seconds=0.3)
    assert (error.kind, tries(context)) == ("timeout", expected)


@pytest.mark.asyncio
async def test_a_program_that_cannot_be_started_is_not_retried(tmp_path: Path) -> None:
    clock = FakeClock()
    with pytest.raises(StepError, match="cannot start"):
        await run_step(
            process_context(tmp_path, clock=clock), command="no-such-program", retry={"max_attempts": 3}
        )
    assert clock.sleeps == []


@pytest.mark.asyncio
async def test_a_failed_check_is_not_retried(tmp_path: Path) -> None:
    context = process_context(tmp_path, clock=FakeClock())
    error = await fails(context, "true", {"max_attempts": 3}, success={"require_files": "nothing"})
    assert (error.code, tries(context)) == ("AF734", 1)


@pytest.mark.asyncio
async def test_the_wait_between_attempts_can_be_cancelled(tmp_path: Path) -> None:
    events: list[Event] = []
    context = process_context(tmp_path, events)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def runs() -> None:
                await run_step(context, command="false", retry={"max_attempts": 2, "backoff_seconds": 1000})

            tasks.start_soon(runs)
            assert await eventually(lambda: "again in 1000 s" in said(events))
            tasks.cancel_scope.cancel()
