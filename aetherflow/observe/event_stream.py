"""The event stream: the record of every event as one line of JSON, for programs that watch a run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Self

from aetherflow.errors import UsageError
from aetherflow.events.run_events import Event
from aetherflow.file_access import FileAccess, open_file
from aetherflow.observe.event_record import Recorder
from aetherflow.observe.line_writer import LineWriter, when_full
from aetherflow.observe.pipe_writer import PipeWriter
from aetherflow.observe.shared_lines import SharedLines
from aetherflow.observe.sink import Sink
from aetherflow.plugin_output import real_stdout

if TYPE_CHECKING:
    from aetherflow.observe.time_order import TimeOrder

_BEGINNINGS = (b'{"schema":"aetherflow.event/', b'{"specversion":"', b'{"event":')
"""How a line begins: a record, a CloudEvent, an event before the records had a schema."""


class EventStreamObserver:
    """Appends every event to a file or named pipe, to standard output (`-`), or to an open binary stream.

    Runs that share one `join` it; the last `aclose` closes the file.

    Args:
        target: a path (appended to), `-`, or a stream that stays open.
        access: who may read a file that is made.
        format: records, or CloudEvents with a record as data.
        sink: of the target; else the observer has its own.
        order: in which the runs write, where they are to be in the order of their times.
        name: of a stream, in messages.
        shared: with the log, where that has the same lines.
    """

    def __init__(
        self,
        target: BinaryIO | Path | Literal["-"],
        *,
        access: FileAccess = "private",
        format: Literal["json", "cloudevents"] = "json",  # noqa: A002 - the word of the setting
        sink: Sink | None = None,
        order: TimeOrder | None = None,
        name: str = "",
        shared: SharedLines | None = None,
    ) -> None:
        self._target = target
        self._name = name
        self._access = access
        self._writer: LineWriter[bytes] | PipeWriter | None = None
        self._warning = ""
        self._recorder = Recorder(format, shared)
        self._sink = sink or Sink()
        self._order = order
        self._users = 0

    async def open(self) -> None:
        """Open the target now, so that a wrong path is an error before a run starts, not at its first batch.

        Raises:
            UsageError: the file cannot be opened.
        """
        await self._sink.call(self._open)

    @property
    def when_full(self) -> Literal["wait", "wait_briefly"]:
        """How long a run waits for the target, which is open."""
        writer = self._open()
        return when_full(writer.stream) if isinstance(writer, LineWriter) else "wait"  # a pipe has its own

    def join(self) -> Self:
        """Return the observer for one more run."""
        self._users += 1
        return self

    async def __call__(self, events: Sequence[Event]) -> str:
        """Write a batch; return a warning for the log, or nothing.

        Raises:
            OutputLostError: the target cannot be written.
            UsageError: the file cannot be opened.
        """
        if self._order is not None:
            await self._order.add(self._write, events)
        else:
            await self._sink.call(self._write, events)
        warning, self._warning = self._warning, ""
        return warning

    async def reopen(self) -> None:
        """Close the file and open its path again, as after a rename by logrotate; a pipe stays open.

        Raises:
            UsageError: the path cannot be opened; the old file stays in use.
        """
        await self._sink.call(self._reopen)

    async def aclose(self) -> None:
        """Close the file after its last run, if this observer opened it.

        Raises:
            OutputLostError: nobody read the pipe in time.
        """
        self._users -= 1
        if self._users <= 0:
            await self._sink.call(self._close)

    def _write(self, events: Sequence[Event]) -> None:
        self._warning = self._open().write(b"".join(map(self._recorder.line, events))) or self._warning

    def _open(self) -> LineWriter[bytes] | PipeWriter:
        if self._writer is None:
            if isinstance(self._target, Path):
                self._writer = _writer_of(self._target, self._access)
            elif self._target == "-":
                self._writer = LineWriter(real_stdout().buffer, "standard output")
            else:
                self._writer = LineWriter(self._target, self._name)
        return self._writer

    def _reopen(self) -> None:
        if isinstance(self._writer, LineWriter) and isinstance(self._target, Path):
            new = _writer_of(self._target, self._access)
            self._close()
            self._writer = new

    def _close(self) -> None:
        if self._writer is not None and isinstance(self._target, Path):
            writer, self._writer = self._writer, None
            # All was flushed; what a full disk left in the buffer was reported as lost by the write.
            with suppress(OSError):
                writer.close()


def _writer_of(path: Path, access: FileAccess) -> LineWriter[bytes] | PipeWriter:
    """Open a path for lines.

    Raises:
        UsageError: it cannot be opened, or has another content than events.
    """
    try:
        if path.is_fifo():
            return PipeWriter(path)
        return LineWriter(_append_to(path, access), str(path))
    except OSError as error:
        hint = "name a file in a directory that exists and that you may write to"
        reason = error.strerror or str(error)
        if path.is_socket():
            reason, hint = "it is a socket", "name a file, or a pipe that `mkfifo` made"
        raise UsageError(f"cannot write events to {path}: {reason}", hint=hint) from error


def open_descriptor(number: str) -> BinaryIO:
    """Open a descriptor that the process was started with (`3>file`); programs of steps do not get it.

    Raises:
        UsageError: there is no such descriptor, or it cannot be written.
    """
    hint = "open it in the shell: aetherflow run flow.yaml --events fd:3 3>events.jsonl"
    if not (number.isascii() and number.isdecimal()):
        raise UsageError(f"--events fd:{number}: it is not the number of a descriptor", hint=hint)
    try:
        own = os.dup(int(number))
        if fcntl.fcntl(own, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            os.close(own)
            raise UsageError(f"--events fd:{number}: the descriptor is open for reading only", hint=hint)
        return os.fdopen(own, "wb")
    except OSError as error:
        raise UsageError(f"--events fd:{number}: {error.strerror}", hint=hint) from error
    except OverflowError as error:
        raise UsageError(f"--events fd:{number}: there is no such descriptor", hint=hint) from error


def _append_to(path: Path, access: FileAccess) -> BinaryIO:
    """Open a file at its end, on a new line: a killed process may have left half a line there.

    Raises:
        UsageError: it has another content than events.
    """
    stream: BinaryIO = open_file(path, "ab", access)  # type: ignore[assignment]
    if path.is_file() and stream.tell():
        _refuse_other_content(path, stream)
        if not _ends_a_line(path):
            stream.write(b"\n")
    return stream


def _refuse_other_content(path: Path, stream: BinaryIO) -> None:
    with path.open("rb") as content:
        first = content.read(max(map(len, _BEGINNINGS)))
    if not any(first.startswith(one) or one.startswith(first) for one in _BEGINNINGS):
        stream.close()
        raise UsageError(
            f"cannot write events to {path}: it has content that is no event",
            hint="name a new file, or one with the events of an earlier run",
        )


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
