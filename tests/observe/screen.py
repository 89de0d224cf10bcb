"""A terminal, as far as the live tree uses one: lines that break at its width, and a cursor that goes up."""

from __future__ import annotations

import re
from itertools import pairwise

from rich.cells import cell_len, chop_cells


class Screen:
    """What a terminal shows that breaks its lines again when it becomes narrower or wider, as most do.

    Attributes:
        lines: what was written between two ends of lines.
        frames: the lines before each way up.
    """

    def __init__(self, width: int = 1000) -> None:
        self.width = width
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.frames: list[list[str]] = []
        self.colours: set[str] = set()

    def feed(self, data: str) -> None:
        """Show what a program wrote."""
        for piece in re.findall(r"\x1b\[[0-?]*[a-zA-Z]|\n|\r|[^\x1b\n\r]+", data):
            if piece == "\n":
                self.row, self.column = self.row + 1, 0  # the terminal's own setting: a line feed returns
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif piece == "\r":
                self.column = 0
            elif piece == "\x1b[K":
                self.lines[self.row] = self.lines[self.row][: self.column]
            elif piece == "\x1b[J":
                self.lines[self.row :] = [self.lines[self.row][: self.column]]
            elif found := re.fullmatch(r"\x1b\[(\d+)A", piece):
                self.frames.append(self.text)
                self._up(int(found[1]))
            elif piece.startswith("\x1b") and piece.endswith("m"):
                self.colours.add(piece)
            else:
                assert "\x1b" not in piece, piece
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + piece + line[self.column + len(piece) :]
                self.column += len(piece)

    def _up(self, rows: int) -> None:
        """Go up on the screen: a broken line has several rows there, and is entered at its first one."""
        assert self.column == 0
        while rows > 0:
            self.row -= 1
            rows -= self._rows(self.lines[self.row])
        assert rows == 0, "the cursor is in the middle of a line"

    def _rows(self, line: str) -> int:
        return max(len(chop_cells(line, self.width)), 1) if cell_len(line) > self.width else 1

    @property
    def text(self) -> list[str]:
        """What can be read."""
        return [line.rstrip() for line in self.lines]

    def changes(self) -> int:
        """Return how often the picture was another one than before."""
        return sum(one != other for one, other in pairwise(self.frames))
