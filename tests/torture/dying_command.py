"""The real command, but it kills itself at the k-th passage of a named point.

Production code knows nothing of this: the functions around each point are wrapped from outside.
Arguments: POINT K, then those of `aetherflow`.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from aetherflow.__main__ import main
from aetherflow.events import run_events as e
from aetherflow.execution import inbox
from aetherflow.execution.bus import Bus
from aetherflow.process import run_process as process
from aetherflow.process import spawn as process_start
from aetherflow.store.database import Database

POINTS = (
    "before-commit",
    "after-commit",
    "before-spawn",
    "after-spawn",
    "before-acknowledge",
    "after-acknowledge",
)


class Counter:
    """Counts passages, and at the last one ends the process as `kill -9` does."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        """Pass."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def die_around_commit(pass_point: Callable[[], None], *, before: bool) -> None:
    """Wrap every transaction: at its end and not yet committed, or committed and nobody knows yet."""
    transact = Database.transact

    async def dying(self: Database, work: Callable[[sqlite3.Connection], Any]) -> Any:
        def work_and_pass(raw: sqlite3.Connection) -> Any:
            result = work(raw)
            if before:
                pass_point()
            return result

        result = await transact(self, work_and_pass)
        if not before:
            pass_point()
        return result

    Database.transact = dying  # type: ignore[method-assign]  # a failpoint


def die_around_spawn(pass_point: Callable[[], None], *, before: bool) -> None:
    """Wrap the start of a program: it has not begun, or it lives and the engine has not noted it."""
    start = process_start.start

    def dying(*given: Any, **named: Any) -> Any:
        if before:
            pass_point()
        result = start(*given, **named)
        if not before:
            pass_point()
        return result

    vars(process)["start"] = dying  # the name by which it calls it


def die_before_acknowledge(pass_point: Callable[[], None]) -> None:
    """Die when the work of a step has been done and its end has not been published."""
    post = inbox.Inbox.post

    def dying(self: inbox.Inbox, event: e.Event, then: Callable[[], object] | None = None) -> None:
        if isinstance(event, e.StepFinished):
            pass_point()
        post(self, event, then)

    inbox.Inbox.post = dying  # type: ignore[method-assign]  # a failpoint


def die_after_acknowledge(pass_point: Callable[[], None]) -> None:
    """Die when the end of a step is on the disk and nothing has followed from it."""
    publish = Bus.publish

    async def dying(self: Bus, events: Any) -> None:
        await publish(self, events)
        for event in events:
            if isinstance(event, e.StepFinished):
                pass_point()

    Bus.publish = dying  # type: ignore[method-assign]  # a failpoint


def arm(point: str, count: int) -> None:
    """Let this process die at the count-th passage of a point."""
    pass_point = Counter(count)
    match point:
        case "before-commit" | "after-commit":
            die_around_commit(pass_point, before=point.startswith("before"))
        case "before-spawn" | "after-spawn":
            die_around_spawn(pass_point, before=point.startswith("before"))
        case "before-acknowledge":
            die_before_acknowledge(pass_point)
        case "after-acknowledge":
            die_after_acknowledge(pass_point)
        case _:
            raise SystemExit(f"no such point: {point}")


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["aetherflow", *sys.argv[3:]]
    main()
