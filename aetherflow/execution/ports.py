"""The port for where an attempt of a step runs: the call as data, what it shows meanwhile, who performs it.

Only «perform» is replaceable. The coordinator, the process that executes the run, renders the inputs before
and masks, promotes and stores the outputs after; time limits and retries are its own, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult


class Directories(msgspec.Struct, frozen=True):
    """Where the files of a run are, as absolute paths.

    Attributes:
        work: the root of the workspace (`aetherflow.sdk.workspace`).
        logs: the root of the step logs.
        layout: the folders of a job, by what they are for.
        strict: whether a relative path that leaves its folder is refused.
        allowed: what the paths of steps must be under, beside `work`; None: anything.
    """

    work: str
    logs: str
    layout: dict[str, str]
    strict: bool = True
    allowed: list[str] | None = None


class StepCall(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one step, rendered, as data that can be sent to another process as JSON.

    Attributes:
        version: of what the step type comes from; another version elsewhere is another step.
        execution: how many times the run has been executed, this time included.
        environment: a fingerprint of the run's environment, which a placement sends once, not with each call.
        time_limit_seconds: what is left of the time limits; the coordinator cancels the call then.
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
    environment: str
    directories: Directories
    time_limit_seconds: float | None = None


class LogLine(msgspec.Struct, frozen=True, tag="log"):
    """What the step says: `context.log`."""

    message: str
    level: Literal["debug", "info", "warning"] = "info"


class OutputLine(msgspec.Struct, frozen=True, tag="output"):
    """A line that a program of the step wrote: `context.show_line`."""

    stream: Literal["stdout", "stderr"]
    text: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """How far the step has come: `context.progress`."""

    done: float
    total: float | None = None
    unit: str = ""
    note: str = ""


class ProgressNote(msgspec.Struct, frozen=True, tag="note"):
    """How far the step came, in its own words: `context.progress_note`."""

    text: str


Message = LogLine | OutputLine | Progress | ProgressNote
"""What an attempt that runs elsewhere may send while it runs; nothing else is accepted."""


def show(message: Message, context: StepContext) -> None:
    """Show a message of an attempt that runs elsewhere; it counts as said by the step of `context`."""
    match message:
        case LogLine():
            context.log(message.message, message.level)
        case OutputLine():
            context.show_line(message.stream, message.text)
        case Progress():
            context.progress(message.done, message.total, message.unit, message.note)
        case ProgressNote():
            context.progress_note = message.text


class Placement(Protocol):
    """Where attempts of steps run."""

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Run the step and return what it returned; called on the event loop of the coordinator.

        A cancellation asks the step to stop. It passes on when the step has ended, or after a bounded time.

        Args:
            call: all that the step needs to know.
            context: a step in this process gets it; one elsewhere sends messages, see `show`.

        Raises:
            Exception: whatever the step raised, or a StepError with its code, message, kind, hint and detail.
                One of kind "connection" says that the place was lost, and the attempt with it.
        """
        ...


def environment_fingerprint(variables: Mapping[str, str]) -> str:
    """Return 32 hex digits that change when a variable of the run's environment changes."""
    content = msgspec.json.encode(dict(variables), enc_hook=repr, order="deterministic")
    return hashlib.blake2b(content, digest_size=16).hexdigest()
