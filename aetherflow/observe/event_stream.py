"""The event stream: every event as one line of JSON, for programs that watch a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal, Self

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Event, StepOutput, StepProgress
from aetherflow.observe.line_writer import LineWriter, json_line
from aetherflow.observe.sink import Sink


class EventStreamObserver:
    """Appends every event to a file, or to standard output (`-`), or to an open binary stream.

    Runs that share one `join` it; the last `aclose` closes the file.

    Args:
        target: a path (appended to), `-`, or a stream that stays open.
        transient: also the lines that programs write and the progress of steps; there may be very many.
    """

    def __init__(self, target: BinaryIO | Path | Literal["-"], *, transient: bool = True) -> None:
        self._target = target
        self._transient = transient
        self._writer: LineWriter[bytes] | None = None
        self._sink = Sink()
        self._users = 0

    async def open(self) -> None:
        """Open the target now, so that a wrong path is an error before a run starts, not at its first batch.

        Raises:
            UsageError: the file cannot be opened.
        """
        await self._sink.call(self._open)

    def join(self) -> Self:
        """Return the observer for one more run."""
        self._users += 1
        return self

    async def __call__(self, events: Sequence[Event]) -> None:
        """Write a batch.

        Raises:
            OutputLostError: the target cannot be written.
            UsageError: the file cannot be opened.
        """
        await self._sink.call(self._write, events)

    async def aclose(self) -> None:
        """Close the file after its last run, if this observer opened it."""
        self._users -= 1
        if self._users <= 0:
            await self._sink.call(self._close)

    def _write(self, events: Sequence[Event]) -> None:
        shown = [
            event for event in events if self._transient or not isinstance(event, StepOutput | StepProgress)
        ]
        writer = self._open()
        if shown:
            writer.write(b"".join(map(json_line, shown)))

    def _open(self) -> LineWriter[bytes]:
        if self._writer is None:
            if isinstance(self._target, Path):
                self._writer = LineWriter(_append_to(self._target), str(self._target))
            elif self._target == "-":
                self._writer = LineWriter(sys.stdout.buffer, "standard output")
            else:
                self._writer = LineWriter(self._target)
        return self._writer

    def _close(self) -> None:
        if self._writer is not None and isinstance(self._target, Path):
            # All was flushed; what a full disk left in the buffer was reported as lost by the write.
            with suppress(OSError):
                self._writer.stream.close()
            self._writer = None


def _append_to(path: Path) -> BinaryIO:
    """Open a file at its end, on a new line: a killed process may have left half a line there."""
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
