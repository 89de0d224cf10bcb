"""Named locks in memory, for tests: the port `Locks` without a database, shared by runs of one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from msgspec.structs import replace

from aetherflow.errors import LockNotAcquired, StepError
from aetherflow.sdk.lock_wait import LockWait, OnLockWait, report_to_nobody


class MemoryLocks:
    """Named locks in memory; give one to several `FakeRun`s to let them compete.

    Attributes:
        held: the holder (`job.step`) of each key that is locked now.
    """

    def __init__(self) -> None:
        self.held: dict[str, str] = {}
        self._released = anyio.Event()
        self._scopes: dict[str, anyio.CancelScope] = {}

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
        """Hold the lock while the block runs; `lose` cancels the block.

        Raises:
            LockNotAcquired: another step still held the lock after `wait_seconds`.
            StepError: the lock was lost while the block ran (AF621).
        """
        del ttl_seconds  # a lock in memory cannot outlive its holder
        wait = LockWait(key, self.held[key], "", wait_seconds) if wait_seconds and key in self.held else None
        if wait is not None:
            on_wait(wait)
        began = anyio.current_time()
        with anyio.move_on_after(wait_seconds):
            while key in self.held:
                await self._released.wait()
        if key in self.held:
            message = f"the lock {key!r} is held by {self.held[key]}"
            raise LockNotAcquired(message, detail={"lock_key": key, "holder": self.held[key]})
        if wait is not None:
            on_wait(replace(wait, waited_seconds=anyio.current_time() - began))
        holder = self.held[key] = f"{job_id}.{step_id}" if step_id else job_id
        scope = self._scopes[key] = anyio.CancelScope()
        try:
            with scope:
                yield
        finally:
            if self._scopes.get(key) is scope:
                self._release(key)
        if scope.cancel_called:
            message = f"the lock {key!r} was lost while {holder} held it"
            raise StepError(message, code="AF621", detail={"lock_key": key})

    def lose(self, key: str) -> None:
        """Take a lock away from its holder and cancel its block, as if its lease had expired."""
        scope = self._scopes[key]
        self._release(key)
        scope.cancel()

    def _release(self, key: str) -> None:
        del self.held[key], self._scopes[key]
        self._released.set()
        self._released = anyio.Event()
