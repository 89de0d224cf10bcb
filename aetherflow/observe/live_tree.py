"""The live tree of a run on a terminal; plain lines where the terminal cannot repaint."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

import anyio

from aetherflow.events.run_events import Event, RunFinished
from aetherflow.observe.event_level import SEVERITY, Level, level_of, parse_level
from aetherflow.observe.event_text import render_text
from aetherflow.observe.line_writer import writing_to
from aetherflow.observe.log import LogObserver
from aetherflow.observe.run_failures import Digest, digested
from aetherflow.observe.run_summary import summary_lines
from aetherflow.observe.run_tree import RunTree
from aetherflow.observe.sink import Sink
from aetherflow.observe.tree_frame import Line, frame

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

FRAME_SECONDS = 0.2
"""How often the tree is painted: often enough for a clock with seconds."""

CLOSE_SECONDS = 2.0
"""How long the end waits for a terminal that takes no more text."""

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


def painted(lines: Sequence[Line]) -> Group:
    """Return a picture as rich shows it; each line is cut to the width of the terminal."""
    from rich.console import Group  # noqa: PLC0415 - heavy, and only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - as above

    return Group(*(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in lines))


class LiveTreeObserver:
    """Shows jobs and steps as a tree that is repainted; warnings and errors above it, the summary below.

    A thread paints it, also between batches: the clocks of a silent step must move, and the last batch before
    a silence must be seen.

    Args:
        stream: the terminal, usually standard error. If it cannot repaint, it gets the lines of the log.
        level: of the lines; on a tree at least warning.
        now: the wall time, aware.
    """

    def __init__(
        self, stream: TextIO, *, level: str = "info", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        least: Level = parse_level(level)
        self._stream = stream
        self._least = max(SEVERITY[least], SEVERITY["warning"])
        self._now = now
        self._lines = None if can_repaint(stream) else LogObserver(stream, format="text", level=level)
        self._tree = RunTree()
        self._digest = Digest()
        self._sink = Sink()
        self._tree_lock = threading.Lock()
        self._paint_lock = threading.Lock()
        self._live: Live | None = None
        self._painter: threading.Thread | None = None
        self._stop = threading.Event()
        self._failure: Exception | None = None

    async def __call__(self, events: Sequence[Event]) -> None:
        """Update the tree with a batch; print what is worth a line.

        Raises:
            OutputLostError: the terminal is gone.
        """
        if self._lines:
            await self._lines(events)
        else:
            await self._sink.call(self._take, events)

    async def aclose(self) -> None:
        """Leave the terminal as it was before: the last picture stays, the cursor is back."""
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._sink.call(self._close)

    def _take(self, events: Sequence[Event]) -> None:
        with self._tree_lock:
            for event in events:
                self._tree.apply(event)
        with writing_to(self._stream, "the terminal"):
            if self._failure:
                raise self._failure
            self._show(events)

    def _show(self, events: Sequence[Event]) -> None:
        live = self._live or self._start()
        lines: list[tuple[str, Level]] = []
        for event in events:
            self._digest = digested(self._digest, event)
            if isinstance(event, RunFinished):
                self._print(live.console, lines)
                self._end()
                lines = [("\n".join(summary_lines(event, self._digest)), level_of(event))]
            elif SEVERITY[level_of(event)] >= self._least and (text := render_text(event, zone=None)):
                lines.append((text, level_of(event)))
        self._print(live.console, lines)

    def _print(self, console: Console, lines: list[tuple[str, Level]]) -> None:
        from rich.text import Text  # noqa: PLC0415 - imported when the tree began

        if lines and is_in_background(self._stream):
            self._stream.write("".join(f"{text}\n" for text, _ in lines))
            self._stream.flush()
        elif lines:
            styled = [Text(text, style=_STYLE_OF_LEVEL.get(level, "")) for text, level in lines]
            with self._paint_lock:
                console.print(Text("\n").join(styled), soft_wrap=True)

    def _start(self) -> Live:
        from rich.console import Console  # noqa: PLC0415 - heavy, and only a terminal needs it
        from rich.live import Live  # noqa: PLC0415 - as above

        console = Console(file=self._stream, force_terminal=True, highlight=False)
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
            get_renderable=lambda: self._picture(console.height),
        )
        self._live.start(refresh=not is_in_background(self._stream))
        console.show_cursor()  # after Ctrl-Z or SIGKILL nobody would bring it back
        self._painter = threading.Thread(target=self._paint, name="aetherflow progress", daemon=True)
        self._painter.start()
        return self._live

    def _picture(self, height: int) -> Group:
        with self._tree_lock:
            # One line less than the screen: at the end the cursor is below the picture.
            return painted(frame(self._tree, self._now(), max(height - 1, 1)))

    def _paint(self) -> None:
        while self._live and not self._stop.wait(FRAME_SECONDS):
            try:
                with self._paint_lock:
                    if not is_in_background(self._stream):  # a picture would wipe out what the user types
                        self._live.refresh()
            except Exception as error:  # noqa: BLE001 - raised by the next batch, to its caller
                self._failure = error
                return

    def _end(self) -> None:
        self._stop.set()
        if self._painter:
            self._painter.join()
            self._painter = None
        if self._live and not is_in_background(self._stream):
            self._live.stop()

    def _close(self) -> None:
        with writing_to(self._stream, "the terminal"):
            self._end()
