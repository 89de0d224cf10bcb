"""Protocols that the pure packages and plugins need; packages above them implement these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from aetherflow.events.run_events import Event, Items


class OutputStore(Protocol):
    """Stores output values that are too large for the journal, and puts references in their place."""

    async def set_aside(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with a reference in place of every large value, which is stored by then."""
        ...

    def defer(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Return the outputs with a reference in place of every large value; `write` stores the values."""
        ...

    def defer_items(self, items: list[Any]) -> Items:
        """Return the items of a `for_each`, or a reference if they are large; `write` stores them."""
        ...

    async def write(self) -> None:
        """Store what was deferred, before the events that refer to it are stored.

        Raises:
            StateError: a value cannot be stored; the run must stop.
        """
        ...

    def resolve(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the outputs with the values that their references stand for."""
        ...


class EffectState(msgspec.Struct, frozen=True, gc=False):
    """What is known of one effect of a step: that it was intended, and whether it is confirmed."""

    detail: dict[str, Any] = {}
    is_confirmed: bool = False
    result: dict[str, Any] = {}


class EffectLog(Protocol):
    """Stores the effects of one step, and knows those of its earlier attempts."""

    def known(self, key: str) -> EffectState | None:
        """Return what is known of an effect; None if it was never intended."""
        ...

    async def intend(self, key: str, detail: dict[str, Any]) -> None:
        """Return when the intent is durable."""
        ...

    async def confirm(self, key: str, result: dict[str, Any], *, verified: bool) -> None:
        """Return when the confirmation is durable.

        Args:
            key: the effect.
            result: what is known about it.
            verified: whether an earlier attempt had done it.
        """
        ...


class DurableSubscriber(Protocol):
    """Stores the events of one run before anything acts on them. Tested by `test_durable_subscribers`."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Return when the events are durable: all of them, in order, after those of earlier calls.

        A call that is cancelled stores all of its events or none. After an error nothing more of the run is
        stored, and every later call raises it too: the history has no hole.

        Raises:
            StateError: they could not be stored; the run must stop.
            HeldByAnother: another process has taken the run over.
        """
        ...


class Observer(Protocol):
    """Watches one run (or the scheduler): a log, an event stream, the live tree, metrics.

    Whatever it does that may block runs in a thread of its own sink (`aetherflow.observe.sink`). If a method
    raises, the observer is detached and reported, and the run continues.
    """

    async def __call__(self, events: Sequence[Event]) -> None:
        """Take the next events, in order; called again only after it has returned or was cancelled."""
        ...

    async def aclose(self) -> None:
        """Finish; called once, after the last events, and not waited for longer than a few seconds."""
        ...
