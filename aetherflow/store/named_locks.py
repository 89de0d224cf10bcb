"""Named locks for steps: a lease that is renewed while the step runs, and cancels the step if it is lost."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from aetherflow.clock import Clock
from aetherflow.errors import LockNotAcquired, StepError
from aetherflow.sdk.lock_wait import LockWait, OnLockWait, report_to_nobody
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.lease import Lease, LeaseHolder, LeaseStatus
from aetherflow.store.lease_renewal import renewing
from aetherflow.store.process_identity import ProcessIdentity

POLL_SECONDS = 0.5
"""How often a waiting step polls the lock: its holder may be another process."""


class LockTable(msgspec.Struct, frozen=True):
    """The locks of one database, for one run."""

    database: Database
    clock: Clock
    owner: ProcessIdentity
    flow_id: str
    run_id: str

    @asynccontextmanager
    async def hold(
        self,
        key: str,
        *,
        ttl_seconds: float,
        wait_seconds: float,
        job_id: str,
        step_id: str,
        on_wait: OnLockWait = report_to_nobody,
    ) -> AsyncIterator[None]:
        """Hold the lock in the block; the block is cancelled if the lease is lost.

        Raises:
            LockNotAcquired: held by another after `wait_seconds` (code AF620).
            StepError: lost while the block ran (code AF621).
            StateError: the database could not be used; the block was cancelled.
        """
        where = f"{job_id}.{step_id}" if step_id else job_id
        holder = f"{self.flow_id}, run {self.run_id}, {where}"
        lease = await self._acquire(key, ttl_seconds, wait_seconds, holder, on_wait)
        transact, now = self.database.transact, self.clock.now
        async with renewing(
            self.clock,
            ttl_seconds,
            renew=lambda: transact(lambda raw: leases.renew(raw, lease, now())),
            release=lambda: transact(lambda raw: leases.release(raw, lease, now())),
            lost=lambda: _lost(key),
        ):
            yield

    async def _acquire(self, key: str, ttl: float, wait: float, holder: str, on_wait: OnLockWait) -> Lease:
        def claim(raw: sqlite3.Connection) -> Lease | LeaseHolder:
            name, now = f"lock:{key}", self.clock.now()
            return leases.acquire(raw, name, self.owner, holder, now=now, ttl_seconds=ttl, run_id=self.run_id)

        began = self.clock.monotonic()
        reported: LockWait | None = None
        while isinstance(found := await self.database.transact(claim), LeaseHolder):
            left = began + wait - self.clock.monotonic()
            if left <= 0:
                raise _held(key, found, wait, self.database.path)
            if reported is None:
                reported = LockWait(key, found.holder, found.acquired_at, wait)
                on_wait(reported)
            await self.clock.sleep(min(POLL_SECONDS, left))
        if reported is not None:
            on_wait(replace(reported, waited_seconds=self.clock.monotonic() - began))
        return found


def release_lock(raw: sqlite3.Connection, key: str, now: datetime, *, force: bool) -> LeaseStatus | None:
    """Release a lock that is no longer valid, or any with `force`; return its status, None if it was free.

    A live lock stays with its holder unless `force`; a holder that lost it notices at its next renewal.
    """
    status = leases.held(raw, f"lock:{key}", now)
    if status is not None and (force or status.validity != "live"):
        leases.release(raw, Lease(f"lock:{key}", status.generation, 0), now)
    return status


def _lost(key: str) -> StepError:
    return StepError(
        f"the lock {key!r} was lost to another process while the step worked under it",
        hint="the process was paused longer than ttl_seconds, or the lock was released by force (aetherflow "
        "locks release); check what the step had done by then",
        code="AF621",
        detail={"lock_key": key},
    )


def _held(key: str, other: LeaseHolder, waited: float, state: Path) -> LockNotAcquired:
    after = f" (waited {waited:g} s)" if waited else ""
    return LockNotAcquired(
        f"the lock {key!r} is held by {other}{after}",
        hint=f"wait for it to end, give wait_seconds, or look at it: aetherflow locks list "
        f"--state {shlex.quote(str(state))}",
        detail={
            "lock_key": key,
            "holder": other.holder,
            "since": other.acquired_at,
            "until": other.expires_at,
        },
    )
