"""Write the log files of an attempt on a worker: what its programs print arrives while they run."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import CHUNK_BYTES, OpenLog, WriteLog
from aetherflow.execution.published_files import file_threads
from aetherflow.file_access import FileAccess, make_folder, opener
from aetherflow.spec.read_file import refuse_named_pipe


class WorkerLogs:
    """The log files of one attempt of one step, and of the steps in it.

    Args:
        folder: where the logs of the job are.
        step_id: the step.
        attempt: its attempt.
        access: who may read them.
    """

    def __init__(self, folder: Path, step_id: str, attempt: int, access: FileAccess) -> None:
        self._folder = folder
        self._names = re.compile(rf"{re.escape(step_id)}(\.[^/\0]+)?\.{attempt}\.log")
        self._access = access

    async def open(self, ask: OpenLog) -> int:
        """Return at which offset a worker begins to write a log file: behind what is there.

        Raises:
            StepError: it is no log file of this attempt, or cannot be written.
        """
        return await file_threads.run(self._open, ask.name)

    async def write(self, ask: WriteLog) -> None:
        """Write a piece at its offset.

        Raises:
            StepError: it is no log file of this attempt, leaves a gap, or cannot be written.
        """
        await file_threads.run(self._write, ask)

    def _open(self, name: str) -> int:
        path = self._path(name)
        try:
            if path.exists():
                refuse_named_pipe(path)
            make_folder(path.parent, self._access)
            file = opener(self._access)(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                size = os.fstat(file).st_size
                if size and os.pread(file, 1, size - 1) != b"\n":
                    size += os.pwrite(file, b"\n", size)
            finally:
                os.close(file)
        except OSError as error:
            raise _cannot_write(path, error) from None
        return size

    def _write(self, ask: WriteLog) -> None:
        path = self._path(ask.name)
        if len(ask.data) > CHUNK_BYTES:
            raise _not_this(ask.name, f"it sends {len(ask.data):,} bytes at once")
        try:
            file = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                if not 0 <= ask.offset <= os.fstat(file).st_size:
                    raise _not_this(ask.name, "a part before it is missing")
                rest, offset = memoryview(ask.data), ask.offset
                while rest:
                    written = os.pwrite(file, rest, offset)
                    rest, offset = rest[written:], offset + written
            finally:
                os.close(file)
        except OSError as error:
            raise _cannot_write(path, error) from None

    def _path(self, name: str) -> Path:
        if not self._names.fullmatch(name):
            raise _not_this(name, "it is none of this attempt")
        return self._folder / name


def _not_this(name: str, why: str) -> StepError:
    return StepError(
        f"a worker cannot write the log file {name!r}: {why}",
        hint="the worker runs another version of AetherFlow, or is not what it seems: restart it",
        code="AF846",
    )


def _cannot_write(path: Path, error: OSError) -> StepError:
    return StepError(
        f"cannot write {path}: {error.strerror or error}",
        hint="make room, or correct the permissions",
        code="AF735",
    )
