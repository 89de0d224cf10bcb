"""A lock or slots that one task holds while other tasks run steps under it.

Used for the lock of a job (`flow.locks.scope: job`) and for the slots of a pool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import msgspec

from aetherflow.errors import AetherFlowError, ErrorInfo, FailureCause
from aetherflow.execution.attempt import AttemptOutcome


class HeldResource:
    """A lock, or slots of a pool, that one task holds while other tasks run steps under it.

    The lock of a job is held from its first to its last step, so no other run gets it in between.

    Attributes:
        error: why it is not held: another run has it, or it was lost.
        is_over: whether it was released or is no longer needed.
    """

    def __init__(self, cause: FailureCause = "") -> None:
        """Prepare to hold a resource; `cause` is stored in the error if it cannot be held."""
        self._cause = cause
        self.error: ErrorInfo | None = None
        self.is_over = False
        self._is_held = False
        self._is_refused = False
        self._settled = anyio.Event()
        self._acquiring = anyio.CancelScope()
        self._over = anyio.Event()
        self._works: set[anyio.CancelScope] = set()

    async def hold(self, held: AbstractAsyncContextManager[None]) -> None:
        """Hold the resource until `give_back`; if it is lost, cancel the steps that run under it."""
        try:
            with self._acquiring:
                async with held:
                    self._is_held = True
                    self._settled.set()
                    await self._over.wait()
        except AetherFlowError as error:
            self.fail(msgspec.structs.replace(error.info(), cause=self._cause))

    def fail(self, error: ErrorInfo) -> None:
        """Record why it is not or no longer held, and cancel the steps that run under it."""
        self.error = error
        self._settled.set()
        for work in self._works:
            work.cancel()

    def refuse(self, error: ErrorInfo) -> None:
        """Give up the resource: cancel the steps that run under it, and never request it again."""
        self._is_refused = True
        self.fail(error)
        if not self._is_held:
            self.give_back()

    @property
    def is_lost(self) -> bool:
        """Whether it must not be requested again: it was held and lost, or it was refused."""
        return self.error is not None and (self._is_held or self._is_refused)

    def give_back(self) -> None:
        """Release the resource, or stop waiting for it."""
        self.is_over = True
        self._over.set()
        if not self._is_held:
            self._acquiring.cancel()

    @property
    def is_settled(self) -> bool:
        """Whether it is held, or it is known why not."""
        return self._settled.is_set()

    async def wait_until_settled(self) -> None:
        """Wait until it is held, or it is known why not."""
        await self._settled.wait()

    async def work(
        self, attempt: Callable[[], Awaitable[AttemptOutcome]], *, at_once: bool = False
    ) -> AttemptOutcome:
        """Run an attempt of a step once the resource is held; if it cannot be held, return its error.

        With `at_once` it does not wait for the resource: the attempt runs already, on a worker.
        """
        if not at_once:
            await self.wait_until_settled()
        if self.error is not None:
            return AttemptOutcome(error=self.error)
        outcome: AttemptOutcome | None = None
        with anyio.CancelScope() as scope:
            self._works.add(scope)
            try:
                outcome = await attempt()
            finally:
                self._works.discard(scope)
        if outcome is None or (scope.cancel_called and outcome.result is None):
            return AttemptOutcome(error=self.error)
        return outcome
