"""The in-process bus: durable first, then the observers.

`publish` returns when the events are committed; nothing may act on an event before that. Observers follow
behind, each in its own task with a bounded mailbox: where the log is full the run waits for it, the others
lose events and are told how many. An observer that raises is detached and reported; it never hurts the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import anyio
import anyio.abc

from aetherflow.clock import Clock
from aetherflow.engine.events import Event, Notice

MAILBOX_EVENTS = 10_000
"""How many events an observer may lie behind."""

FLUSH_SECONDS = 5.0
"""How long the end of a run waits for an observer to take what is in its mailbox."""


class Durable(Protocol):
    """Where events must be stored before anything acts on them."""

    async def append(self, events: Sequence[Event]) -> None:
        """Return when the events are committed.

        Raises:
            StateError: they are not.
        """
        ...


class Observer(Protocol):
    """Somebody who watches; gets batches in order, one at a time."""

    async def __call__(self, events: Sequence[Event]) -> None:
        """Take a batch of events."""
        ...

    async def aclose(self) -> None:
        """Finish; called once."""
        ...


class Mailbox:
    """A bounded queue between the bus and one observer, taken empty at each visit."""

    def __init__(self, capacity: int = MAILBOX_EVENTS) -> None:
        self.capacity = capacity
        self.dropped = 0
        self.closed = False
        self._events: deque[Event] = deque()
        self._filled = anyio.Event()
        self._emptied = anyio.Event()

    def offer(self, events: Sequence[Event]) -> None:
        """Put in what fits; count the rest as dropped."""
        room = max(self.capacity - len(self._events), 0)
        self._put(events[:room])
        self.dropped += max(len(events) - room, 0)

    async def put(self, events: Sequence[Event]) -> None:
        """Put in everything; wait while the box is full."""
        while len(self._events) >= self.capacity and not self.closed:
            await self._emptied.wait()
        self._put(events)

    def close(self) -> None:
        """Take no more events; a waiting `take` and `put` return."""
        self.closed = True
        self._filled.set()
        self._emptied.set()

    async def take(self) -> list[Event]:
        """Return all events, at least one; an empty list when the box is closed and empty."""
        while not self._events and not self.closed:
            await self._filled.wait()
        events = list(self._events)
        self._events.clear()
        self._filled = anyio.Event()
        self._emptied.set()
        self._emptied = anyio.Event()
        return events

    def _put(self, events: Sequence[Event]) -> None:
        if self.closed or not events:
            return
        self._events.extend(events)
        self._filled.set()


class _Subscription:
    def __init__(self, name: str, observer: Observer, mailbox: Mailbox, when_full: str) -> None:
        self.name = name
        self.observer = observer
        self.mailbox = mailbox
        self.when_full = when_full
        self.reported = 0


class Bus:
    """Publishes the events of one run."""

    def __init__(self, durable: Durable, clock: Clock) -> None:
        self._durable = durable
        self._clock = clock
        self._subscriptions: list[_Subscription] = []
        self._finished: list[anyio.Event] = []
        self.detached: dict[str, str] = {}
        self._last: Event | None = None

    def subscribe(
        self,
        tasks: anyio.abc.TaskGroup,
        name: str,
        observer: Observer,
        *,
        when_full: Literal["wait", "drop"] = "drop",
        capacity: int = MAILBOX_EVENTS,
    ) -> None:
        """Let an observer watch, in a task of its own."""
        subscription = _Subscription(name, observer, Mailbox(capacity), when_full)
        finished = anyio.Event()
        self._subscriptions.append(subscription)
        self._finished.append(finished)
        tasks.start_soon(self._serve, subscription, finished.set)

    async def publish(self, events: Sequence[Event]) -> None:
        """Make events durable, then show them to the observers.

        Raises:
            StateError: they could not be stored; nobody has seen them.
        """
        if not events:
            return
        await self._durable.append(events)
        self._last = events[-1]
        for subscription in self._subscriptions:
            if subscription.when_full == "wait":
                await subscription.mailbox.put(events)
            else:
                subscription.mailbox.offer(events)

    def announce(self, event: Event) -> None:
        """Show a transient event to the observers; it is stored nowhere and may be dropped."""
        for subscription in self._subscriptions:
            subscription.mailbox.offer([event])

    @property
    def dropped(self) -> dict[str, int]:
        """How many events each observer has lost."""
        return {s.name: s.mailbox.dropped for s in self._subscriptions if s.mailbox.dropped}

    async def aclose(self) -> None:
        """Let the observers finish, but do not wait for one that hangs."""
        for subscription in self._subscriptions:
            subscription.mailbox.close()
        with anyio.move_on_after(FLUSH_SECONDS, shield=True):
            for finished in self._finished:
                await finished.wait()

    async def _serve(self, subscription: _Subscription, finished: Callable[[], object]) -> None:
        try:
            while events := await subscription.mailbox.take():
                await subscription.observer(events)
                self._report_drops(subscription, events[-1])
        except Exception as error:  # noqa: BLE001 - an observer never hurts the run; it is detached and told
            self._detach(subscription, error)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(FLUSH_SECONDS):
                await self._close(subscription)
            finished()

    async def _close(self, subscription: _Subscription) -> None:
        try:
            await subscription.observer.aclose()
        except Exception as error:  # noqa: BLE001 - as above
            self._detach(subscription, error)

    def _detach(self, subscription: _Subscription, error: Exception) -> None:
        subscription.mailbox.close()
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        reason = f"{type(error).__name__}: {error}"
        self.detached[subscription.name] = reason
        if self._last is not None:
            self.announce(
                self._notice(self._last, f"the observer {subscription.name} was detached: {reason}")
            )

    def _report_drops(self, subscription: _Subscription, last: Event) -> None:
        lost = subscription.mailbox.dropped - subscription.reported
        if lost:
            subscription.reported += lost
            subscription.mailbox.offer(
                [self._notice(last, f"the observer {subscription.name} was too slow and lost {lost} events")]
            )

    def _notice(self, like: Event, message: str) -> Notice:
        return Notice(
            at=self._clock.now(), flow_id=like.flow_id, run_id=like.run_id, level="warning", message=message
        )
