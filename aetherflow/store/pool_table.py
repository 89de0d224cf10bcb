"""Take slots of pools for the runs of one process: wait in turn, renew, release.

The transaction that releases slots also grants them to the next in the queue. A waiter in this process wakes
immediately, one in another process at its next poll. While steps of this process wait, one of them polls for
all every POLL_SECONDS: that is how a release, or a death, in another process is noticed.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from aetherflow.clock import Clock, wait_within
from aetherflow.errors import StepError
from aetherflow.sdk.pools import PoolWait
from aetherflow.store import pools
from aetherflow.store.database import SHIELD_SECONDS, Database
from aetherflow.store.lease_renewal import renewing
from aetherflow.store.pools import SlotRequest

POLL_SECONDS = 0.5
"""How often a process with waiting steps polls the pools."""

TTL_SECONDS = 30.0
"""How long slots of a host that died stay taken; those of a dead local process are free immediately."""


class PoolTable:
    """The pools of one database; all runs of this process share it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, anyio.Event] = {}
        self._failed: set[int] = set()
        self._looked = -math.inf
        self._renewed = -math.inf

    @asynccontextmanager
    async def hold(
        self, request: SlotRequest, clock: Clock, on_wait: Callable[[PoolWait], None]
    ) -> AsyncIterator[None]:
        """Wait in turn for slots, and hold them while the block runs; cancel the block if they are lost.

        Raises:
            StepError: there is no such pool (AF640), it has too few slots (AF641), or they were lost (AF642).
            StateError: the database could not be used; the block was cancelled.
        """
        claim = await self._wait_for_grant(await self._ask(request, clock, on_wait), request, clock)
        async with renewing(
            clock,
            request.ttl_seconds,
            renew=lambda: self._renew(claim, request, clock),
            release=lambda: self._release(claim, clock),
            lost=lambda: _lost(request.pool),
        ):
            yield

    async def _ask(self, request: SlotRequest, clock: Clock, on_wait: Callable[[PoolWait], None]) -> int:
        def work(raw: sqlite3.Connection) -> tuple[int, list[int], PoolWait | None]:
            now = clock.now()
            claim = pools.ask(raw, request, now)
            grants = pools.settle(raw, now)
            return claim, grants, None if claim in grants else pools.wait_of(raw, claim, now)

        claim, grants, wait = await self._database.transact(work)
        self._wake(grants)
        if wait is not None:
            self._waiting[claim] = anyio.Event()
            on_wait(wait)
        return claim

    async def _wait_for_grant(self, claim: int, request: SlotRequest, clock: Clock) -> int:
        """Wait until the claim is granted; return its number, a new one if it expired meanwhile."""
        try:
            while (event := self._waiting.get(claim)) is not None:
                await wait_within(clock, POLL_SECONDS, event.wait)
                if not event.is_set() and clock.monotonic() - self._looked >= POLL_SECONDS:
                    self._looked = clock.monotonic()
                    await self._look(clock, request.ttl_seconds)
                if claim in self._failed:
                    self._failed.discard(claim)
                    await self._release(claim, clock)
                    claim = await self._ask(request, clock, lambda _wait: None)
                elif event.is_set():
                    del self._waiting[claim]
        except BaseException:
            await self._release(claim, clock)  # leave the queue
            raise
        return claim

    async def _look(self, clock: Clock, ttl_seconds: float) -> None:
        """Grant the claims that are next, and wake the steps of this process that no longer have to wait.

        A claim has failed if it is gone (this process was paused for longer than the claim lasted) or can
        never be granted: its step asks again, which raises the error.
        """
        mine = set(self._waiting)
        is_time = clock.monotonic() - self._renewed >= ttl_seconds / 3

        def act(raw: sqlite3.Connection) -> None:
            pools.renew(raw, mine, clock.now(), ttl_seconds)
            pools.settle(raw, clock.now())

        due = await self._database.read(lambda raw: pools.survey(raw, clock.now()))
        if is_time or due.stale or due.grants:
            self._renewed = clock.monotonic()
            await self._database.transact(act)
        found = await self._database.read(lambda raw: pools.granted(raw, mine))
        self._failed |= (mine - found.keys()) | (mine & set(due.impossible))
        self._failed &= self._waiting.keys()
        self._wake([claim for claim in mine if found.get(claim) or claim in self._failed])

    async def _renew(self, claim: int, request: SlotRequest, clock: Clock) -> bool:
        def work(raw: sqlite3.Connection) -> bool:
            pools.renew(raw, [claim], clock.now(), request.ttl_seconds)
            return pools.granted(raw, [claim]).get(claim, False)

        return await self._database.transact(work)

    async def _release(self, claim: int, clock: Clock) -> bool:
        """End the claim and grant the slots that this frees; return whether the claim still existed."""

        def work(raw: sqlite3.Connection) -> tuple[bool, list[int]]:
            return pools.release(raw, claim), pools.settle(raw, clock.now())

        self._waiting.pop(claim, None)
        existed, grants = True, list[int]()  # a claim that could not be released in time ends by itself
        with anyio.move_on_after(SHIELD_SECONDS, shield=True):
            existed, grants = await self._database.transact(work)
        self._wake(grants)
        return existed

    def _wake(self, claims: list[int]) -> None:
        for claim in claims:
            if (event := self._waiting.get(claim)) is not None:
                event.set()


def _lost(pool: str) -> StepError:
    return StepError(
        f"the slots of the pool {pool!r} were lost while the step worked with them",
        hint=f"the process was paused for more than {TTL_SECONDS:g} s, or another one took the run over; "
        "check what the step had done by then",
        code="AF642",
        detail={"pool": pool},
    )
