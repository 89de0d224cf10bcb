"""Run blocking calls in worker threads, with a limit per purpose: one kind of work never waits for another.

Without this, all calls would share the 40 threads that anyio allows by default: a hanging vault, or observers
with a stalled reader, would keep the engine from ending processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")
Args = TypeVarTuple("Args")


class WorkerThreads:
    """The threads for one purpose: at most `size` calls at once on each event loop."""

    def __init__(self, purpose: str, size: int) -> None:
        self._size = size
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar(f"threads for {purpose}")

    async def run(self, function: Callable[[*Args], T], *args: *Args, abandon_on_cancel: bool = False) -> T:
        """Call a blocking function in a thread and return its result.

        A cancellation waits for a call that has begun. With `abandon_on_cancel` it abandons the thread, which
        ends later and no longer counts against the size.
        """
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._size)
            self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(
            function, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter
        )
