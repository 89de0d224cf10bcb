"""The in-process bus of a run: events are committed first, then given to the observers.

`publish` returns when the events are committed; nothing may act on an event before that. Observers follow
behind, each in its own task with a bounded queue. When it is full, the run waits for a file, and briefly for
a reader; other observers lose events. A notice says how many were lost. An observer that raises is detached
and reported, and the run continues.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence

import anyio
import anyio.abc
import anyio.from_thread
import anyio.lowlevel
from msgspec.structs import replace

from aetherflow.clock import Clock
from aetherflow.errors import AetherFlowError
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.run_events import Event, Notice
from aetherflow.execution.bounded_queue import QUEUE_EVENTS, BoundedQueue
from aetherflow.plugin_errors import is_our_cancellation, named
from aetherflow.ports import DurableSubscriber, Observer, WhenFull

REST_SECONDS = 0.05
"""How long an observer gets nothing after a batch: few large batches cost much less than many small ones."""

PATIENCE_SECONDS = 2.0
"""How long a run waits in all for an observer that it waits for briefly, such as the reader of its log."""

FLUSH_SECONDS = 5.0
"""How long the end of a run waits for its observers: four fifths to take what is in their queues, the rest
to close one that did not. A run that is being cancelled also waits no longer for room in a full queue."""


lost_events: Counter[str] = Counter()
"""How many events the observers of this process have lost, by their names; changed on the event loop."""


class _Subscription:
    """An observer, its queue, and the scope of the task that serves it: only the bus ends that one."""

    def __init__(self, name: str, observer: Observer, queue: BoundedQueue, when_full: str) -> None:
        self.name = name
        self.observer = observer
        self.queue = queue
        self.when_full = when_full
        self.reported = 0
        self.is_closing = False
        self.scope = anyio.CancelScope(shield=True)
        self.finished = anyio.Event()


class Bus:
    """Publishes the events of one run, numbered; made on the event loop.

    Args:
        durable: stores the events.
        clock: of the notices of the bus itself.
        mask: is for what observers raise or say.
        stored: how many events the run has already.
    """

    def __init__(
        self,
        durable: DurableSubscriber,
        clock: Clock,
        mask: Callable[[str], str] = str,
        *,
        stored: int = 0,
    ) -> None:
        self._durable = durable
        self._clock = clock
        self._mask = mask
        self._thread = threading.get_ident()
        self._loop = anyio.lowlevel.current_token()
        self._subscriptions: list[_Subscription] = []
        self._attached: list[_Subscription] = []
        self.detached: dict[str, str] = {}
        self._last: Event | None = None
        self.is_closed = False
        self._seen: Event | None = None
        self._seq, self._sub_seq = stored, 0

    def subscribe(
        self,
        tasks: anyio.abc.TaskGroup,
        name: str,
        observer: Observer,
        *,
        when_full: WhenFull = "drop",
        capacity: int = QUEUE_EVENTS,
    ) -> None:
        """Give an observer the events from now on, in a task that only `aclose` ends, no cancellation."""
        patience = PATIENCE_SECONDS if when_full == "wait_briefly" else math.inf
        subscription = _Subscription(name, observer, BoundedQueue(capacity, patience), when_full)
        self._subscriptions.append(subscription)
        self._attached.append(subscription)
        tasks.start_soon(self._serve, subscription)

    async def publish(self, events: Sequence[Event]) -> None:
        """Make events durable, then give them to the observers.

        Raises:
            StateError: they could not be stored; no observer has seen them.
        """
        if not events:
            return
        await self._durable.commit(events)
        events = [replace(event, seq=seq) for seq, event in enumerate(events, self._seq + 1)]
        self._seq, self._sub_seq = events[-1].seq, 0
        self._last = self._seen = events[-1]
        for subscription in tuple(self._attached):  # one may be detached while another is waited for
            if subscription.when_full == "drop":
                subscription.queue.offer(events)
            else:
                await subscription.queue.put(events)

    def announce(self, event: Event) -> None:
        """Give observers a transient event, from any thread; it is not stored, and may be dropped."""
        if threading.get_ident() != self._thread:
            anyio.from_thread.run_sync(self.announce, event, token=self._loop)
            return
        self._seen = event = self._numbered(event)
        for subscription in self._attached:
            subscription.queue.offer([event])

    @property
    def has_published(self) -> bool:
        """Whether this bus has made an event of the run durable."""
        return self._last is not None

    @property
    def dropped(self) -> dict[str, int]:
        """How many events each observer has lost."""
        return {s.name: s.queue.dropped for s in self._subscriptions if s.queue.dropped}

    def hurry(self) -> None:
        """Limit how long an observer that hangs may hold the run, which is being cancelled."""
        until = anyio.current_time() + FLUSH_SECONDS
        for subscription in self._subscriptions:
            subscription.queue.hurry(until)

    async def aclose(self) -> None:
        """Let the observers finish, but do not wait for one that hangs; what is announced now is lost."""
        self.is_closed = True
        for subscription in self._subscriptions:
            subscription.queue.close()
        with anyio.move_on_after(FLUSH_SECONDS * 4 / 5, shield=True):
            for subscription in self._subscriptions:
                await subscription.finished.wait()
        for subscription in self._subscriptions:
            if not subscription.finished.is_set():
                reason = f"it did not write its last events before the run ended{_losses(subscription)}"
                self.detached.setdefault(subscription.name, reason)
                subscription.scope.cancel()
        with anyio.move_on_after(FLUSH_SECONDS / 5, shield=True):
            for subscription in self._subscriptions:
                await subscription.finished.wait()

    async def _serve(self, subscription: _Subscription) -> None:
        try:
            with subscription.scope:
                await self._feed(subscription)
                await self._close(subscription)
            if not subscription.is_closing:
                with anyio.move_on_after(FLUSH_SECONDS / 5, shield=True):
                    await self._close(subscription)
        finally:
            subscription.finished.set()

    async def _feed(self, subscription: _Subscription) -> None:
        try:
            while events := await subscription.queue.take():
                if lost := subscription.queue.dropped - subscription.reported:
                    subscription.reported += lost
                    lost_events[subscription.name] += lost
                    message = f"the observer {subscription.name} was too slow and lost {lost} events"
                    # They would have stood here.
                    events.append(self._numbered(self._notice(events[-1], message)))
                if warning := await subscription.observer(events):
                    self.announce(self._notice(events[-1], warning))
                await subscription.queue.rest(REST_SECONDS)
        except BaseException as error:  # an observer never hurts the run; it is detached and reported
            if is_our_cancellation(error):
                raise
            self._detach(subscription, error)

    async def _close(self, subscription: _Subscription) -> None:
        subscription.is_closing = True
        try:
            await subscription.observer.aclose()
        except BaseException as error:  # as above
            if is_our_cancellation(error):
                raise
            self._detach(subscription, error)

    def _detach(self, subscription: _Subscription, error: BaseException) -> None:
        subscription.queue.close()
        if subscription in self._attached:
            self._attached.remove(subscription)
        why = error.message if isinstance(error, AetherFlowError) else named(error)
        reason = self._mask(f"{why}{_losses(subscription)}")
        self.detached.setdefault(subscription.name, reason)
        if self._seen is not None:  # a server announces its events, and publishes none
            self.announce(
                self._notice(self._seen, f"the observer {subscription.name} was detached: {reason}")
            )

    def _numbered(self, event: Event) -> Event:
        """Return a transient event with its place after the last stored one."""
        self._sub_seq += 1
        return replace(event, seq=self._seq, sub_seq=self._sub_seq)

    def _notice(self, like: Event, message: str) -> Notice:
        return EventFactory(self._clock, like.flow_id, like.run_id).notice("warning", self._mask(message))


def _losses(subscription: _Subscription) -> str:
    """Return a text about lost events that were not reported yet; empty if there are none."""
    lost = subscription.queue.dropped - subscription.reported
    subscription.reported += lost
    if lost:
        lost_events[subscription.name] += lost
    return f"; it had lost {lost} events before" if lost else ""
