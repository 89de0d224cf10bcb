"""Record the output of a program: mask it, write it to a log file, show it while it runs, capture it.

Memory stays flat whatever a program writes: output passes in pieces, and only the captured beginning and the
last few lines stay in memory. Files are written in worker threads.
"""

from __future__ import annotations

import codecs
import functools
from pathlib import Path
from typing import Literal, Self

import anyio
import msgspec

from aetherflow.plugin_output import Level
from aetherflow.process.appended_file import LOG_LIMIT, AppendedFile
from aetherflow.process.held_output import HeldOutput
from aetherflow.process.pipes import Stream, Take
from aetherflow.process.shown_lines import ShownLines
from aetherflow.process.whole_lines import WholeLines
from aetherflow.redaction import Redactor
from aetherflow.sdk.context import StepContext

Mode = Literal["inherit", "capture", "file", "discard"]

LAST_BYTES = 4096
"""How much of the end of the output stays in memory for error messages."""


class OutputPlan(msgspec.Struct, frozen=True):
    """What to do with the output.

    Attributes:
        file: the file to which streams in mode `file` are appended.
        captured_bytes: how much of the beginning of a stream in mode `capture` becomes an output.
    """

    stdout: Mode = "inherit"
    stderr: Mode = "inherit"
    file: Path | None = None
    captured_bytes: int = 1 << 20


class OutputRecorder:
    """Records the output of one program, in a `with` block.

    Attributes:
        file_problem: why `OutputPlan.file` could not be written; else empty.
        held: the output that background processes hold open; its end closes the files, not that of the block.
    """

    def __init__(self, context: StepContext, plan: OutputPlan, number: int = 1) -> None:
        """Prepare to record the output of the step's program, which is started for the `number`-th time."""
        self.file_problem = ""
        self.held: HeldOutput | None = None
        self._context = context
        self._streams = {
            stream: _StreamState(mode, plan.captured_bytes if mode == "capture" else 0, context.redactor)
            for stream, mode in _modes(plan)
            if mode != "discard"
        }
        execution = context.execution
        again = f"start {number} of its program, " if number > 1 else ""
        mark = (
            f"[aetherflow: execution {execution} of the run, attempt {context.attempt} of the step, "
            f"{again}{context.clock.now():%Y-%m-%dT%H:%M:%SZ}]"
        )
        self._log = AppendedFile(
            context.log_file,
            context.access_of(context.log_file),
            LOG_LIMIT,
            mark=mark,
            is_marked=execution > 1,
        )
        self._file = AppendedFile(plan.file, context.access_of(plan.file)) if plan.file else None
        self._writing = anyio.Lock()
        self._lines = ShownLines(context)

    @property
    def sinks(self) -> dict[Stream, Take]:
        """Return what takes the output, by stream; a discarded stream is not among them."""
        return {stream: functools.partial(self._take, stream) for stream in self._streams}

    @property
    def files(self) -> dict[Stream, list[AppendedFile]]:
        """Return the files that get the output, by stream."""
        return {
            stream: [self._log, self._file] if state.mode == "file" and self._file else [self._log]
            for stream, state in self._streams.items()
        }

    @property
    def log_file(self) -> Path | None:
        """The step's log file, if anything was written to it."""
        return self._log.path if self._log.is_open else None

    def captured(self) -> dict[str, str]:
        """Return the captured text by stream."""
        return {
            name: state.captured_text() for name, state in self._streams.items() if state.mode == "capture"
        }

    def is_cut(self, stream: Stream) -> bool:
        """Whether a captured stream was longer than what is captured of it."""
        return self._streams[stream].cut

    def foreign_line(self, stream: Stream) -> int:
        """Return the number of the first captured line that is not UTF-8, 0 if there is none."""
        return self._streams[stream].foreign_line()

    def last_lines(self, count: int = 10) -> tuple[Stream, list[str]]:
        """Return the last lines of stderr, or of stdout when there is nothing on stderr."""
        for stream in ("stderr", "stdout"):
            if (state := self._streams.get(stream)) and (
                text := state.last.decode("utf-8", "replace").strip()
            ):
                lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
                return stream, [*lines][-count:]  # of a progress bar what was seen last
        return "stderr", []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.held is None:
            self.close()

    def keep(self, held: HeldOutput) -> None:
        """Continue to record output that background processes hold open when the program has ended."""

        def lost(error: Exception) -> None:
            self._context.log(f"the output of background processes is lost from now on: {error}", "warning")

        held.on_end, held.on_problem = self.close, lost
        self.held = held

    def close(self) -> None:
        """Close the files, as the end of a `with` block does."""
        self._log.close()
        if self._file is not None:
            self._file.close()

    def finish(self) -> None:
        """Log which output is missing where one would look for it; call it when the program has ended."""
        log = self._context.log
        if self._lines.hidden_bytes:
            log(
                f"{self._lines.hidden_bytes} bytes of output came too fast to be shown; see {self._log.path}",
                "warning",
            )
        for stream, state in self._streams.items():
            if state.cut:
                log(
                    f"{stream} was longer than {state.capture_limit} bytes: only its beginning was captured; "
                    f"see {self._log.path}",
                    "warning",
                )

    async def _take(self, stream: Stream, data: bytes, *, last: bool = False) -> None:
        state = self._streams[stream]
        lines = state.lines.take(data, last=last)
        if not lines and not (last and state.mode == "file"):
            if last:
                self._lines.end(stream)
            return
        async with self._writing:
            before = self._log.problem
            masked = await self._context.run_blocking(self._store, state, lines, abandon_on_cancel=True)
            if self._log.problem != before:
                self._context.log(self._log.problem, "warning")
        if state.mode in ("inherit", "capture"):
            self._lines.show(stream, masked)
            if last:
                self._lines.end(stream)

    async def take_record(self, level: Level, data: bytes) -> None:
        """Record a log record of the step's own code: as a line of the run's log, and beside the output."""
        async with self._writing:
            store = self._context.run_blocking
            masked = await store(self._store_record, data, abandon_on_cancel=True)
        self._lines.show_record(level, masked)

    def _store_record(self, data: bytes) -> bytes:
        masked = self._context.redactor.bytes(data)
        self._log.write(masked + b"\n")
        return masked

    def _store(self, state: _StreamState, lines: bytes) -> bytes:
        """Mask and write; called in a worker thread."""
        masked = self._context.redactor.bytes(lines)
        if masked:
            self._log.write(masked)
        if state.mode == "file" and self._file is not None:
            self._file.write(masked)
            self.file_problem = self._file.problem
        state.keep(masked)
        return masked


