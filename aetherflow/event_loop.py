"""The event loop of a command: plugin code can neither end it nor cancel the tasks of the engine.

In asyncio a task that raises SystemExit or KeyboardInterrupt ends the loop, any code may stop it, and any
task may cancel every other. Here the loop continues until its main function has ended. Signals are no concern
of it: commands receive them otherwise.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, Literal, TypeVar

import anyio

from aetherflow.plugin_errors import named
from aetherflow.plugin_output import Target, print_outside, target_in

T = TypeVar("T")

CLOSE_SECONDS = 5.0
"""How long tasks and threads that plugin code has left may take to end when the main function has."""


class _LeftBehindError(Exception):
    """Tasks or threads that plugin code has left did not end."""


def run_loop(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run a coroutine function in an event loop that plugin code cannot end or keep; return its result."""
    result: list[T] = []
    failure: list[BaseException] = []

    async def main() -> None:
        try:
            result.append(await function(*args))
        except BaseException as error:
            failure.append(error)
            raise

    try:
        anyio.run(main, backend_options={"loop_factory": _GuardedLoop})
    except _LeftBehindError as left:
        print_outside(f"{left}, which ends without it")
    if failure:
        raise failure[0]
    return result[0]


def protect_task(of: Literal["engine", "step"]) -> None:
    """Let no code of a step cancel the calling task; one `of` a step can be cancelled by that step."""
    if (task := _current(asyncio.get_running_loop())) is not None:
        task.protected_of = of


@contextmanager
def starting_protected() -> Iterator[None]:
    """Protect what is started in the block, as tasks of a step, before it runs; nothing in it may wait."""
    if (task := _current(asyncio.get_running_loop())) is None:
        yield
        return
    before, task.protected_of = task.protected_of, "engine"
    try:
        yield
    finally:
        task.protected_of = before


class _GuardedTask(asyncio.Task[Any]):
    """A task that code of a step can cancel only if it may.

    It may cancel the tasks of its own step, and those that the code of other steps has started, as a library
    may share them. It may not cancel what has no step, nor what is protected.
    """

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        **more: Any,
    ) -> None:
        creator = _current(loop)
        # What the engine starts for a step is protected even before it runs and can call `protect_task`.
        by_engine = creator is not None and creator.protected_of == "engine"
        self.protected_of: Literal["engine", "step", ""] = "step" if by_engine else ""
        self._own_context = context
        super().__init__(coro, loop=loop, context=context, **more)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the task, unless the code of a step calls this that may not; return whether it was."""
        canceller, own = _step(target_in(None)), _step(target_in(self._own_context))
        is_of_engine = own is None or self.protected_of == "engine"
        is_of_another = canceller is not own and self.protected_of == "step"
        is_refused = canceller is not None and (is_of_engine or is_of_another)
        # A scope of the engine that was cancelled may be delivered by the step that leaves its shield first.
        return False if is_refused and not _is_called_by_anyio(2) else super().cancel(msg)


def _current(loop: asyncio.AbstractEventLoop) -> _GuardedTask | None:
    task = asyncio.current_task(loop)
    return task if isinstance(task, _GuardedTask) else None


def _is_called_by_anyio(depth: int) -> bool:
    module: str = sys._getframe(depth).f_globals.get("__name__", "")  # noqa: SLF001 - the only way to one's caller
    return module.partition(".")[0] == anyio.__name__


def _step(target: Target | None) -> object:
    return None if target is None else target.step


class _GuardedLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.set_task_factory(_make_task)
        self._is_closing = False

    def run_until_complete(self, future: Any) -> Any:
        """Run until a future is done, whatever plugin code does to the loop; return its result.

        Raises:
            _LeftBehindError: the main function has ended, and what closes the loop waits for code of a step.
        """
        main = asyncio.ensure_future(future, loop=self)
        timer = self.call_later(CLOSE_SECONDS, self.stop) if self._is_closing else None
        try:
            while True:
                try:
                    return super().run_until_complete(main)
                except (SystemExit, KeyboardInterrupt) as error:
                    if main.done():
                        return main.result()
                    # If a task raised it, who waits for the task gets it too.
                    print_outside(f"code on the event loop raised {named(error)}; the loop continues")
                except RuntimeError:
                    if main.done() or self.is_closed() or self.is_running():
                        raise
                    if timer is not None and timer.when() <= self.time():
                        raise self._left_behind() from None
                    print_outside("code on the event loop stopped it; the loop continues")
        finally:
            self._is_closing = True  # whatever runs after the main function closes the loop
            if timer is not None:
                timer.cancel()

    def _left_behind(self) -> _LeftBehindError:
        # Dropped, a task would print a warning, and the one that joins threads would wait for them after all.
        _left.extend(asyncio.all_tasks(self))
        return _LeftBehindError(f"code of a step did not end within {CLOSE_SECONDS:g} s after the command")


_left: list[asyncio.Task[Any]] = []


def _make_task(
    loop: asyncio.AbstractEventLoop, coro: Any, *, context: Context | None = None, **more: Any
) -> asyncio.Task[Any]:
    return _GuardedTask(coro, loop=loop, context=context or copy_context(), **more)
