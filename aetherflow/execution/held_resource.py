"""What a task holds for the steps of others: the lock of a job (`flow.locks.scope: job`), slots of a pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import msgspec

from aetherflow.errors import AetherFlowError, ErrorInfo, FailureCause
from aetherflow.execution.attempt import AttemptOutcome


def job_lock_key(flow_id: str, job_id: str) -> str:
    """Return the name of the lock that a job takes."""
    return f"job:{flow_id}/{job_id}"


class HeldResource:
    """A lock, or slots, that one task holds for the work of others.

    The lock of a job is held for all its steps: nobody slips in between two of them.

    Attributes:
        error: why it is not held: somebody else has it, or it was lost.
        is_over: whether it was given back, or nobody wants it any more.
    """

    def __init__(self, cause: FailureCause = "") -> None:
        """Hold nothing yet; `cause` marks the error if it cannot be held."""
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
        """Hold it until `give_back`; cancel what works under it if it is lost."""
        try:
            with self._acquiring:
                async with held:
                    self._is_held = True
                    self._settled.set()
                    await self._over.wait()
        except AetherFlowError as error:
            self.fail(msgspec.structs.replace(error.info(), cause=self._cause))

    def fail(self, error: ErrorInfo) -> None:
        """Say why it is not held, or not any more; what works under it is cancelled."""
        self.error = error
        self._settled.set()
        for work in self._works:
            work.cancel()

    def refuse(self, error: ErrorInfo) -> None:
        """Do without it for good: what works under it is cancelled, nobody asks again."""
        self._is_refused = True
        self.fail(error)
        if not self._is_held:
            self.give_back()

    @property
    def is_lost(self) -> bool:
        """Whether asking again would come too late: it was held and was lost, or it was done without."""
        return self.error is not None and (self._is_held or self._is_refused)

    def give_back(self) -> None:
        """End the holding, or the wait for it."""
        self.is_over = True
        self._over.set()
        if not self._is_held:
            self._acquiring.cancel()

    @property
    def is_settled(self) -> bool:
        """Whether it is held, or it is known why not."""
        return self._settled.is_set()

    async def settled(self) -> None:
        """Wait until it is held, or it is known why not."""
        await self._settled.wait()

    async def work(self, attempt: Callable[[], Awaitable[AttemptOutcome]]) -> AttemptOutcome:
        """Run an attempt of a step once it is held; without it the attempt does not begin."""
        await self.settled()
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
