"""Protocols that the pure packages and plugins need; packages above them implement these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from aetherflow.events.marks import Mark, MarkUse
from aetherflow.events.run_events import Event, Items


class OutputStore(Protocol):
    """Stores output values that are too large for the journal, and replaces them by references."""

    async def set_aside(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Store every large value; return the outputs with references in their place."""
        ...

    def defer(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with references to large values, which `write` stores later."""
        ...

    def defer_items(self, items: list[Any]) -> Items:
        """Return the items of a `for_each`, or if they are large a reference; `write` stores them later."""
        ...

    async def write(self) -> None:
        """Store the deferred values; call this before the events that refer to them are stored.

        Raises:
            StateError: a value cannot be stored; the run must stop.
        """
        ...

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs with every reference replaced by its value."""
        ...


class EffectState(msgspec.Struct, frozen=True, gc=False):
    """One effect that a step intended: its detail, and if it is confirmed, its result."""

    detail: dict[str, Any] = {}
    is_confirmed: bool = False
    result: dict[str, Any] = {}


class EffectLog(Protocol):
    """Stores the effects of one attempt of a step, and finds those of its earlier attempts."""

    def reserve(self, key: str) -> bool:
        """Note that this attempt uses the key; return whether it did not before."""
        ...

    def free(self, key: str) -> None:
        """Note that this attempt may use the key again: its effect did not happen."""
        ...

    def known(self, key: str) -> EffectState | None:
        """Return the stored state of an effect; None if it was never intended."""
        ...

    def stored(self) -> Mapping[str, EffectState]:
        """Return the stored effects by key."""
        ...

    async def intend(self, key: str, detail: dict[str, Any]) -> None:
        """Store an intent; return when it is durable."""
        ...

    async def confirm(self, key: str, result: dict[str, Any], *, verified: bool) -> None:
        """Store a confirmation; return when it is durable.

        Args:
            key: the key of the effect.
            result: facts about the effect, such as the id of what was created.
            verified: whether an earlier attempt made the change, and this one only found it.
        """
        ...


class StoredMark(msgspec.Struct, frozen=True, gc=False):
    """A high-water mark as it is stored; None if there is none. `set_count`: how often people have set it."""

    mark: Mark | None = None
    set_count: int = 0


class MarkLog(Protocol):
    """The high-water marks that one attempt of a step uses."""

    async def read(self, name: str) -> Mark | None:
        """Return the mark that the attempt starts from; None if there is none.

        Raises:
            StepError: another step of the run uses the mark.
        """
        ...

    async def used(self, moved: Mapping[str, Mark]) -> dict[str, MarkUse]:
        """Return how the attempt has used its marks, of which it moves some.

        Raises:
            StepError: another step of the run uses a mark; or a value cannot be compared with what it was.
        """
        ...


class DurableSubscriber(Protocol):
    """Stores the events of one run before anything acts on them. Tested by `test_durable_subscribers`."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Store events in order, after those of earlier calls; return when all are durable.

        A cancelled call stores all of its events or none. After an error nothing more of the run is stored,
        and every later call raises the same error, so the history has no gap.

        Raises:
            StateError: the events could not be stored; the run must stop.
            HeldByAnother: another process has taken over the run.
        """
        ...


WhenFull = Literal["wait", "wait_briefly", "drop"]
"""What happens when the queue of an observer is full: the run waits; it waits for a moment in all, then the
observer loses events; or it loses them at once. What is lost is counted and reported."""


class Observer(Protocol):
    """Watches one run (or the scheduler): a log, an event stream, the live tree, metrics.

    Blocking calls of an observer run in the thread of its sink (`aetherflow.observe.sink`). If a method
    raises, the observer is detached and reported, and the run continues.
    """

    async def __call__(self, events: Sequence[Event]) -> str | None:
        """Handle the next events, in order; never called again before it has returned or was cancelled.

        A text that is returned becomes a warning in the log of the run.
        """
        ...

    async def aclose(self) -> None:
        """Finish; called once after the last events, and cancelled after a few seconds."""
        ...


class UsualTimes(msgspec.Struct, frozen=True):
    """How long earlier runs of a flow took that succeeded, in seconds.

    Attributes:
        run: the median of the last runs that succeeded at their first attempt; None if there are none.
        jobs: by job, of the last one of them; no instances.
        steps: by `job.step`, of the last one of them; none of instances.
    """

    run: float | None = None
    jobs: Mapping[str, float] = {}
    steps: Mapping[str, float] = {}


LookUpTimes = Callable[[str, str, str], UsualTimes]
"""Returns the times of a flow, given the path of the state database, the id of the flow, and the only job
that runs, if one was selected. Called in a thread of its own; it does not raise."""
