"""The services of a run that its steps use: connectors, locks, pools, background work, the workspace.

`RunServices` has them all; a step reaches them through its `StepContext`. It imports neither the engine nor
the database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import ErrorInfo
from aetherflow.events.marks import MarkUse
from aetherflow.events.run_events import Event
from aetherflow.events.trace_ids import RunTrace
from aetherflow.ports import OutputStore
from aetherflow.redaction import Redactor
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.files import Publisher
from aetherflow.sdk.lock_wait import OnLockWait, report_to_nobody
from aetherflow.sdk.marks import Marks, MemoryMarks
from aetherflow.sdk.pools import NO_POOLS, Pools
from aetherflow.sdk.step import StepResult
from aetherflow.sdk.workspace import Workspace
from aetherflow.spec.flow_place import FlowPlace
from aetherflow.spec.messages import MessageStep

if TYPE_CHECKING:
    from aetherflow.sdk.context import StepContext


class Connectors(Protocol):
    """The open connectors of a run."""

    async def get(self, name: str, user: object = None) -> Connector:
        """Return the connector of the resource `name`, opened at its first use."""
        ...

    def knows(self, name: str) -> bool:
        """Whether the flow declares a resource of this name."""
        ...

    async def release(self, user: object) -> list[ErrorInfo]:
        """Close the connectors that only this user has open; return the errors."""
        ...


class Locks(Protocol):
    """Named leases in the state database."""

    def hold(
        self,
        key: str,
        *,
        ttl_seconds: float,
        wait_seconds: float,
        job_id: str,
        step_id: str,
        on_wait: OnLockWait = report_to_nobody,
    ) -> AbstractAsyncContextManager[None]:
        """Hold the lock while the block runs; cancel the block if the lease is lost.

        `on_wait` is called if another holds the lock and the step waits for it.

        Raises:
            StepError: another step holds the lock; the message says which, and since when.
        """
        ...


class BackgroundWork(Protocol):
    """Work of a step that continues when the step has ended."""

    async def run(self) -> None:
        """Do the work, until it is done or `stop` is called; raises nothing."""
        ...

    async def stop(self) -> None:
        """End the work soon; called when the run ends. Bounded by a deadline."""
        ...


class Background(Protocol):
    """Runs work beside the run, at most as long as the run."""

    def start(self, work: BackgroundWork) -> None:
        """Start the work."""
        ...


OnPlaced = Callable[[str, str], None]
"""Takes note of the worker that begins an attempt, and of its host; called on the event loop."""


OnRefused = Callable[[str, str, str], None]
"""Takes note of a result that does not count: its worker, the host of that, and why. On the event loop."""


def not_noted(*_facts: str) -> None:
    """Take no note of where an attempt runs: it runs here."""


class Message(msgspec.Struct, frozen=True):
    """What a step that sends a message is to send.

    Attributes:
        values: what `notify` is in its templates.
        skipped: why nothing is sent: what it would say has been reported, or is not to be.
        marks: how the marks of the flow move when it was sent; they say what has been reported.
    """

    values: dict[str, Any] = {}
    skipped: str = ""
    marks: dict[str, MarkUse] = {}


class Messages(Protocol):
    """Decides what messages about a run are to be sent."""

    def about(self, step: MessageStep, job_id: str) -> AbstractAsyncContextManager[Message]:
        """Return the message of an entry of `notify`; no other run decides about it during the block.

        Raises:
            StepError: another run sends it for too long.
            StateError: the state database could not be used.
        """
        ...


class NoMessages:
    """The messages of a run that reports nothing."""

    @asynccontextmanager
    async def about(self, step: MessageStep, job_id: str) -> AsyncIterator[Message]:  # noqa: ARG002 - a protocol
        """Return that nothing is sent."""
        yield Message(skipped="this run reports nothing")


def _record_nothing(_context: StepContext) -> AbstractAsyncContextManager[None]:
    return nullcontext()


class RunServices(msgspec.Struct, frozen=True):
    """The services that all steps of a run share.

    Attributes:
        nested_step: runs a step inside a step (`with_lock`), given its own context and its rendered inputs.
        announce: passes a transient event to the observers, masked; may be called from any thread.
        threads: limits how many blocking calls of steps run at once.
        large_outputs: stores large outputs; without it every output goes into the journal.
        execution: how many times the run has been started or resumed, including now.
        strict_templates: whether a missing value fails the step; otherwise it is an empty text and a warning.
        scheduled_at: the time for which the run was scheduled, else when it started (RFC 3339, UTC).
        run_date: its date in the zone of the run.
        place: where the flow file is; empty in a test of a step alone.
        record_output: records what the code of a step prints and logs in a block.
        marks: the high-water marks of the flow.
        trace: the trace that the programs of steps continue; None: that of a run that began inside none.
        messages: decides what messages about the run are sent.
        programs_of: whose end ends what programs left behind; empty: the run's. On a worker the attempt's.
        publisher: gives files their final names; None: this process, at once.
    """

    flow_id: str
    run_id: str
    env: Mapping[str, str]
    clock: Clock
    redactor: Redactor
    workspace: Workspace
    log_directory: Path
    connectors: Connectors
    locks: Locks
    nested_step: Callable[[StepContext, dict[str, Any]], Awaitable[StepResult]]
    announce: Callable[[Event], None]
    threads: anyio.CapacityLimiter
    large_outputs: OutputStore | None = None
    zip_drivers: frozenset[str] | None = None
    execution: int = 1
    strict_templates: bool = True
    pools: Pools = NO_POOLS
    scheduled_at: str = ""
    run_date: str = ""
    record_output: Callable[[StepContext], AbstractAsyncContextManager[None]] = _record_nothing
    background: Background | None = None
    place: FlowPlace = FlowPlace()
    marks: Marks = msgspec.field(default_factory=MemoryMarks)
    trace: RunTrace | None = None
    messages: Messages = msgspec.field(default_factory=NoMessages)
    programs_of: str = ""
    publisher: Publisher | None = None
