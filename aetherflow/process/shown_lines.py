"""Show the lines of a program to the observers while it runs: at most so many, each as a person sees it.

Of a long line the beginning is shown, of a progress bar its last state.
"""

from __future__ import annotations

import codecs

from aetherflow.plugin_output import Level
from aetherflow.process.pipes import Stream
from aetherflow.process.whole_lines import LONGEST_LINE
from aetherflow.sdk.context import StepContext

SHOWN_PER_SECOND = 10_000
"""How many lines are shown live; more would slow the program down. The log file has them all."""
REWRITE_SECONDS = 1.0
"""How often a line that a program writes over, as a progress bar, is shown while it has not ended."""
LONG_LINE = 1000
"""A line counts as one more line for each time this many bytes are in it."""


class _OpenLine:
    """The line of a stream that has not ended yet, as a terminal would show it.

    Attributes:
        head: its beginning, from the last carriage return on.
        more_bytes: how many more bytes it has.
        is_hidden: its beginning came too fast to be shown, so the rest is not shown either.
        is_overwritten: the program has begun to write over it.
        shown_at: when its text was shown last although it had not ended.
    """

    def __init__(self) -> None:
        self.shown_at = -REWRITE_SECONDS
        self.clear()

    def clear(self, *, is_hidden: bool = False) -> None:
        """Begin a new line."""
        self.head = b""
        self.more_bytes = 0
        self.is_hidden = is_hidden
        self.is_overwritten = False

    def add(self, piece: bytes) -> None:
        """Take in a piece without line feeds; what a carriage return writes over is forgotten."""
        visible = piece.rstrip(b"\r")
        before = visible.rfind(b"\r")
        if before >= 0 or (visible and self.is_overwritten):
            self.head, self.more_bytes = b"", 0
            visible = visible[before + 1 :]
        room = LONGEST_LINE - len(self.head)
        self.head += visible[:room]
        self.more_bytes += len(visible[room:])
        self.is_overwritten = piece.endswith(b"\r") or (self.is_overwritten and not piece)

    @property
    def text(self) -> str:
        """The beginning as text; a character that is cut at its end is left out."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return decoder.decode(self.head, final=not self.more_bytes)


class ShownLines:
    """Shows lines to the observers, at most SHOWN_PER_SECOND.

    Attributes:
        hidden_bytes: how many bytes were not shown.
    """

    def __init__(self, context: StepContext) -> None:
        self.hidden_bytes = 0
        self._context = context
        self._allowed = float(SHOWN_PER_SECOND)
        self._at = context.clock.monotonic()
        self._lines: dict[Stream, _OpenLine] = {"stdout": _OpenLine(), "stderr": _OpenLine()}

    def show(self, stream: Stream, data: bytes) -> None:
        """Show the lines in output; of a line that has not ended, remember the beginning."""
        self._earn()
        line = self._lines[stream]
        start = 0
        while start < len(data) and self._allowed >= 1:
            end = data.find(b"\n", start)
            piece = data[start : end if end >= 0 else len(data)]
            line.add(piece)
            start += len(piece) + 1
            if end >= 0:
                self._show_line(stream, line)
            elif line.is_overwritten and self._at - line.shown_at >= REWRITE_SECONDS:
                line.shown_at = self._at
                self._context.show_line(stream, line.text, is_unfinished=True)
        if start < len(data):
            self.hidden_bytes += len(data) - start
            line.clear(is_hidden=not data.endswith(b"\n"))

    def end(self, stream: Stream) -> None:
        """Show the last line of a stream, which has no line end."""
        if self._lines[stream].head:
            self._show_line(stream, self._lines[stream])

    def _show_line(self, stream: Stream, line: _OpenLine) -> None:
        if not line.is_hidden:
            self._context.show_line(stream, line.text, more_bytes=line.more_bytes)
            self._allowed -= 1 + len(line.head) // LONG_LINE
        line.clear()

    def show_record(self, level: Level, data: bytes) -> None:
        """Show a log record of the step's own code."""
        self._earn()
        if self._allowed >= 1:
            self._context.log(data.decode("utf-8", "replace"), level)
            self._allowed -= 1 + len(data) // LONG_LINE
        else:
            self.hidden_bytes += len(data)

    def _earn(self) -> None:
        now = self._context.clock.monotonic()
        self._allowed = min(SHOWN_PER_SECOND, self._allowed + (now - self._at) * SHOWN_PER_SECOND)
        self._at = now
