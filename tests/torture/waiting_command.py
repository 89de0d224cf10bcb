"""The real command, but it waits at a named point: it touches $UP, and continues when $GO exists.

Production code knows nothing of this: the functions at each point are wrapped from outside.
Arguments: POINT, then those of `aetherflow`. A point of another name is one of the flow, whose steps wait.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from aetherflow.__main__ import main
from aetherflow.cli import main as command_line
from aetherflow.cli import run as run_command
from aetherflow.execution.executor import Executor
from aetherflow.runs import claimed_run, execute_run
from aetherflow.server import server


def wait() -> None:
    """Wait, and block everything else meanwhile."""
    Path(os.environ["UP"]).touch()
    while not Path(os.environ["GO"]).exists():
        time.sleep(0.01)


async def wait_on_loop() -> None:
    """Wait while the event loop runs."""
    await anyio.Path(os.environ["UP"]).touch()
    while not await anyio.Path(os.environ["GO"]).exists():  # noqa: ASYNC110 - another process makes it
        await anyio.sleep(0.01)


def waits_before(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function: it waits first."""

    def waiting(*given: Any, **named: Any) -> Any:
        wait()
        return function(*given, **named)

    return waiting


def waits_on_loop_before(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Wrap a coroutine function: it waits first, while the loop runs."""

    async def waiting(*given: Any, **named: Any) -> Any:
        await wait_on_loop()
        return await function(*given, **named)

    return waiting


def arm(point: str) -> None:
    """Let this process wait at a point."""
    blocking: dict[str, tuple[Any, str]] = {
        "arguments": (command_line, "run_command_line"),
        "load": (run_command, "load_checked_flow"),
        "schedules": (server, "load_schedules"),
        "claimed": (execute_run, "start_run"),
        "report": (run_command, "print_lost_output"),
    }
    on_loop: dict[str, tuple[Any, str]] = {
        "claim": (claimed_run, "claim_run"),
        "start": (Executor, "run"),
        "end": (execute_run, "_clean_up"),
    }
    if point in blocking:
        owner, name = blocking[point]
        setattr(owner, name, waits_before(getattr(owner, name)))
    elif point in on_loop:
        owner, name = on_loop[point]
        setattr(owner, name, waits_on_loop_before(getattr(owner, name)))
    elif point == "loop":
        run = anyio.run
        anyio.run = lambda function, *given: run(waits_on_loop_before(function), *given)


if __name__ == "__main__":
    arm(sys.argv.pop(1))
    main()
