"""Record what the code of a step prints, warns and logs as the output of a program is recorded.

The code never waits for the event loop: what it writes is kept for a moment, up to a limit, and a thread lets
the loop record it. So a step may print in a loop, or wait on the loop for a thread that prints.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.from_thread
import anyio.lowlevel

from aetherflow import plugin_output
from aetherflow.plugin_output import Level
from aetherflow.sdk.context import StepContext

if TYPE_CHECKING:
    from aetherflow.process.output_recorder import OutputRecorder
    from aetherflow.process.pipes import Stream

WAITING_BYTES = 4 << 20
"""How much output may wait to be recorded; a thread that prints more waits a moment, then it is lost."""

PIECE_BYTES = 1 << 16
"""How much is recorded at once: as much as a pipe holds."""

PATIENCE_SECONDS = 1.0
"""How long a thread of the step waits for room; the event loop never does."""

REST_SECONDS = 0.05
"""How long to gather output before it is recorded: few large pieces cost less than many small ones."""

FINISH_SECONDS = 20.0
"""How long the end of a step waits until its output is recorded."""


class _Piece(NamedTuple):
    """Output of a stream, or with a level a log record."""

    stream: Stream
    data: bytes
    level: Level | None = None


@asynccontextmanager
async def recorded_output(context: StepContext) -> AsyncIterator[None]:
    """Record what plugin code writes in a block, as output of this attempt of a step."""
    if not plugin_output.is_capturing():
        yield
        return
    output = PrintedOutput(context)
    with plugin_output.directed_to(output):
        try:
            yield
        finally:
            await output.finish()


class PrintedOutput:
    """The target of one attempt of a step; made on the event loop. See `plugin_output.Target`.

    It also takes what comes after `finish`, of a thread that lives longer than its step.
    """

    def __init__(self, context: StepContext) -> None:
        outer = plugin_output.current_target()
        own = self if context.is_foreign else None
        self.step: object = outer.step if isinstance(outer, PrintedOutput) else own
        self._context = context
        self._loop = anyio.lowlevel.current_token()
        self._loop_thread = threading.get_ident()
        self._changed = threading.Condition()  # its lock lets a `__del__` print while its thread prints
        self._waiting: deque[_Piece] = deque()
        self._bytes = self._lost = 0
        self._is_patient = True
        self._has_recorder_thread = self._is_finished = False
        self._recording: anyio.Lock | None = None
        self._recorder: OutputRecorder | None = None

    def write(self, stream: Stream, text: str) -> None:
        """Take a piece of text."""
        self._take(_Piece(stream, text.encode("utf-8", "backslashreplace")))

    def record(self, level: Level, text: str) -> None:
        """Take a log record."""
        self._take(_Piece("stderr", text.encode("utf-8", "backslashreplace"), level))

    def _take(self, piece: _Piece) -> None:
        with self._changed:
            size = len(piece.data)
            if self._bytes and self._bytes + size > WAITING_BYTES and not self._wait_for_room(size):
                self._lost += size
                return
            self._waiting.append(piece)
            self._bytes += size
            if self._has_recorder_thread:
                return
            self._has_recorder_thread = True
        threading.Thread(target=self._let_it_record, name="aetherflow output", daemon=True).start()

    def _wait_for_room(self, needed: int) -> bool:
        """Wait, but not on the event loop, until there is room; return whether there is."""
        if threading.get_ident() == self._loop_thread or not self._is_patient:
            return False
        until = time.monotonic() + PATIENCE_SECONDS
        while self._bytes and self._bytes + needed > WAITING_BYTES:
            if not self._changed.wait(until - time.monotonic()):
                self._is_patient = False
                return False
        return True

    def _let_it_record(self) -> None:
        """Let the event loop record what waits until nothing does; called in a thread."""
        plugin_output.leave_target()  # what the thread does is the engine's work
        try:
            while True:
                time.sleep(REST_SECONDS)
                with self._changed:
                    if not self._waiting:
                        self._has_recorder_thread = False
                        return
                anyio.from_thread.run(self._record_for_thread, token=self._loop)
        except (RuntimeError, CancelledError):  # the event loop has ended
            with self._changed:
                lost = self._lost + self._bytes
            plugin_output.print_outside(f"{lost} bytes of output came after the end of the run and are lost")

    async def _record_for_thread(self) -> None:
        with suppress(anyio.get_cancelled_exc_class()):  # the loop ends; nobody waits for this task
            await self._record_all(is_end=self._is_finished)

    async def finish(self) -> None:
        """Record everything, also a line without an end; shielded, but not for long."""
        self._is_finished = True
        if self._recorder is None and not self._waiting and not self._lost:
            return
        with anyio.move_on_after(FINISH_SECONDS, shield=True) as recording:
            await self._record_all(is_end=True)
        if recording.cancelled_caught:
            self._context.log(f"the output was not recorded within {FINISH_SECONDS:g} s", "warning")

    async def _record_all(self, *, is_end: bool) -> None:
        self._recording = self._recording or anyio.Lock()
        async with self._recording:
            recorder = self._recorder = self._recorder or _recorder(self._context)
            while piece := self._next():
                if piece.level is not None:
                    await recorder.take_record(piece.level, piece.data)
                    continue
                for start in range(0, len(piece.data), PIECE_BYTES):
                    await recorder.sinks[piece.stream](piece.data[start : start + PIECE_BYTES])
            if is_end:
                for take in recorder.sinks.values():
                    await take(b"", last=True)
                recorder.finish()
                recorder.close()
                self._recorder = None
                lost, self._lost = self._lost, 0
                if lost:
                    message = f"{lost} bytes of output came too fast and are lost"
                    self._context.log(message, "warning")

    def _next(self) -> _Piece | None:
        """Take what waits at the front, pieces of one stream together."""
        with self._changed:
            if not self._waiting:
                return None
            first = self._waiting.popleft()
            parts, size = [first.data], len(first.data)
            while first.level is None and self._waiting and size < PIECE_BYTES:
                if self._waiting[0].stream != first.stream or self._waiting[0].level is not None:
                    break
                parts.append(self._waiting.popleft().data)
                size += len(parts[-1])
            self._bytes -= size
            self._is_patient = True
            self._changed.notify_all()
        return first._replace(data=b"".join(parts))


def _recorder(context: StepContext) -> OutputRecorder:
    from aetherflow.process.output_recorder import (  # noqa: PLC0415 - most steps print nothing
        OutputPlan,
        OutputRecorder,
    )

    return OutputRecorder(context, OutputPlan())
