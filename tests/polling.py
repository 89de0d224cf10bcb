"""Wait, with a deadline, for what no event reports: another process, a file, a row."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

POLL_SECONDS = 0.01
SHARE = 0.2
"""Of the time at most that a look may take: one that asks a server, or all processes, is taken less often."""
MOST_SECONDS = 0.1
"""Between two looks."""
DEADLINE_SECONDS = 60.0
"""Far more than anything needs on a quiet machine; a test that waits so long fails."""


def wait_until(
    condition: Callable[[], bool], what: str = "it never came", seconds: float = DEADLINE_SECONDS
) -> None:
    """Return when the condition holds; fail when it does not in time."""
    looked = time.monotonic()
    deadline = looked + seconds
    while not condition():
        now = time.monotonic()
        assert now < deadline, f"waited {seconds:g} s: {what}"
        time.sleep(min(max(POLL_SECONDS, (now - looked) / SHARE), MOST_SECONDS))
        looked = time.monotonic()


async def eventually(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> bool:
    """Return whether the condition came to hold in time; other tasks run meanwhile."""
    with anyio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - nothing in this process could set an event
            await anyio.sleep(POLL_SECONDS)
    return condition()
