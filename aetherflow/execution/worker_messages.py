"""The messages between the engine and an attempt on a worker: JSON, in both directions.

    worker -> engine   Begin, then any of LogLine, OutputLine, Progress, ProgressNote and Request, then End
    engine -> worker   Go or Refuse, a Reply to each Request, Stop at any time, then Accepted or Undo

A worker does nothing before Go: it has no inputs yet. What it sends after Refuse is not read. It keeps its
End until Accepted or Undo; the engine sends one of them when the end of the attempt is durable.

A start that works already when its engine has gone joins the next one: it sends Begin again, with
`has_begun`. After the Go of that engine, which it need not read, it sends again each Request without a Reply
and each TakeLock of a lock that it holds, by rising ids, and its End if it has ended.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.events.lineage import Dataset, Statement
from aetherflow.execution.file_messages import Artifacts, FileAsk
from aetherflow.execution.ports import LogLine, OutputLine, Progress, ProgressNote, StepCall
from aetherflow.ports import EffectState
from aetherflow.sdk.executor import Place
from aetherflow.sdk.step import StepResult


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """A worker is ready to run the attempt, and asks whether it may.

    Attributes:
        has_begun: whether it works already, let in by an engine that has gone.
    """

    place: Place
    has_begun: bool = False


class IntendEffect(msgspec.Struct, frozen=True, tag="intend_effect"):
    """Store the intent of an effect; the reply says that it is durable."""

    key: str
    detail: dict[str, Any]


class ConfirmEffect(msgspec.Struct, frozen=True, tag="confirm_effect"):
    """Store the confirmation of an effect; the reply says that it is durable."""

    key: str
    result: dict[str, Any]
    verified: bool


class ReadMark(msgspec.Struct, frozen=True, tag="read_mark"):
    """Return the high-water mark of this name that the attempt starts from, or null."""

    name: str


class TakeLock(msgspec.Struct, frozen=True, tag="take_lock"):
    """Take a named lock; the reply comes when the attempt holds it. The engine renews its lease."""

    key: str
    ttl_seconds: float
    wait_seconds: float


class ReleaseLock(msgspec.Struct, frozen=True, tag="release_lock"):
    """Release a lock, named by the id of the request that took it."""

    taken: int


class GetPackage(msgspec.Struct, frozen=True, tag="get_package"):
    """Return the package of this id: what all attempts of the run have in common, as JSON text."""

    package: str


Ask = IntendEffect | ConfirmEffect | ReadMark | TakeLock | ReleaseLock | GetPackage | FileAsk
"""What a worker may ask of the engine."""


class Request(msgspec.Struct, frozen=True, tag="request"):
    """A question to the engine; `id` counts from 1 within a start, and rises from one to the next."""

    id: int
    ask: Ask


class NotedLineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an attempt noted about what it read and wrote: the fields of `sdk.lineage.Lineage`."""

    reads: list[Dataset] = []
    writes: list[Dataset] = []
    statements: list[Statement] = []


class Answer(msgspec.Struct, frozen=True):
    """How an attempt ended: with a result, with an error, or (neither) because it was stopped.

    Attributes:
        trace: the traceback of the error.
        stopped: why it was stopped, if that was not the engine's wish: the worker is closing, say.
        must_wait: whether the worker waits for Accepted or Undo, as the attempt has something to undo.
    """

    result: StepResult | None = None
    error: ErrorInfo | None = None
    trace: str = ""
    stopped: str = ""
    lineage: NotedLineage = NotedLineage()
    progress_note: str = ""
    must_wait: bool = False


class End(msgspec.Struct, frozen=True, tag="end"):
    """The attempt has ended."""

    answer: Answer


FromWorker = Begin | LogLine | OutputLine | Progress | ProgressNote | Request | End
"""What a worker sends."""


class Work(msgspec.Struct, frozen=True):
    """What a worker needs to run an attempt.

    Attributes:
        call: the step; the secrets among its inputs are references (`execution.secret_references`).
        package: the id of what the attempts of the run have in common.
        effects: what earlier attempts of the step intended and did outside the run.
        artifacts: how files get to the worker and back.
    """

    call: StepCall
    package: str
    on_interrupt: Literal["rerun", "fail", "skip"] = "rerun"
    effects: dict[str, EffectState] = {}
    artifacts: Artifacts = "shared"


class Go(msgspec.Struct, frozen=True, tag="go"):
    """The attempt may begin."""

    work: Work


class Refuse(msgspec.Struct, frozen=True, tag="refuse"):
    """The attempt must not begin, or no longer counts: another start has it, or it was given up."""

    why: str


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The answer to a request: what it asked for, or an error."""

    id: int
    value: Any = None
    error: ErrorInfo | None = None


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """The attempt must end: it is cancelled, or its time is over."""

    why: str = ""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The answer was read and counts; the worker may forget the attempt."""


class Undo(msgspec.Struct, frozen=True, tag="undo"):
    """The answer was read, but the attempt failed afterwards: undo what it left."""


FromEngine = Go | Refuse | Reply | Stop | Accepted | Undo
"""What the engine sends."""
