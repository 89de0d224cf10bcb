"""Make blocking calls of many tasks in few worker threads: those that wait at the same time share a thread.

For small files, going to a thread and back costs more than the call itself. Where the calls are slow, as on a
mount of another machine, each has a thread again: they wait at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from aetherflow.worker_threads import WorkerThreads

T = TypeVar("T")

QUICK_SECONDS = 0.001
"""Calls that take longer each do not share a thread."""

MUST_END_SECONDS = 30.0
"""How long a task that is cancelled waits for its call, which shares a thread and must end."""


class SharedCalls(Generic[T]):
    """Calls of one kind.

    One of the tasks that wait leads: it goes to a thread for all of them. If it is cancelled, another one
    leads.

    Args:
        threads: where the calls are made.
        must_end: whether a task that is cancelled waits for its call if that has begun. Else it abandons the
            call, and one that shares its thread may be made twice: that suits reading.
    """

    def __init__(self, threads: WorkerThreads, *, must_end: bool = False) -> None:
        self._threads = threads
        self._must_end = must_end
        self._waiting: list[_Call[T]] = []
        self._is_led = False
        self._are_slow = False

    async def run(self, function: Callable[[], T]) -> T:
        """Make a call in a thread, and return its result, or raise its error."""
        call = _Call(function)
        if self._are_slow:
            await self._make([call])
            return call.result()
        self._waiting.append(call)
        try:
            while not call.is_made:
                if self._is_led:
                    call.woken = anyio.Event()
                    await call.woken.wait()
                else:
                    await self._lead()
        except BaseException:
            if self._must_end:
                await self._end(call)
            if call in self._waiting:
                self._waiting.remove(call)
            self._wake_next()
            raise
        return call.result()

    async def _lead(self) -> None:
        """Make the calls that wait."""
        self._is_led = True
        calls: list[_Call[T]] = []
        try:
            await checkpoint()  # more calls may come in this turn of the loop
            calls, self._waiting = self._waiting, []
            await self._make(calls)
        except BaseException:
            self._waiting = [*(one for one in calls if not one.is_made), *self._waiting]
            raise
        finally:
            self._is_led = False
            for one in calls:
                one.wake()
            self._wake_next()

    async def _make(self, calls: list[_Call[T]]) -> None:
        took = await self._threads.run(_make, calls, abandon_on_cancel=not self._must_end)
        self._are_slow = took > QUICK_SECONDS * len(calls)

    async def _end(self, call: _Call[T]) -> None:
        """Wait until a call that has begun was made, also in a task that is cancelled."""
        with anyio.move_on_after(MUST_END_SECONDS, shield=True):
            while not call.is_made and call not in self._waiting:
                call.woken = anyio.Event()
                await call.woken.wait()

    def _wake_next(self) -> None:
        if self._waiting and not self._is_led:
            self._waiting[0].wake()


class _Call(Generic[T]):
    """A call that waits, and what became of it.

    Attributes:
        is_made: whether it was made.
        woken: set when it was made, or when its task should lead; None if its task does not wait.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._results: list[T] = []
        self._error: Exception | None = None
        self.is_made = False
        self.woken: anyio.Event | None = None

    def wake(self) -> None:
        """Wake its task, if that waits."""
        if self.woken is not None:
            self.woken.set()

    def make(self) -> None:
        """Make it; blocking."""
        try:
            self._results = [self._function()]
        except Exception as error:  # noqa: BLE001 - it is raised where the result is wanted
            self._error = error
        self.is_made = True

    def result(self) -> T:
        """Return its result, or raise its error."""
        if self._error is not None:
            raise self._error
        return self._results[0]


def _make(calls: list[_Call[T]]) -> float:
    """Make calls; return how many seconds they took."""
    began = time.perf_counter()
    for call in calls:
        call.make()
    return time.perf_counter() - began
