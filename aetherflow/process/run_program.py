"""Run a program for a step of a plugin, with the beginning of its output in memory.

It is ended with all that it started when the step is cancelled, when its time is over, and when the engine
is killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from aetherflow.process.run_process import run_process
from aetherflow.process.spawn import Program
from aetherflow.sdk.context import StepContext

CAPTURED_BYTES = 2**20
"""So much of each stream is in a result; a program that prints more continues, and the rest is dropped."""


class ProgramResult(msgspec.Struct, frozen=True):
    """How a program ended.

    Attributes:
        exit_code: as the program gave it; minus the number of the signal that killed it.
        stdout: the first MiB of what it wrote there.
        stderr: likewise.
        timed_out: whether it was ended because its time was over.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


async def run_program(
    context: StepContext,
    argv: Sequence[str | Path],
    *,
    directory: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout_seconds: float | None = None,
) -> ProgramResult:
    """Run a program to its end, without a shell.

    Args:
        context: of the step; its environment is the program's.
        argv: the program, which is searched in the PATH of the run, and its arguments.
        directory: where it runs; default: the job's artifacts.
        env: variables that are added to the environment, which already names the step's span (`TRACEPARENT`).
        stdin: what it reads; None: nothing.
        timeout_seconds: then it is ended.

    Raises:
        StepError: it cannot be started.
    """
    program = Program(
        argv=tuple(map(str, argv)),
        directory=directory or context.artifacts,
        environment={**context.env, **context.trace_variables, **(env or {})},
        stdin=stdin,
    )
    stdout, stderr = _Beginning(), _Beginning()
    end = await run_process(
        program,
        run_id=context.programs_of,
        sinks={"stdout": stdout.take, "stderr": stderr.take},
        timeout_seconds=timeout_seconds,
        step=f"{context.job_id}.{context.step_id}",
    )
    if end.survivors:
        context.log(f"could not end the processes {', '.join(map(str, end.survivors))}", "warning")
    return ProgramResult(end.exit_code, bytes(stdout.data), bytes(stderr.data), timed_out=end.timed_out)


class _Beginning:
    """Keeps the beginning of a stream."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def take(self, data: bytes, *, last: bool = False) -> None:
        """Take a piece, as far as there is room."""
        del last
        self.data += data[: CAPTURED_BYTES - len(self.data)]
