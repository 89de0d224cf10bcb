"""Run blocking calls in worker threads: request a stop, interrupt them, abandon those that do not end.

It needs only an event loop (anyio), not a run. Connectors call `run_blocking`; steps use their context.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from aetherflow.errors import StepError
from aetherflow.event_loop import starting_protected
from aetherflow.plugin_errors import text_of
from aetherflow.sdk.step_failure import plugin_errors_contained
from aetherflow.worker_threads import WorkerThreads

T = TypeVar("T")
Args = TypeVarTuple("Args")

THREAD_STOP_SECONDS = 15.0
"""How long a cancelled step waits for its worker thread to end before it abandons the thread."""

INTERRUPT_AGAIN_SECONDS = 0.1
"""How often a call that does not end is interrupted again."""

CONNECTOR_THREADS = 16
"""How many blocking calls of all connectors run at once; calls of steps and logs have their own threads."""

_threads = WorkerThreads("connectors", CONNECTOR_THREADS)


async def run_blocking(
    function: Callable[[*Args], T], *args: *Args, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Call a blocking function of a connector in a worker thread; a step uses its context instead.

    A cancellation does not wait for the function: its thread is abandoned, and its result is lost.

    Args:
        function: the function to call.
        args: its arguments.
        limiter: limits how many such calls run at once; by default all connectors share CONNECTOR_THREADS.

    Raises:
        StepError: it is a coroutine function (AF754), or it raised what is no `Exception`.
    """
    refuse_coroutine_function(function)
    function = plugin_errors_contained()(function)
    if limiter is None:
        return await _threads.run(function, *args, abandon_on_cancel=True)
    return await anyio.to_thread.run_sync(function, *args, abandon_on_cancel=True, limiter=limiter)


def refuse_coroutine_function(function: Callable[..., object]) -> None:
    """Refuse a coroutine function where a thread would only make its coroutine and never run it.

    Raises:
        StepError: it is one (AF754).
    """
    if inspect.iscoroutinefunction(function):
        name = getattr(function, "__name__", "it")
        raise StepError(
            f"{name} is a coroutine function, and a thread cannot run it",
            hint=f"await it instead: await {name}(...)",
            code="AF754",
        )


class StopSwitch:
    """Lets one thread interrupt a blocking call of another; pass it as `interrupt` to `run_interruptible`.

    In most libraries an interrupt before the call has no effect, so a cancelled step calls the switch
    repeatedly until its thread has ended.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interrupt: Callable[[], object] | None = None

    @contextmanager
    def armed(self, interrupt: Callable[[], object] | None) -> Iterator[None]:
        """Let the switch call `interrupt` while the block runs; close the connection only after the block.

        Some libraries crash when a connection is interrupted while it closes; the lock prevents that.
        """
        with self._lock:
            self._interrupt = interrupt
        try:
            yield
        finally:
            with self._lock:
                self._interrupt = None

    def __call__(self) -> None:
        """Interrupt the call that runs now, if the switch is armed."""
        with self._lock:
            if self._interrupt is not None:
                self._interrupt()


class ThreadCall:
    """One blocking call of a step: whether it must stop, and its pending calls on the event loop."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._waiting: set[anyio.CancelScope] = set()
        self._loop = anyio.lowlevel.current_token()

    def request_stop(self) -> None:
        """Request the function to stop, and cancel its calls on the event loop; call it on the event loop."""
        self.stop.set()
        for waiting in self._waiting:
            waiting.cancel()

    def run_async(self, function: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
        """Call a coroutine function on the event loop, from the thread.

        Raises:
            StepError: the step must stop (kind "cancelled").
        """
        return anyio.from_thread.run(self._cancellable, function, args, token=self._loop)

    async def _cancellable(self, function: Callable[[*Args], Awaitable[T]], args: tuple[*Args]) -> T:
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                with plugin_errors_contained():
                    return await function(*args)
            finally:
                self._waiting.discard(scope)
        raise stopped()


current_call: ContextVar[ThreadCall | None] = ContextVar("current_call", default=None)
"""The blocking call that the current thread executes."""


def stopped() -> StepError:
    """Return the error of a sync step that stops on request."""
    return StepError("stopped on request", kind="cancelled", code="AF702")


async def call_in_thread(
    function: Callable[[*Args], T],
    args: tuple[*Args],
    call: ThreadCall,
    *,
    interrupt: Callable[[], object] | None,
    warn: Callable[[str], None],
) -> T:
    """Run a blocking function in its own thread and return its result.

    What it raises is contained in the thread: a `GeneratorExit` that a future passes on would close the
    coroutines that wait for it.

    A cancellation requests a stop and calls `interrupt` repeatedly. It propagates when the function has
    ended, or after THREAD_STOP_SECONDS; then the thread is abandoned with a warning.
    """
    done = anyio.Event()
    outcome: list[T] = []
    failure: list[Exception] = []
    scope = anyio.CancelScope(shield=True)

    async def run() -> None:
        current_call.set(call)  # the thread inherits the context of this task
        try:
            with scope:
                limiter = anyio.CapacityLimiter(1)  # the caller holds the shared limiter already
                contained = plugin_errors_contained()(function)
                outcome.append(
                    await anyio.to_thread.run_sync(contained, *args, abandon_on_cancel=True, limiter=limiter)
                )
        except Exception as error:  # noqa: BLE001 - raised in the caller's task, below
            failure.append(error)
        finally:
            done.set()

    async with anyio.create_task_group() as tasks:
        with starting_protected():
            tasks.start_soon(run)
        try:
            await done.wait()
        except anyio.get_cancelled_exc_class():
            call.request_stop()
            with anyio.move_on_after(THREAD_STOP_SECONDS, shield=True):
                if interrupt is not None:
                    await _interrupt_until(done, interrupt, warn)
                await done.wait()
            if not done.is_set():
                waited = f"{THREAD_STOP_SECONDS:g} s"
                warn(f"the step's thread did not stop within {waited} and was left behind")
                scope.cancel()
            raise
    if failure:
        raise failure[0]
    if not outcome:  # code of the same step has cancelled the task
        raise anyio.get_cancelled_exc_class()
    return outcome[0]


async def _interrupt_until(
    done: anyio.Event, interrupt: Callable[[], object], warn: Callable[[str], None]
) -> None:
    """Interrupt repeatedly until the call has ended; report a failing interrupt once."""
    limiter, is_reported = anyio.CapacityLimiter(1), False
    while not done.is_set():
        try:
            contained = plugin_errors_contained()(interrupt)
            await anyio.to_thread.run_sync(contained, abandon_on_cancel=True, limiter=limiter)
        except Exception as error:  # noqa: BLE001 - reported; the next try may work, or the thread end by itself
            if not is_reported:
                warn(f"the call could not be interrupted: {text_of(error)}")
            is_reported = True
        with anyio.move_on_after(INTERRUPT_AGAIN_SECONDS):
            await done.wait()


def on_loop() -> bool:
    """Whether this thread runs an event loop."""
    try:
        anyio.lowlevel.current_token()
    except anyio.NoEventLoopError:
        return False
    return True
