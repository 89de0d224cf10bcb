"""A placement whose workers are the test itself: it says when an attempt begins and how it ends."""

from __future__ import annotations

import anyio

from aetherflow.execution.ports import StepCall
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import StepResult


class FarAttempt:
    """An attempt that was given to a worker.

    Attributes:
        begins: set it, and the worker `w1` on the host `far` begins the attempt.
        ends: set it, and the attempt ends with `end`.
        begun: it has begun.
        is_refused: it ends when it would begin, and no worker begins it.
        was_cancelled: the engine asked it to stop.
    """

    def __init__(self, call: StepCall, context: StepContext) -> None:
        self.call = call
        self.context = context
        self.begins = anyio.Event()
        self.begun = anyio.Event()
        self.is_refused = False
        self.ends = anyio.Event()
        self.end: StepResult | Exception = StepResult()
        self.was_cancelled = False


class WorkerDouble:
    """Runs no step: an attempt begins and ends when the test says so.

    Attributes:
        attempts: in the order in which they were given to the workers.
        is_left: whether the run was left to the next process.
        stored_keys: the attempts whose end is durable.
        at_cancel: what a cancelled attempt raises instead of ending.
    """

    def __init__(self) -> None:
        self.attempts: list[FarAttempt] = []
        self.is_left = False
        self.stored_keys: list[str] = []
        self.at_cancel: Exception | None = None
        self._taken = 0
        self._changed = anyio.Event()

    async def perform(self, call: StepCall, context: StepContext) -> StepResult:
        """Wait until the test says how the attempt ends."""
        attempt = FarAttempt(call, context)
        self.attempts.append(attempt)
        self._changed.set()
        try:
            await attempt.begins.wait()
            if not attempt.is_refused:
                context.on_placed("w1", "far")
            attempt.begun.set()
            await attempt.ends.wait()
        except anyio.get_cancelled_exc_class():
            attempt.was_cancelled = True
            if self.at_cancel is not None:
                raise self.at_cancel from None
            raise
        if isinstance(attempt.end, Exception):
            raise attempt.end
        return attempt.end

    async def given(self) -> FarAttempt:
        """Return the next attempt, when it was given to the workers."""
        with anyio.fail_after(30):
            while len(self.attempts) == self._taken:
                self._changed = anyio.Event()
                await self._changed.wait()
        self._taken += 1
        return self.attempts[self._taken - 1]

    def stored(self, key: str) -> None:
        """Note that the end of an attempt is durable."""
        self.stored_keys.append(key)

    def leave(self) -> None:
        """Note that attempts are left to the next process."""
        self.is_left = True
