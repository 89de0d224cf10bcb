"""A line of the live tree: parts that are joined, and left out or cut where the terminal is narrow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

LEAST_NAME = 12
"""A name that is cut keeps at least so many columns."""

GAP = "  "


class Part(NamedTuple):
    """A part of a line.

    Attributes:
        rank: of the parts with a rank the highest is left out first if the line is too long.
        short: what replaces the text, if the line is still too long.
    """

    text: str
    rank: int = 0
    short: str = ""


class Line(NamedTuple):
    """A line of the picture and how it looks: a key of `SGR` in `aetherflow.observe.terminal`, or plain."""

    text: str
    style: str = ""


def fitted(name: str, parts: Sequence[Part], width: int) -> str:
    """Return the name and the parts in at most `width` columns.

    Parts that can be spared go first, then the name is cut in its middle to half of the line, then the end.
    """
    shown = [part for part in parts if part.text]
    while _length(name, shown) > width and any(part.rank for part in shown):
        shown.remove(max(shown, key=lambda part: part.rank))
    for number, part in reversed(list(enumerate(shown))):
        if part.short and _length(name, shown) > width:
            shown[number] = Part(part.short)
    over = _length(name, shown) - width
    if over > 0 and (spare := cell_len(name) - max(width // 2, LEAST_NAME)) > 0:
        name = shortened(name, cell_len(name) - min(over, spare))
    return cut(GAP.join([name, *(part.text for part in shown)]), width)


def cut(text: str, width: int) -> str:
    """Return the beginning of a text, with `…` if the end is missing; a wide character has two columns."""
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, max(width - 1, 0)).rstrip()}…" if width > 0 else ""


def shortened(name: str, width: int) -> str:
    """Return a name without its middle, in at most `width` columns: its end often differs from others."""
    if cell_len(name) <= width:
        return name
    end = min((width - 1) // 3, len(name))
    while end and cell_len(name[-end:]) > (width - 1) // 3:
        end -= 1
    tail = name[len(name) - end :]
    return f"{set_cell_size(name, max(width - 1 - cell_len(tail), 0)).rstrip()}…{tail}"


def _length(name: str, parts: Sequence[Part]) -> int:
    return cell_len(name) + sum(len(GAP) + cell_len(part.text) for part in parts)
