"""Queue the tickets that wait for a slot of the run pool, by priority, then by age. Pure."""

from __future__ import annotations

import heapq
import itertools

from aetherflow.runs.run_ticket import RunTicket


class RunQueue:
    """A queue of a bounded length; alerts do not wait behind other tickets."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._heaps: dict[bool, list[tuple[int, int, str]]] = {True: [], False: []}
        self._tickets: dict[str, RunTicket] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._tickets

    @property
    def is_full(self) -> bool:
        """Whether no further ticket has room."""
        return len(self._tickets) >= self.capacity

    def push(self, ticket: RunTicket) -> None:
        """Add a ticket.

        Raises:
            ValueError: the queue is full, or has a ticket of that run already.
        """
        if self.is_full or ticket.run_id in self._tickets:
            raise ValueError(f"no room for run {ticket.run_id}")
        self._tickets[ticket.run_id] = ticket
        heapq.heappush(self._heaps[ticket.is_alert], (-ticket.priority, next(self._numbers), ticket.run_id))

    def pop(self, *, is_alert: bool = False) -> RunTicket | None:
        """Take the next ticket out, or the next alert; None if there is none."""
        heap = self._heaps[is_alert]
        return self._tickets.pop(heapq.heappop(heap)[2]) if heap else None

    def remove(self, run_id: str) -> RunTicket | None:
        """Take a ticket out of turn; None if it is not here."""
        ticket = self._tickets.pop(run_id, None)
        if ticket is not None:
            heap = self._heaps[ticket.is_alert]
            heap[:] = [entry for entry in heap if entry[2] != run_id]
            heapq.heapify(heap)
        return ticket

    def waiting(self) -> list[RunTicket]:
        """Return the tickets in the order in which they will start."""
        alerts, others = sorted(self._heaps[True]), sorted(self._heaps[False])
        return [self._tickets[run_id] for _, _, run_id in (*alerts, *others)]
