"""The lock of a job that must not run in two runs at once (`flow.locks.scope: job`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio

from aetherflow.engine.step_runner import Outcome
from aetherflow.errors import AetherFlowError, ErrorInfo


def job_lock_key(flow_id: str, job_id: str) -> str:
    """Return the name of the lock that a job takes."""
    return f"job:{flow_id}/{job_id}"


class JobLock:
    """A lock that one task holds for all the steps of a job: nobody slips in between two of them.

    Attributes:
        error: why it is not held: somebody else has it, or it was lost.
    """

    def __init__(self) -> None:
        self.error: ErrorInfo | None = None
        self._settled = anyio.Event()
        self._over = anyio.Event()
        self._works: set[anyio.CancelScope] = set()

    async def hold(self, lock: AbstractAsyncContextManager[None]) -> None:
        """Hold the lock until `give_back`; cancel what works under it if it is lost."""
        try:
            async with lock:
                self._settled.set()
                await self._over.wait()
        except AetherFlowError as error:
            self.error = error.info()
            self._settled.set()
            for work in self._works:
                work.cancel()

    def give_back(self) -> None:
        """End the holding: the job has ended."""
        self._over.set()

    async def work(self, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Run an attempt of a step once the lock is held; without the lock it does not begin."""
        await self._settled.wait()
        if self.error is not None:
            return Outcome(error=self.error)
        outcome: Outcome | None = None
        with anyio.CancelScope() as scope:
            self._works.add(scope)
            try:
                outcome = await attempt()
            finally:
                self._works.discard(scope)
        if outcome is None or (scope.cancel_called and outcome.result is None):
            return Outcome(error=self.error)
        return outcome
