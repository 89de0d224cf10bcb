"""Decide whether a program failed, and build the error that the person on call reads."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable
from typing import Any

from aetherflow.errors import StepError
from aetherflow.process.output_recorder import OutputRecorder
from aetherflow.process.run_process import ProcessEnd
from aetherflow.process.spawn import Program
from aetherflow.sdk.context import StepContext
from aetherflow.spec.suggest import shortened

EXIT_CODE = "AF732"
TIMEOUT = "AF733"
CHECK_FAILED = "AF734"
OUTPUT_FAILED = "AF735"

_HINTS = {
    -signal.SIGKILL: "if nobody killed it, memory ran out and the system did: see the kernel's log (dmesg)",
    -signal.SIGSEGV: "the program crashed: this is a defect in it or in a library of it",
    126: "the shell found the command, but may not execute it",
    127: "the shell did not find the command: check the PATH in the step's env",
}


class Attempt:
    """One run of the program that has ended; builds the error that fits.

    Attributes:
        outputs: what the step returns if it succeeded.
    """

    def __init__(
        self, context: StepContext, program: Program, recorder: OutputRecorder, end: ProcessEnd, number: int
    ) -> None:
        self.end = end
        self._program = program
        self._command = _shown(context.redactor.value(list(program.argv)))
        self._recorder = recorder
        self.number = number
        self.outputs: dict[str, Any] = {}

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if self.end.timed_out:
            return "timeout"
        if self.end.exit_code >= 0:
            return f"exit code {self.end.exit_code}"
        try:
            return f"killed by {signal.Signals(-self.end.exit_code).name}"
        except ValueError:  # a real-time signal has no name
            return f"killed by signal {-self.end.exit_code}"

    def ending_failure(self, accepted: list[int], timeout_seconds: float | None) -> StepError | None:
        """Return the error of a program that timed out or gave another exit code than the accepted ones."""
        if self.end.timed_out:
            message = f"not finished after {timeout_seconds:g} s, so it was ended: {self._command}"
            error = self._error(message + _last_lines(self._recorder), TIMEOUT)
            error.kind, error.hint = "timeout", "raise timeout_seconds if the work needs that long"
        elif self.end.exit_code not in accepted:
            error = self._error(f"{self.how}: {self._command}{_last_lines(self._recorder)}", EXIT_CODE)
            error.kind = "exit_code"
            error.hint = _HINTS.get(self.end.exit_code, "") or self._where_the_reason_is()
        elif self._recorder.file_problem:
            error = self._error(self._recorder.file_problem, OUTPUT_FAILED)
        else:
            return None
        return error

    def check_failure(self, problems: list[str], base: object) -> StepError:
        """Return the error for a program that succeeded without leaving the expected files."""
        error = self._error(f"{self.how}, but {'; '.join(problems)}: {self._command}", CHECK_FAILED)
        error.hint = f"relative paths are under {base}"
        return error

    def _where_the_reason_is(self) -> str:
        """Return where to look for a reason that only the program itself knows."""
        if self._recorder.log_file is not None:
            return "the reason is in the program's own output"
        if self.end.exit_code < 0:
            return "a person, a program or the system sent it that signal"
        if self._recorder.sinks:
            return "the program wrote nothing: see its documentation for what this exit code means"
        return "the program's output was discarded: log.stdout and log.stderr keep it"

    def _error(self, message: str, code: str) -> StepError:
        detail: dict[str, Any] = {
            "exit_code": self.end.exit_code,
            "command": list(self._program.argv),
            "attempts": self.number,
        }
        if (log_file := self._recorder.log_file) is not None:
            detail["log_file"] = str(log_file)
        return StepError(message + _whole_output(self._recorder), code=code, detail=detail)


def unfinished(context: StepContext, program: Program, recorder: OutputRecorder) -> str:
    """Return what to show of a program that a time limit of its step, job or run ended."""
    command = _shown(context.redactor.value(list(program.argv)))
    return f"not finished, so it was ended: {command}{_last_lines(recorder)}{_whole_output(recorder)}"


def _last_lines(recorder: OutputRecorder) -> str:
    stream, lines = recorder.last_lines()
    return f"\nlast lines of {stream}:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def _whole_output(recorder: OutputRecorder) -> str:
    return f"\nwhole output: {recorder.log_file}" if recorder.log_file is not None else ""


def _shown(argv: Iterable[str], limit: int = 200) -> str:
    """Return a command as one would type it, shortened."""
    return shortened(shlex.join(argv), limit)
