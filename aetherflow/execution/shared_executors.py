"""Open executors that the runs of one process share: connected once, and left by the last of them.

Each lives in a task of its own, as what opens it must also close it, whatever run comes first and last. A
command executes one run; a server wraps its life in `keep_executors_open`, and there a cluster that no run
uses is kept for a while, as the next run is probably near.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.abc
from anyio.lowlevel import RunVar

from aetherflow.errors import AetherFlowError, ExecutorError
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.step_failure import described
from aetherflow.task_errors import one_error

if TYPE_CHECKING:
    from aetherflow.sdk.executor import OpenExecutor

KEPT_SECONDS = 300.0
"""How long a server keeps an executor open that no run uses."""

CLOSE_SECONDS = 30.0
"""How long to wait for an executor to close; then it is cancelled."""

Log = Callable[[str, str], None]
"""Shows a line, given as its level and its text."""
Opening = Callable[[Log], AbstractAsyncContextManager["OpenExecutor"]]


class _Entry:
    """One executor: its users, and the task that opens and closes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.logs: dict[object, Log] = {}
        self.opened: OpenExecutor | None = None
        self.error: AetherFlowError | None = None
        self.scope = anyio.CancelScope(shield=True)  # a run that is cancelled ends its attempts in order
        self.settled = anyio.Event()
        self.closing = anyio.Event()
        self.closed = anyio.Event()
        self.uses = 0

    def log(self, level: str, text: str) -> None:
        """Show a line of the executor to all runs that use it."""
        for log in list(self.logs.values()):
            log(level, text)


class SharedExecutors:
    """Open executors by what they were opened with, for one event loop."""

    def __init__(self, tasks: anyio.abc.TaskGroup, kept_seconds: float) -> None:
        """Open executors in tasks of this group; keep one for so long that nobody uses."""
        self._tasks = tasks
        self._kept_seconds = kept_seconds
        self._entries: dict[Hashable, _Entry] = {}

    @asynccontextmanager
    async def use(self, key: Hashable, name: str, opening: Opening, log: Log) -> AsyncIterator[OpenExecutor]:
        """Give an open executor for a block; the first user opens it.

        Args:
            key: the same for what is opened in the same way.
            name: how messages call it.
            opening: opens it.
            log: shows a line about it to this user.

        Raises:
            ConfigError: it cannot be used with its options.
            ExecutorError: its workers cannot be reached.
        """
        entry = self._entries.get(key)
        if entry is None or entry.closing.is_set() or entry.scope.cancel_called or entry.closed.is_set():
            entry = self._entries[key] = _Entry(name)
            self._tasks.start_soon(self._host, key, entry, opening)
        user = object()
        entry.logs[user] = log
        entry.uses += 1
        try:
            await entry.settled.wait()
            if entry.opened is None:
                raise entry.error or ExecutorError(f"the executor {name!r} was closed while it was opened")
            yield entry.opened
        finally:
            del entry.logs[user]
            if not entry.logs:
                await self._let_go(entry)

    async def close(self) -> None:
        """Close all executors, at the same time."""
        entries = list(self._entries.values())
        for entry in entries:
            entry.closing.set()
        for entry in entries:
            await _close(entry)

    async def _let_go(self, entry: _Entry) -> None:
        """Close an executor that nobody uses any more, or keep it for a while."""
        if entry.opened is not None and self._kept_seconds and not entry.closed.is_set():
            self._tasks.start_soon(self._close_later, entry, entry.uses)
        else:
            await _close(entry)

    async def _close_later(self, entry: _Entry, uses: int) -> None:
        with anyio.move_on_after(self._kept_seconds):
            await entry.closed.wait()
        if entry.uses == uses and not entry.logs:
            await _close(entry)

    async def _host(self, key: Hashable, entry: _Entry, opening: Opening) -> None:
        """Open an executor, and close it when it is asked for."""
        try:
            with entry.scope:
                async with opening(entry.log) as opened:
                    entry.opened = opened
                    entry.settled.set()
                    await entry.closing.wait()
        except BaseException as error:  # a plugin may raise anything; the runs that use it report it
            if is_our_cancellation(error):
                raise
            entry.error = _error_of(entry, error)
            if entry.settled.is_set():
                entry.log("error", f"the executor {entry.name!r} has ended: {described(error)}")
        finally:
            if self._entries.get(key) is entry:
                del self._entries[key]
            entry.settled.set()
            entry.closed.set()


async def _close(entry: _Entry) -> None:
    """Close an executor in order, shielded; cancel it if that takes too long, or if it is not open yet."""
    entry.closing.set()
    if entry.opened is not None:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await entry.closed.wait()
    if not entry.closed.is_set():
        entry.scope.cancel()
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await entry.closed.wait()


def _error_of(entry: _Entry, error: BaseException) -> AetherFlowError:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, AetherFlowError):
        return error
    return ExecutorError(f"the executor {entry.name!r} cannot be opened: {described(error)}")


_kept: RunVar[SharedExecutors | None] = RunVar("shared_executors")


@asynccontextmanager
async def keep_executors_open(kept_seconds: float = KEPT_SECONDS) -> AsyncIterator[None]:
    """Let the runs of this event loop share their executors in a block; at its end they are closed."""
    async with _executors(kept_seconds) as shared:
        _kept.set(shared)
        try:
            yield
        finally:
            _kept.set(None)


@asynccontextmanager
async def executors_in_use() -> AsyncIterator[SharedExecutors]:
    """Give the executors that are kept open in this event loop, else some that end with the block."""
    if (shared := _kept.get(None)) is not None:
        yield shared
        return
    async with _executors(0) as own:
        yield own


@asynccontextmanager
async def _executors(kept_seconds: float) -> AsyncIterator[SharedExecutors]:
    async with one_error() as tasks:
        shared = SharedExecutors(tasks, kept_seconds)
        try:
            yield shared
        finally:
            await shared.close()
            tasks.cancel_scope.cancel()
