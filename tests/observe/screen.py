"""A terminal, as far as the live tree uses one: lines, a cursor that goes up, and parts that are cleared."""

from __future__ import annotations

import re


class Screen:
    """What a terminal shows.

    Attributes:
        lines: what was written since the screen was cleared last, with the cursor on the last line or above.
        frames: the lines before each way up.
        colours: the control sequences for colours and weights.
        cleared: how often the screen was cleared.
    """

    def __init__(self) -> None:
        self.lines = [""]
        self.row = 0
        self.column = 0
        self.frames: list[list[str]] = []
        self.colours: set[str] = set()
        self.cleared = 0

    def feed(self, data: str) -> None:
        """Show what a program wrote."""
        for piece in re.findall(r"\x1b\[[0-?]*[a-zA-Z]|\n|\r|[^\x1b\n\r]+", data):
            if piece == "\n":
                self.row, self.column = self.row + 1, 0  # the terminal's own setting: a line feed returns
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif piece == "\r":
                self.column = 0
            elif piece.startswith("\x1b"):
                self._control(piece)
            else:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + piece + line[self.column + len(piece) :]
                self.column += len(piece)

    def _control(self, piece: str) -> None:
        if piece == "\x1b[K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif piece == "\x1b[J":
            self.lines[self.row :] = [self.lines[self.row][: self.column]]
        elif piece == "\x1b[H":
            self.row, self.column = 0, 0
        elif piece == "\x1b[2J":
            self.lines, self.cleared = [""], self.cleared + 1
        elif found := re.fullmatch(r"\x1b\[(\d+)A", piece):
            self.frames.append(self.text)
            self.row -= int(found[1])
            assert self.row >= 0, "the cursor left the screen"
        else:
            assert piece.endswith("m"), piece
            self.colours.add(piece)

    @property
    def text(self) -> list[str]:
        """What can be read."""
        return [line.rstrip() for line in self.lines]
