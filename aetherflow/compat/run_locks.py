"""Locks for sync steps: a task holds and renews each lock from its `acquire` to its `release`."""

from __future__ import annotations

import anyio
import anyio.abc
import msgspec

from aetherflow import AetherFlowError, LockNotAcquired, StepContext


class _Held(msgspec.Struct, frozen=True):
    wanted_back: anyio.Event
    given_back: anyio.Event


class HeldLocks:
    """The locks of one step.

    Attributes:
        failure: why a lock was lost; the step was cancelled for it.
    """

    def __init__(self, context: StepContext, tasks: anyio.abc.TaskGroup) -> None:
        self._context = context
        self._tasks = tasks
        self._held: dict[str, _Held] = {}
        self.failure: AetherFlowError | None = None

    async def acquire(self, key: str, ttl_seconds: float) -> bool:
        """Take a lock; return whether it was free.

        Raises:
            AetherFlowError: the state database cannot be used, or the key holds a secret.
        """
        if key in self._held:
            return False
        taken: bool = await self._tasks.start(self._hold, key, ttl_seconds)
        return taken

    async def release(self, key: str) -> None:
        """Give a lock back, if the step has it."""
        held = self._held.pop(key, None)
        if held is not None:
            held.wanted_back.set()
            await held.given_back.wait()

    async def _hold(self, key: str, ttl_seconds: float, *, task_status: anyio.abc.TaskStatus[bool]) -> None:
        held = _Held(anyio.Event(), anyio.Event())
        taken = False
        try:
            async with self._context.lock(key, ttl_seconds=ttl_seconds):
                taken = True
                self._held[key] = held
                task_status.started(True)
                await held.wanted_back.wait()
        except AetherFlowError as error:
            if taken:
                self.failure = error
                self._tasks.cancel_scope.cancel()  # nothing may continue that believes to hold it
            elif isinstance(error, LockNotAcquired):
                task_status.started(False)
            else:
                raise
        finally:
            held.given_back.set()
