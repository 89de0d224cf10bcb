"""Paint a picture at the end of a terminal and repaint it in place, whatever its size is now.

The picture is the last lines of the screen, with the cursor below them. It is written over the one before,
each line erased behind its end, so that nothing flickers. A terminal that gets another width breaks the lines
that are there, each in its own way, and some pass the new size on late: nobody knows then where the picture
begins. So the screen is cleared, which most terminals do by moving it into their history.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from aetherflow.observe.tree_line import Line

SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
"""The styles of lines, as parameters of the control sequence that selects how text looks."""

_CLEAR_LINE, _CLEAR_BELOW, _CLEAR_ALL = "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


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
        self._rows = 0
        self._size = Size(0, 0)

    def paint(self, lines: Sequence[Line], size: Size, above: Sequence[Line] = ()) -> None:
        """Replace the picture; lines `above` it stay where they are from now on.

        Args:
            lines: the picture, with less lines than the terminal, each narrower.
            size: the size of the terminal now.
            above: lines that stay.
        """
        if self._rows and (size.width != self._size.width or self._rows >= size.height):
            text = [_CLEAR_ALL]
        else:
            text = [f"\r\x1b[{self._rows}A" if self._rows else "\r", _CLEAR_BELOW if above else ""]
        text += [f"{self.styled(line)}{_CLEAR_LINE}\n" for line in (*above, *lines)]
        text.append(_CLEAR_BELOW)
        self._rows, self._size = len(lines), size
        self._stream.write("".join(text))
        self._stream.flush()

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines that stay; there is no picture before or after them."""
        self._stream.write("".join(f"{self.styled(line)}\n" for line in lines))
        self._stream.flush()

    def leave(self) -> None:
        """Let the picture stay as it is; the next one is painted below it."""
        self._rows = 0

    def styled(self, line: Line) -> str:
        """Return the text of a line with its colour or weight, if it may have one."""
        code = SGR.get(line.style) if self._colours else None
        return f"\x1b[{code}m{line.text}\x1b[0m" if code else line.text
