"""Send the log files of an attempt to the engine while they are written.

What is written waits on the disk of the worker, in files that have a limit, and one piece at a time is on its
way: a program that prints faster than the network fills no memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import CHUNK_BYTES, OpenLog, WriteLog
from aetherflow.plugin_errors import named
from aetherflow.worker.published_files import AskEngine
from aetherflow.worker_threads import WorkerThreads

LOOK_SECONDS = 0.2
"""How often to look for new output."""

_threads = WorkerThreads("logs of an attempt", 1)


class SentLogs:
    """The log files of one attempt.

    Args:
        folder: where the attempt writes them; it need not exist.
        ask: asks the engine, and blocks.
        report: shows why a log is not complete.
    """

    def __init__(self, folder: Path, ask: AskEngine, report: Callable[[str], None]) -> None:
        self._folder = folder
        self._ask = ask
        self._report = report
        self._starts: dict[str, int] = {}
        self._sent: dict[str, int] = {}
        self._failed: set[str] = set()
        self._is_readable = True
        self._sending = threading.Lock()

    async def run(self) -> None:
        """Send what is written, until this is cancelled."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            if self._has_new():
                await _threads.run(self._send, abandon_on_cancel=True)

    async def finish(self) -> None:
        """Send the rest."""
        if self._has_new():
            await _threads.run(self._send, abandon_on_cancel=True)

    def _has_new(self) -> bool:
        """Whether something is to be sent: quick, so that it may be asked on the event loop."""
        return any(size > self._sent.get(name, 0) for name, size in self._sizes())

    def _sizes(self) -> list[tuple[str, int]]:
        try:
            with os.scandir(self._folder) as found:
                return [
                    (entry.name, entry.stat().st_size)
                    for entry in found
                    if entry.is_file(follow_symlinks=False) and entry.name not in self._failed
                ]
        except FileNotFoundError:  # nothing was written, as in most steps
            return []
        except OSError as error:  # the step has made it a file, or unreadable
            if self._is_readable:
                self._is_readable = False
                self._report(f"the folder of the logs cannot be read: {error.strerror or error}")
            return []

    def _send(self) -> None:
        """Send what there is; what fails with one log is said, and never fails the step."""
        with self._sending:
            for name, size in self._sizes():
                try:
                    self._send_file(name, size)
                except Exception as error:  # noqa: BLE001 - reported; the disk, or an answer that is no number
                    self._failed.add(name)
                    why = error.message if isinstance(error, StepError) else named(error)
                    self._report(f"the rest of the log {name} did not reach the engine: {why}")

    def _send_file(self, name: str, size: int) -> None:
        """Send what a file has now.

        Raises:
            StepError: the engine cannot write it, or the attempt must end.
            OSError: it cannot be read here.
            ValueError: the engine has answered what is no position.
        """
        with (self._folder / name).open("rb", buffering=0) as file:
            while (sent := self._sent.get(name, 0)) < size:
                if name not in self._starts:
                    self._starts[name] = msgspec.convert(self._ask(OpenLog(name)), int)
                data = os.pread(file.fileno(), CHUNK_BYTES, sent)
                if not data:
                    return  # it was cut
                self._ask(WriteLog(name, self._starts[name] + sent, data))
                self._sent[name] = sent + len(data)