def _modes(plan: OutputPlan) -> tuple[tuple[Stream, Mode], ...]:
    return ("stdout", plan.stdout), ("stderr", plan.stderr)


class _StreamState:
    """What stays in memory of one stream."""

    def __init__(self, mode: Mode, capture_limit: int, redactor: Redactor) -> None:
        self.mode = mode
        self.capture_limit = capture_limit
        self.cut = False
        self.last = b""
        self.lines = WholeLines(redactor)
        self._captured = bytearray()

    def keep(self, masked: bytes) -> None:
        """Keep the beginning, up to the limit of what is captured, and the end."""
        if self.mode == "capture":
            room = self.capture_limit - len(self._captured)
            self.cut = self.cut or len(masked) > room
            self._captured += masked[:room]
        self.last = (self.last + masked)[-LAST_BYTES:] if len(masked) < LAST_BYTES else masked[-LAST_BYTES:]

    def foreign_line(self) -> int:
        """Return the number of the first captured line that is not UTF-8, 0 if there is none."""
        try:
            self._captured.decode()
        except UnicodeDecodeError as error:
            return self._captured.count(b"\n", 0, error.start) + 1
        return 0

    def captured_text(self) -> str:
        """Return the text without its final line end; of one that was cut, only whole characters."""
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(
            bytes(self._captured), final=not self.cut
        )
        if self.cut or not text.endswith("\n"):
            return text
        return text.removesuffix("\n").removesuffix("\r")
