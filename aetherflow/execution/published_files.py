"""Give the files of an attempt on a worker their final names, as long as the attempt counts.

The engine renames them, not the worker: a worker that was stopped for a while, and does not know that its
attempt was given up, can change no file that another attempt has written meanwhile.
"""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from aetherflow.config.restrictions import is_under
from aetherflow.errors import StepError
from aetherflow.execution.file_messages import Published, PublishFile
from aetherflow.execution.ports import Directories
from aetherflow.sdk.publishing import is_temporary, rename
from aetherflow.sdk.removal import is_own
from aetherflow.worker_threads import WorkerThreads

file_threads = WorkerThreads("files of workers", 16)


class PublishedFiles:
    """The files that one attempt publishes."""

    def __init__(self, directories: Directories) -> None:
        self._work = Path(directories.work)
        self._allowed = None if directories.allowed is None else [self._work, *map(Path, directories.allowed)]
        self._running = 0
        self._is_closed = False
        self._is_idle = anyio.Event()

    async def publish(self, ask: PublishFile) -> Published:
        """Give a file its final name.

        Raises:
            StepError: the attempt does not count any more, or the path is not allowed.
        """
        if self._is_closed:
            raise too_late()
        self._running += 1
        try:
            # A call that has begun ends before `close` returns: no other attempt begins before that.
            return await file_threads.run(self._publish, ask)
        finally:
            self._running -= 1
            if not self._running:
                self._is_idle.set()

    async def close(self) -> None:
        """Rename nothing from now on, and wait for what is being renamed."""
        self._is_closed = True
        while self._running:
            self._is_idle = anyio.Event()
            await self._is_idle.wait()

    def _publish(self, ask: PublishFile) -> Published:
        temporary, final = os.fsdecode(ask.temporary), os.fsdecode(ask.final)
        self._check(Path(final))
        self._check(Path(temporary))
        if not self._is_ours(Path(temporary), Path(final), is_folder=ask.way == "folder"):
            return Published("yours")
        try:
            return Published("done" if rename(temporary, final, ask.way) else "taken")
        except OSError as error:
            return Published("refused", error.errno or 0)

    def _check(self, path: Path) -> None:
        if not path.is_absolute() or ".." in path.parts:
            raise StepError(f"a worker must not rename {path}: the path is not absolute", code="AF846")
        if self._allowed is not None and not is_under(path, self._allowed):
            raise StepError(
                f"enterprise mode does not allow the path {path}",
                hint="use one under the workspace or the bundle, or list it in the manifest: paths.allow",
                code="AF870",
            )

    def _is_ours(self, temporary: Path, final: Path, *, is_folder: bool) -> bool:
        """Whether the engine sees what an attempt has written, and it may be renamed on its behalf."""
        if is_folder:
            work = (self._work,)
            return is_under(temporary, work) and is_under(final, work) and is_own(temporary)
        same_folder = temporary.parent == final.parent
        return same_folder and is_temporary(temporary.name) and os.path.lexists(temporary)


def too_late() -> StepError:
    """Return the error of an attempt that does not count any more (AF840)."""
    return StepError(
        "the attempt was given up, and its files do not get their names any more",
        hint="the engine lost this worker for a while; another one runs the step, so there is nothing to do",
        code="AF840",
        kind="cancelled",
    )
