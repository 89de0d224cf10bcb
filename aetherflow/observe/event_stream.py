"""The event stream: every event as one line of JSON, for programs that watch a run."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

import anyio.to_thread

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Event, StepOutput, StepProgress
from aetherflow.observe.output import Output, json_line


class EventStreamObserver:
    """Appends every event to a file, or to standard output (`-`), or to an open binary stream.

    Args:
        sink: a path (appended to, closed at the end), `-`, or a stream that stays open.
        transient: also the lines that programs write and the progress of steps; there may be very many.
    """

    def __init__(self, sink: BinaryIO | Path | Literal["-"], *, transient: bool = True) -> None:
        self._sink = sink
        self._transient = transient
        self._output: Output[bytes] | None = None
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Open the sink now, so that a wrong path is told before a run starts; the first batch does it else.

        Raises:
            UsageError: the file cannot be opened.
        """
        await anyio.to_thread.run_sync(self._opened, abandon_on_cancel=True)

    async def __call__(self, events: Sequence[Event]) -> None:
        """Write a batch.

        Raises:
            OutputLostError: the sink takes no more.
            UsageError: the file cannot be opened.
        """
        # As with the log: a reader that stalls must not keep a cancelled run from ending.
        await anyio.to_thread.run_sync(self._write, events, abandon_on_cancel=True)

    async def aclose(self) -> None:
        """Close the file, if this observer opened it."""
        await anyio.to_thread.run_sync(self._close, abandon_on_cancel=True)

    def _write(self, events: Sequence[Event]) -> None:
        told = [
            event for event in events if self._transient or not isinstance(event, StepOutput | StepProgress)
        ]
        with self._lock:
            output = self._opened()
            if told:
                output.write(b"".join(map(json_line, told)))

    def _opened(self) -> Output[bytes]:
        if self._output is None:
            if isinstance(self._sink, Path):
                self._output = Output(_append_to(self._sink), str(self._sink))
            elif self._sink == "-":
                self._output = Output(sys.stdout.buffer, "standard output")
            else:
                self._output = Output(self._sink)
        return self._output

    def _close(self) -> None:
        with self._lock:
            if self._output is not None and isinstance(self._sink, Path):
                # All was flushed; what a full disk left in the buffer was told as lost by the write.
                with suppress(OSError):
                    self._output.stream.close()


def _append_to(path: Path) -> BinaryIO:
    """Open a file at its end, on a new line: a process that was killed may have left half a line there."""
    try:
        stream = path.open("ab")
        if path.is_file() and stream.tell() and not _ends_a_line(path):
            stream.write(b"\n")
    except OSError as error:
        raise UsageError(
            f"cannot write events to {path}: {error.strerror or error}",
            hint="name a file in a directory that exists and that you may write to",
        ) from error
    return stream


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
