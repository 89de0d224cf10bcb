"""Worker threads by purpose, so that one kind of blocking work never waits for another kind to end.

Without this, all of it would share the 40 threads that anyio allows by default: a hanging vault, or observers
whose reader has stalled, would stop the ending of processes.
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
        """Call a blocking function in a thread and return what it returned.

        A cancellation waits for a call that has begun; with `abandon_on_cancel` it leaves the thread behind:
        that thread ends later and does not count against the size.
        """
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._size)
            self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(
            function, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter
        )
