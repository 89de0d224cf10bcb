"""What a YAML file holds as plain data, with the place of each key, item and scalar as one integer."""

from __future__ import annotations

from array import array
from typing import Any

import msgspec

from aetherflow.errors import Position

# A place is one integer: line, column, and whether the text there is written as it is, plain or in quotes.
LINE = 32
COLUMN = 2
PLAIN, QUOTED = 1, 2


class Content(msgspec.Struct, frozen=True, eq=False):
    """What a YAML file holds.

    Places are in one flat array, because a flow may hold 100,000 jobs: two numbers for each child of a
    mapping or list, the children of one container side by side, in order. The first is the place of the key
    or item. The second is, for a container, the index where its own children begin; for a scalar, the place
    where it starts.

    Attributes:
        value: dicts, lists, texts, numbers, booleans and None; all keys are texts.
        root: the two numbers of the whole value.
        spelled: the characters of each scalar that is no text and is not written as JSON would write it, by
            the place where it starts: `3.10`, `007`, `True`, `~`, nothing at all.
    """

    value: Any
    places: array[int]
    root: tuple[int, int]
    spelled: dict[int, str]


def place_of_mark(mark: Any) -> int:
    """Return the place of a mark of the YAML parser."""
    return int(mark.line << LINE | mark.column << COLUMN)


def position_of(place: int) -> Position:
    """Return the line and column of a place."""
    return Position((place >> LINE) + 1, ((place & ((1 << LINE) - 1)) >> COLUMN) + 1)
