"""The live tree of a run on a terminal that can repaint (`can_repaint`)."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import TextIO

import anyio

from aetherflow.cli_hints import show_command
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    RunFinished,
    RunPersisted,
    StepFinished,
    StepRetrying,
)
from aetherflow.observe.event_level import SEVERITY, Level, level_of, parse_level
from aetherflow.observe.event_text import one_line, render_text
from aetherflow.observe.line_writer import writing_to
from aetherflow.observe.run_failures import Digest, digested
from aetherflow.observe.run_summary import summary_lines
from aetherflow.observe.run_tree import RunTree
from aetherflow.observe.sink import Sink
from aetherflow.observe.terminal import Painter, Size, size_of
from aetherflow.observe.tree_frame import frame
from aetherflow.observe.tree_line import Line
from aetherflow.ports import LookUpTimes

FRAME_SECONDS = 0.2
"""How often the tree is painted: often enough for a clock with seconds."""

STOPPED_SECONDS = 1.0
"""After so long without a picture the process may have been stopped."""

CLOSE_SECONDS = 2.0
"""How long the end waits for a terminal that takes no more text."""

MOST_FAILURES = 10
"""How many failed steps and jobs are reported above the tree; the tree counts them all."""

_STYLE_OF_LEVEL = {"error": "red", "warning": "yellow"}


def can_repaint(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can move its cursor and show more than ASCII."""
    dumb = os.environ.get("TERM", "dumb") in {"", "dumb", "unknown"}
    encoding = (stream.encoding or "").lower().replace("-", "").replace("_", "")
    return stream.isatty() and not dumb and encoding == "utf8"


def is_in_background(stream: TextIO) -> bool:
    """Whether the shell has given the terminal to another job (Ctrl-Z and `bg`, or `&`)."""
    try:
        return os.tcgetpgrp(stream.fileno()) != os.getpgrp()
    except (OSError, ValueError):  # it is not the terminal of this session
        return False


class LiveTreeObserver:
    """Shows jobs and steps as a tree that is repainted; warnings and errors above it, the summary below.

    A thread paints it, also between batches: the clocks of a silent step must move, and the last batch before
    a silence must be seen.

    Args:
        stream: the terminal, usually standard error.
        level: of the lines above the tree, at least warning.
        now: the wall time, aware.
        look_up: returns how long earlier runs took; called once the run is stored, in a thread of its own.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        level: str = "info",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        look_up: LookUpTimes | None = None,
    ) -> None:
        least: Level = parse_level(level)
        self._stream = stream
        self._least = max(SEVERITY[least], SEVERITY["warning"])
        self._now = now
        self._look_up = look_up
        self._tree = RunTree()
        self._digest = Digest()
        self._failure_lines = 0
        self._sink = Sink()
        self._tree_lock = threading.Lock()
        self._paint_lock = threading.Lock()
        self._painter = Painter(stream, colours=not os.environ.get("NO_COLOR"))
        self._painted: list[Line] = []
        self._size = Size(0, 0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._was_stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._failure: Exception | None = None

    async def __call__(self, events: Sequence[Event]) -> None:
        """Update the tree with a batch; print what is worth a line.

        Raises:
            OutputLostError: the terminal is gone.
        """
        self._watch_for_stops()
        await self._sink.call(self._take, events)

    async def aclose(self) -> None:
        """Leave the terminal as it was before: the last picture stays, the cursor is below it."""
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCONT)
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._sink.call(self._close)

    def _watch_for_stops(self) -> None:
        """Note when the process continues after Ctrl-Z: the shell has written below the picture meanwhile."""
        if self._loop is None and threading.current_thread() is threading.main_thread():
            self._loop = asyncio.get_running_loop()
            self._loop.add_signal_handler(signal.SIGCONT, self._was_stopped.set)

    def _take(self, events: Sequence[Event]) -> None:
        with self._tree_lock:
            for event in events:
                self._tree.apply(event)
        with writing_to(self._stream, "the terminal"):
            if self._failure:
                raise self._failure
            self._show(events)
            if self._thread is None and not self._stop.is_set():
                self._paint()
                self._thread = threading.Thread(target=self._repaint, name="aetherflow progress", daemon=True)
                self._thread.start()

    def _show(self, events: Sequence[Event]) -> None:
        lines: list[Line] = []
        for event in events:
            self._digest = digested(self._digest, event)
            if isinstance(event, RunPersisted) and self._look_up:
                args = self._look_up, event.state
                threading.Thread(target=self._expect, args=args, daemon=True).start()
            if isinstance(event, RunFinished):
                self._paint(lines)
                self._end()
                *more, headline = summary_lines(event, self._digest)
                lines = [Line(line) for line in more]
                lines.append(Line(headline, _STYLE_OF_LEVEL.get(level_of(event), "green")))
                self._painter.leave()
            elif SEVERITY[level_of(event)] >= self._least:
                lines += self._lines_above(event)
        if lines:
            self._paint(lines)

    def _lines_above(self, event: Event) -> list[Line]:
        """Return what is written above the tree about an event; what the tree itself says is left out."""
        if isinstance(event, StepRetrying) or (isinstance(event, JobFinished) and event.reason):
            return []  # it runs again; or a step has failed, or a job before this one
        if isinstance(event, StepFinished | JobFinished):
            self._failure_lines += 1
            if self._failure_lines == MOST_FAILURES + 1:
                command = show_command(event.run_id, self._digest.named_state)
                return [Line(f"further failures are counted below; {one_line(command)} shows them", "yellow")]
            if self._failure_lines > MOST_FAILURES:
                return []
        text = render_text(event, zone=None)
        return [Line(text, _STYLE_OF_LEVEL.get(level_of(event), ""))] if text else []

    def _expect(self, look_up: LookUpTimes, state: str) -> None:
        times = look_up(state, self._tree.flow_id, self._tree.selected_job)
        with self._tree_lock:
            self._tree.expected = times

    def _paint(self, above: Sequence[Line] = ()) -> None:
        """Paint the tree with new lines above it; in the background, write the lines alone."""
        with self._paint_lock:
            if self._was_stopped.is_set():
                self._was_stopped.clear()
                self._painter.leave()
                self._painted = []
            if is_in_background(self._stream):  # a picture would wipe out what the user types
                self._stream.write("".join(f"{line.text}\n" for line in above))
                self._stream.flush()
                self._painter.leave()
            elif self._stop.is_set():
                self._painter.write(above)
            else:
                # One line less than the screen, for the cursor; one column less, as some terminals go on in
                # the next line after a full one.
                size, before = size_of(self._stream), self._size
                self._size = size
                if self._painted and size != before and not above:
                    self._painted = []
                    return  # while someone drags the corner of the window, and then once
                with self._tree_lock:
                    lines = frame(self._tree, self._now(), max(size.height - 1, 1), max(size.width - 1, 1))
                if above or self._painted != lines:
                    self._painter.paint(lines, size, above)
                    self._painted = lines

    def _repaint(self) -> None:
        painted = monotonic()
        while not self._stop.wait(FRAME_SECONDS):
            before, painted = painted, monotonic()
            if painted - before > STOPPED_SECONDS:
                self._stop.wait(FRAME_SECONDS)  # maybe Ctrl-Z: the loop learns of that at the same moment
            try:
                self._paint()
            except Exception as error:  # noqa: BLE001 - raised by the next batch, to its caller
                self._failure = error
                return

    def _end(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def _close(self) -> None:
        with writing_to(self._stream, "the terminal"):
            if self._thread:  # it has not ended: the last picture shows all that is known
                self._paint()
            self._end()
