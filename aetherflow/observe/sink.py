"""Call the functions with which observers write, in one thread per target, even if a target stalls.

A target is a stream, a terminal or the hooks of a user. Every write to it goes through `Sink.call`, from any
number of runs. A sink imports nothing of the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVarTuple
from weakref import WeakValueDictionary

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import RunVar

from aetherflow.plugin_errors import named

Args = TypeVarTuple("Args")


class Sink:
    """Calls functions that may block: in a worker thread, one at a time, in the order of the calls.

    A caller waits for its turn on the event loop. A caller that is cancelled leaves its function running, and
    the next turn begins when that has ended. So a reader that stalls holds one thread, not one for each run
    that ended meanwhile. The thread is no one of those that steps and connectors share.
    """

    def __init__(self) -> None:
        self._turn = anyio.Lock()
        self._ended: anyio.Event | None = None
        self._threads = anyio.CapacityLimiter(1)

    async def call(self, function: Callable[[*Args], object], *args: *Args) -> None:
        """Call a function in the sink's thread, and pass on what it raises."""
        async with self._turn:
            if self._ended is not None:
                await self._ended.wait()
            ended = self._ended = anyio.Event()
            # Taken by the thread when it begins, or by a cancelled caller whose thread has not begun.
            beginning = threading.Lock()

            def work() -> None:
                if beginning.acquire(blocking=False):
                    try:
                        function(*args)
                    except GeneratorExit as error:  # a future that raises it closes the coroutine that waits
                        raise RuntimeError(named(error)) from error
                    finally:
                        anyio.from_thread.run_sync(ended.set)

            try:
                await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)
            finally:
                if beginning.acquire(blocking=False):
                    ended.set()


_Sinks = WeakValueDictionary[int, Sink]
_sinks: RunVar[_Sinks] = RunVar("aetherflow_shared_sinks")
"""The sinks of the objects that runs call now: a hook that hangs holds one thread, not one for each run."""


def shared_sink(target: object) -> Sink:
    """Return the sink of an object that several runs call; as long as one of them has it, it is the same."""
    sinks: _Sinks = _sinks.get(WeakValueDictionary())
    _sinks.set(sinks)
    return sinks.setdefault(id(target), Sink())
