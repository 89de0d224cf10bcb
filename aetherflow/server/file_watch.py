"""Notice changed files by size, times and inode, read in a worker thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aetherflow.clock import Clock
from aetherflow.schedule.item import Signature
from aetherflow.worker_threads import WorkerThreads
from aetherflow.working_directory import absolute

_threads = WorkerThreads("watching files", 2)

POLL_SECONDS = 1.0
"""How often the files are checked. A change is reported when two checks see the same: it is complete then."""


def signature(path: Path) -> Signature:
    """Return values that change when a file is written or replaced; None if it does not exist."""
    try:
        stat = absolute(path).stat()
    except (OSError, ValueError):  # the second: no file can have that name
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def signatures(paths: Sequence[Path]) -> list[Signature]:
    """Return the signature of each file."""
    return [signature(path) for path in paths]


async def watch_files(
    paths: Sequence[Path],
    clock: Clock,
    on_change: Callable[[Path], Awaitable[None]],
    known: Sequence[Signature] | None = None,
) -> None:
    """Call `on_change` for each file that has changed, until cancelled.

    `known` are the signatures of the files when they were read; default: those of now.
    """
    known = list(known) if known is not None else await _threads.run(signatures, paths)
    seen = list(known)
    while True:
        await clock.sleep(POLL_SECONDS)
        now = await _threads.run(signatures, paths)
        for number, path in enumerate(paths):
            if now[number] != known[number] and now[number] == seen[number]:
                known[number] = now[number]
                await on_change(path)
        seen = now
