"""What archive connectors report to and run programs by: a step, or the plain calls of a plugin."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import anyio

from aetherflow import ProgramResult, StepContext, StepError, one_error, run_blocking, run_program

MOST_SECONDS = 3600.0
"""So long a program may run that no step watches."""

_LOOK_SECONDS = 0.5
"""How often `look` is called while a program runs."""

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""Names are UTF-8 and times do not depend on the machine, whatever the environment of the run says."""


class Watch(Protocol):
    """What a long operation reports to; its methods are called in a worker thread."""

    def raise_if_stopping(self) -> None:
        """Raise an error if the operation must stop."""
        ...

    def progress(self, done: float, total: float | None = None, unit: str = "", note: str = "") -> None:
        """Report how far the operation has come."""
        ...

    def run_program(
        self, argv: Sequence[str], directory: Path, stdin: bytes | None, look: Callable[[], None]
    ) -> ProgramResult:
        """Run a program to its end.

        Args:
            argv: the program and its arguments.
            directory: where it runs.
            stdin: what it reads.
            look: is called now and then meanwhile; an error of it ends the program.

        Raises:
            StepError: it cannot be started, or the step must stop; or what `look` raises.
        """
        ...


class StepWatch:
    """A `Watch` of a step: it stops with it, and so do its programs."""

    def __init__(self, context: StepContext) -> None:
        """Take the context of the step."""
        self._context = context

    def raise_if_stopping(self) -> None:
        """Raise an error if the step must stop."""
        self._context.raise_if_stopping()

    def progress(self, done: float, total: float | None = None, unit: str = "", note: str = "") -> None:
        """Report progress as the step's."""
        self._context.progress(done, total, unit, note)

    def run_program(
        self, argv: Sequence[str], directory: Path, stdin: bytes | None, look: Callable[[], None]
    ) -> ProgramResult:
        """Run a program that ends with the step."""
        return self._context.run_async(_run, self._context, argv, directory, stdin, look)


class Unwatched:
    """A `Watch` that nobody looks at."""

    def raise_if_stopping(self) -> None:
        """Continue."""

    def progress(self, done: float, total: float | None = None, unit: str = "", note: str = "") -> None:
        """Report to nobody."""

    def run_program(
        self, argv: Sequence[str], directory: Path, stdin: bytes | None, look: Callable[[], None]
    ) -> ProgramResult:
        """Run a program; `look` is called at its end."""
        try:
            process = subprocess.Popen(  # noqa: S603 - the program that the resource names
                argv,
                cwd=directory,
                env={**os.environ, **_ENVIRONMENT},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise StepError(f"cannot start {argv[0]}: {error.strerror}", code="AF731") from error
        with process:
            try:
                stdout, stderr = process.communicate(stdin or b"", timeout=MOST_SECONDS)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, signal.SIGKILL)  # with all that it started
                raise StepError(
                    f"{argv[0]} did not end within {MOST_SECONDS:g} s, and was ended",
                    hint="use a step, zip or unzip, which has timeout_seconds",
                    kind="timeout",
                    code="AF733",
                ) from error
        look()
        return ProgramResult(process.returncode, stdout, stderr)


async def _run(
    context: StepContext,
    argv: Sequence[str],
    directory: Path,
    stdin: bytes | None,
    look: Callable[[], None],
) -> ProgramResult:
    async def look_again() -> None:
        while True:
            await anyio.sleep(_LOOK_SECONDS)
            await run_blocking(look)

    async with one_error() as group:
        group.start_soon(look_again)
        result = await run_program(context, argv, directory=directory, env=_ENVIRONMENT, stdin=stdin)
        group.cancel_scope.cancel()
    await run_blocking(look)
    return result
