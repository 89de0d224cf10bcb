"""The port for placements, which run attempts of steps: the protocol, a call as data, and its messages.

Only the call of the step is replaceable. The coordinator (the process that executes the run) renders the
inputs before and masks, promotes and stores the outputs after; it also handles time limits and retries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from aetherflow.file_access import FileAccess
from aetherflow.plugin_output import Level
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult


class Directories(msgspec.Struct, frozen=True):
    """Where the files of a run are, as absolute paths.

    Attributes:
        work: the root of the workspace (`aetherflow.sdk.workspace`).
        logs: the root of the step logs.
        layout: the folder names of a job by purpose (`artifacts`, `scratch`, `manifests`).
        strict: whether a relative path that leaves its folder is refused.
        allowed: the folders, beside `work`, that the paths of steps must be under; None: any path is allowed.
        access: who may read and write what is created.
    """

    work: str
    logs: str
    layout: dict[str, str]
    strict: bool = True
    allowed: list[str] | None = None
    access: FileAccess = "private"


class StepCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one step, rendered, as data that can be sent to another process as JSON.

    Attributes:
        version: the version of the package of the step type; a placement must not run another version.
        execution: how many times the run has been started or resumed, including now.
        key: the fencing token of the attempt: the same if a resumed run takes it up again, different for
            every other attempt of this and of any other run.
        is_reattached: a worker has begun the attempt for an earlier process of the run: it must be joined
            there, and never be begun.
        environment: a fingerprint of the run's environment, which a placement sends once, not with each call.
        time_limit_seconds: the time left for the step; the coordinator cancels the call after it.
    """

    step_type: str
    version: str
    inputs: dict[str, Any]
    flow_id: str
    run_id: str
    job_id: str
    step_id: str
    attempt: int
    execution: int
    idempotency_key: str
    key: str = ""
    is_reattached: bool = False
    environment: str
    directories: Directories
    time_limit_seconds: float | None = None


class LogLine(msgspec.Struct, frozen=True, tag="log"):
    """A message that the step logs: `context.log`."""

    message: str
    level: Level = "info"


class OutputLine(msgspec.Struct, frozen=True, tag="output"):
    """A line that a program of the step printed: `context.show_line`."""

    stream: Literal["stdout", "stderr"]
    text: str
    more_bytes: int = 0
    is_unfinished: bool = False


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """The progress of the step in numbers: `context.progress`."""

    done: float
    total: float | None = None
    unit: str = ""
    note: str = ""


class ProgressNote(msgspec.Struct, frozen=True, tag="note"):
    """The progress of the step in words: `context.progress_note`."""

    text: str


Message = LogLine | OutputLine | Progress | ProgressNote
"""The messages that an attempt in another process may send while it runs."""


def show(message: Message, context: StepContext) -> None:
    """Report a message of an attempt in another process as one of the step of `context`."""
    match message:
        case LogLine():
            context.log(message.message, message.level)
        case OutputLine():
            context.show_line(
                message.stream,
                message.text,
                more_bytes=message.more_bytes,
                is_unfinished=message.is_unfinished,
            )
        case Progress():
            context.progress(message.done, message.total, message.unit, message.note)
        case ProgressNote():
            context.progress_note = message.text


class Placement(Protocol):
    """Runs attempts of steps, in this process or elsewhere.

    One that runs them on workers calls `context.on_placed` when a worker begins the attempt, or is found to
    run it still: the time limit of the step counts from then on.
    """

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Run the step and return its result; called on the event loop of the coordinator.

        A cancellation requests the step to stop. It propagates when the step has ended. If the step does not
        end within a bounded time, AttemptLost is raised instead, as nobody knows what it still does.

        Args:
            call: the step and its inputs.
            context: passed to a step in this process; a step elsewhere sends messages instead, see `show`.

        Raises:
            Exception: the exception of the step, or a StepError with its code, message, kind, hint and
                detail. A StepError of kind "lost" (AttemptLost) means that nobody knows how it ended.
        """
        ...

    def stored(self, key: str) -> None:
        """Take note that the end of an attempt is durable, and that nobody needs its answer any more."""
        ...

    def leave(self) -> None:
        """Let attempts that are cancelled from now on run on, if they can do without this process.

        The run is left to the next process, which takes them up again by their keys.
        """
        ...


def environment_fingerprint(variables: Mapping[str, str]) -> str:
    """Return 32 hex digits that change when a variable of the run's environment changes."""
    content = repr(sorted(variables.items()))  # no JSON: a value need not be UTF-8
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
