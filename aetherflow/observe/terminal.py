"""Paint a picture at the end of a terminal and repaint it in place, whatever its size is now.

The picture is the last lines of the screen, with the cursor below them. It is written over the one before,
each line erased behind its end, so that nothing flickers. A terminal that becomes narrower breaks the lines
that are there into several, so the way up to the first of them is reckoned with the width of now.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from rich.cells import cell_len, chop_cells

from aetherflow.observe.tree_line import Line

SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
"""The styles of lines, as parameters of the control sequence that selects how text looks."""

_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Size(NamedTuple):
    """How many lines and columns a terminal has."""

    height: int
    width: int


def size_of(stream: TextIO) -> Size:
    """Return the size of a terminal; where it knows none, what the environment says, or 24 lines of 80."""
    try:
        width, height = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # closed, or no terminal any more
        width, height = 0, 0
    return Size(height or _number("LINES", 24), width or _number("COLUMNS", 80))


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() and int(text) else default


class Painter:
    """Paints on one terminal; the caller sees to it that one thread at a time does.

    Args:
        stream: the terminal.
        colours: whether text has colours and weights; `NO_COLOR` in the environment forbids them.
    """

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        self._stream = stream
        self._colours = colours
        self._shown: list[str] = []

    def paint(self, lines: Sequence[Line], above: Sequence[Line] = ()) -> None:
        """Replace the picture; lines `above` it stay where they are from now on."""
        width = size_of(self._stream).width
        text = [self._up(width), _CLEAR_BELOW if above else ""]
        text += [f"{self.styled(line)}{_CLEAR_LINE}\n" for line in (*above, *lines)]
        text.append(_CLEAR_BELOW)
        self._shown = [line.text for line in lines]
        self._stream.write("".join(text))
        self._stream.flush()

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines that stay; there is no picture before or after them."""
        self._stream.write("".join(f"{self.styled(line)}\n" for line in lines))
        self._stream.flush()

    def leave(self) -> None:
        """Let the picture stay as it is; the next one is painted below it."""
        self._shown = []

    def styled(self, line: Line) -> str:
        """Return the text of a line with its colour or weight, if it may have one."""
        code = SGR.get(line.style) if self._colours else None
        return f"\x1b[{code}m{line.text}\x1b[0m" if code else line.text

    def _up(self, width: int) -> str:
        """Return what moves the cursor to the first line of the picture."""
        broken = sum(len(chop_cells(text, width)) - 1 for text in self._shown if cell_len(text) > width)
        rows = len(self._shown) + broken
        return f"\r\x1b[{rows}A" if rows else "\r"
