"""Programs of plugin steps: their output, their end, and what ends them."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from aetherflow import ProgramResult, StepError, run_program
from aetherflow.process.run_program import CAPTURED_BYTES
from aetherflow.testing.fake_run import FakeRun
from tests.steps.process_context import is_alive, pids_in


@pytest.mark.asyncio
async def test_a_program_gets_its_input_environment_and_folder_and_its_output_is_returned(
    tmp_path: Path,
) -> None:
    context = FakeRun(tmp_path).context()
    script = 'cat; echo "$ADDED" >&2; pwd >&2; exit 3'
    result = await run_program(context, ["sh", "-c", script], env={"ADDED": "yes"}, stdin=b"\xffin")
    assert result == ProgramResult(3, b"\xffin", f"yes\n{context.artifacts}\n".encode())
    result = await run_program(context, [Path("/bin/sh"), "-c", "pwd; kill -9 $$"], directory=tmp_path)
    assert (result.exit_code, result.stdout) == (-9, f"{tmp_path}\n".encode())
    with pytest.raises(StepError, match="no-such-program"):
        await run_program(context, ["no-such-program"])


@pytest.mark.asyncio
async def test_of_long_output_the_beginning_is_returned(tmp_path: Path) -> None:
    result = await run_program(FakeRun(tmp_path).context(), ["sh", "-c", "yes ab | head -c 3000000"])
    assert result.stdout == (b"ab\n" * CAPTURED_BYTES)[:CAPTURED_BYTES]


@pytest.mark.asyncio
async def test_a_program_ends_with_what_it_started_when_its_time_is_over_or_its_step_is_cancelled(
    tmp_path: Path,
) -> None:
    context, pids = FakeRun(tmp_path).context(), tmp_path / "pids"
    result = await run_program(context, ["sh", "-c", "sleep 60 & wait"], timeout_seconds=0.1)
    assert (result.timed_out, result.exit_code) == (True, -15)
    async with anyio.create_task_group() as group:
        group.start_soon(
            run_program, context, ["sh", "-c", f"sleep 60 & echo $$ $! | tr ' ' '\\n' > {pids}; wait"]
        )
        both = await pids_in(pids, 2)
        assert all(map(is_alive, both))
        group.cancel_scope.cancel()
    assert not any(map(is_alive, both))
