"""Pools in memory, for tests: the port `Pools` without a database, first come first served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio

from aetherflow.errors import StepError
from aetherflow.sdk.pools import PoolWait


class MemoryPools:
    """Pools in memory, first come first served; implements `aetherflow.sdk.pools.Pools`.

    Args:
        sizes: how many slots each pool has.

    Attributes:
        holders: for each pool the steps that hold slots now, with their number, in the order of the grants.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.holders: dict[str, list[tuple[str, int]]] = {pool: [] for pool in sizes}
        self._sizes = dict(sizes)
        self._queues: dict[str, list[object]] = {pool: [] for pool in sizes}
        self._changed = anyio.Event()

    @asynccontextmanager
    async def hold(
        self, pool: str, slots: int, *, job_id: str, step_id: str, on_wait: Callable[[PoolWait], None]
    ) -> AsyncIterator[None]:
        """Wait in turn for slots, and hold them while the block runs; `on_wait` is called if it must wait.

        Raises:
            StepError: there is no such pool (AF640), or it has too few slots (AF641).
        """
        holder = f"{job_id}.{step_id}"
        size = self._sizes.get(pool)
        if size is None:
            raise StepError(f"there is no pool {pool!r}", code="AF640")
        if slots > size:
            raise StepError(f"{holder} needs {slots} slots of the pool {pool!r} ({size})", code="AF641")
        queue, turn = self._queues[pool], object()
        queue.append(turn)
        try:
            if not self._is_free(pool, slots, turn):
                names = tuple(name for name, _ in self.holders[pool])
                on_wait(PoolWait(pool, slots, size, names, queue.index(turn)))
            while not self._is_free(pool, slots, turn):
                await self._changed.wait()
            self.holders[pool].append((holder, slots))
        finally:
            queue.remove(turn)
            self._wake()
        try:
            yield
        finally:
            self.holders[pool].remove((holder, slots))
            self._wake()

    def _is_free(self, pool: str, slots: int, turn: object) -> bool:
        taken = sum(count for _, count in self.holders[pool])
        return self._queues[pool][0] is turn and taken + slots <= self._sizes[pool]

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
