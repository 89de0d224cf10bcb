"""The error tree: every error has a stable code, a sentence, a place and, mostly, a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from aetherflow import exit_codes

Severity = Literal["error", "warning"]
FailureKind = Literal["timeout", "connection", "exit_code", "cancelled", "lost", "other"]
FailureCause = Literal["", "job_lock", "job_timeout"]
"""Why the engine itself failed a step: its job does not hold its lock, or has no time left; else empty."""


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a text file, counted from 1 as editors do."""

    line: int
    column: int


class Diagnostic(msgspec.Struct, frozen=True, omit_defaults=True):
    """One diagnostic about a file: `file:line:column: severity[code]: message`, and what to do about it.

    Attributes:
        line: 0: it is about the whole of `file`, or that is an option or a variable.
        excerpt: the line with a caret below its column, for people; empty where it cannot be shown.
    """

    code: str
    message: str
    file: str
    line: int = 1
    column: int = 1
    severity: Severity = "error"
    hint: str = ""
    excerpt: str = ""

    @property
    def place(self) -> str:
        """`file:line:column`, or the file alone."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        text = f"{self.place}: {self.severity}[{self.code}]: {self.message}"
        if self.excerpt:
            text += f"\n{self.excerpt}"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as data: what events, state and reports carry.

    Attributes:
        code: for people; nothing is decided by it.
        message: one sentence: what happened, and where.
        kind: for `retry_on`.
        hint: what to do about it.
        detail: more about it, as data.
        cause: set by the executor only; what a step raises has none.
        is_temporary: another run holds a lock; the same may succeed when that has ended.
        is_final: another attempt would fail in the same way, so there is none.
    """

    code: str
    message: str
    kind: FailureKind = "other"
    hint: str = ""
    detail: dict[str, Any] = {}
    cause: FailureCause = ""
    is_temporary: bool = False
    is_final: bool = False

    def with_remark(self, remark: str) -> ErrorInfo:
        """Return the error with a remark at the end of its first line: others may be output or a path."""
        first, *more = self.message.split("\n")
        return msgspec.structs.replace(self, message="\n".join((f"{first} ({remark})", *more)))


class AetherFlowError(Exception):
    """The root of all errors that are shown without a traceback.

    Attributes:
        code: stable identifier, explained in the manual.
        message: one sentence: what happened, and where.
        hint: what to do about it; may be empty.
    """

    default_code: ClassVar[str] = "AF001"
    exit_code: ClassVar[int] = exit_codes.FAILURE

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code

    def info(self) -> ErrorInfo:
        """Return the error as data."""
        return ErrorInfo(code=self.code, message=self.message, hint=self.hint)


class UsageError(AetherFlowError):
    """The command line asks for something that makes no sense (exit 2)."""

    default_code = "AF002"
    exit_code = exit_codes.INVALID


class InvalidInput(AetherFlowError):
    """A flow, profiles, manifest or scheduler file is wrong; carries every diagnostic (exit 2)."""

    default_code = "AF100"
    exit_code = exit_codes.INVALID

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        errors = [d for d in diagnostics if d.severity == "error"]
        super().__init__("\n".join(map(str, diagnostics)), code=errors[0].code if errors else "")
        self.diagnostics = tuple(diagnostics)


class ConfigError(AetherFlowError):
    """A setting, profile, secret provider or resource cannot be used (exit 2)."""

    default_code = "AF500"
    exit_code = exit_codes.INVALID


class MissingExtra(ConfigError):
    """A step or connector needs an optional dependency that is not installed (exit 2)."""

    default_code = "AF510"

    def info(self) -> ErrorInfo:
        """Return the error as data; it is final, as another attempt in this process would miss it too."""
        return msgspec.structs.replace(super().info(), is_final=True)


class StateError(AetherFlowError):
    """The state database cannot be read or written: nothing that depends on it may continue (exit 1)."""

    default_code = "AF600"


class StateUnusable(StateError):
    """The state path cannot be opened at all: no run was started (exit 2)."""

    default_code = "AF601"
    exit_code = exit_codes.INVALID


class StateMoved(StateError):
    """The open state database is no longer at its path, or another file is: nothing more is written."""

    default_code = "AF614"


class HeldByAnother(AetherFlowError):
    """A run id or a lock is held by another process (exit 75, EX_TEMPFAIL of sysexits.h)."""

    default_code = "AF610"
    exit_code = exit_codes.HELD


class RunInUse(HeldByAnother):
    """Another process executes the run.

    Attributes:
        state: the state database that knows the run.
    """

    def __init__(self, message: str, *, state: Path, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.state = state


class RunEnded(RunInUse):
    """A run that was to be recovered has been ended by another process."""

    default_code = "AF655"


class LockHeld(HeldByAnother):
    """A lock that keeps runs apart is held by another run."""

    default_code = "AF620"


class FiringTaken(HeldByAnother):
    """Another server has taken over the firing."""

    default_code = "AF210"


class BundleError(AetherFlowError):
    """A bundle cannot be brought here, or what is here cannot be used (exit 1)."""

    default_code = "AF860"


class StepError(AetherFlowError):
    """A step failed, for a reason that its author foresaw.

    Attributes:
        kind: what `retry_on` selects by.
        detail: JSON values that help to find the cause (exit code, path, statement ...).
    """

    default_code = "AF700"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        kind: FailureKind = "other",
        detail: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.kind = kind
        self.detail = detail or {}

    def info(self) -> ErrorInfo:
        """Return the error as data, with its kind and detail."""
        return ErrorInfo(
            code=self.code, message=self.message, kind=self.kind, hint=self.hint, detail=self.detail
        )


class FinalError(StepError):
    """A step failed in a way that another attempt would meet again, so `retry` makes none."""

    def info(self) -> ErrorInfo:
        """Return the error as data; it is final."""
        return msgspec.structs.replace(super().info(), is_final=True)


class AttemptLost(StepError):
    """An attempt on a worker is lost: its worker died, hangs or cannot be reached; its end is unknown."""

    default_code = "AF882"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code, kind="lost")


class ExecutorError(AetherFlowError):
    """An executor cannot be opened now: its workers cannot be reached. The same may succeed later."""

    default_code = "AF883"
    exit_code = exit_codes.HELD


class LockNotAcquired(StepError):
    """A lock is still held by another run after the time that the step waits for it."""

    default_code = "AF620"

    def info(self) -> ErrorInfo:
        """Return the error as data; it is temporary."""
        return msgspec.structs.replace(super().info(), is_temporary=True)
