"""The form of an entry."""

from __future__ import annotations

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """What a code means.

    Attributes:
        meaning: what happened, in one sentence.
        example: a line of a flow, or a command, that leads to it.
        remedy: what to do about it.
    """

    meaning: str
    example: str
    remedy: str
