"""Map times to places of a timeline; the hours between two executions of a run take no room. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from aetherflow.web.model import Execution

GAP_SHARE = 0.035
"""How much of the width a gap between two executions takes."""
MOST_GAPS_SHARE = 0.35
SHORT_GAP_SHARE = 0.08
"""A gap that is shorter, compared with the time of execution, is drawn as it is."""
TICKS = 5
_STEPS = (
    *(one * 10**power for power in range(-3, 1) for one in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
)


class Piece(msgspec.Struct, frozen=True):
    """A stretch of time and its places: from `left` on, `width` long (percent)."""

    start: datetime
    end: datetime
    left: float
    width: float


class Gap(msgspec.Struct, frozen=True):
    """A time between two executions that is drawn short; `attempt` is the execution that follows."""

    seconds: float
    left: float
    width: float
    attempt: int


class Tick(msgspec.Struct, frozen=True):
    """A time on the axis: seconds since the beginning of its execution."""

    seconds: float
    left: float


class Scale(msgspec.Struct, frozen=True):
    """The places of times, in percent of the width."""

    pieces: tuple[Piece, ...]
    gaps: tuple[Gap, ...]
    ticks: tuple[Tick, ...]

    def left(self, at: datetime) -> float:
        """Return the place of a time; one outside all executions is at the nearest end of one."""
        number = max(bisect_right(self.pieces, at, key=lambda piece: piece.start) - 1, 0)
        piece = self.pieces[number]
        whole = (piece.end - piece.start).total_seconds()
        share = (at - piece.start).total_seconds() / whole if whole > 0 else 0.0
        return piece.left + piece.width * min(max(share, 0.0), 1.0)


def scale_of(executions: Sequence[Execution]) -> Scale:
    """Return the scale of a run; there is at least one execution."""
    merged = _merged(executions)
    seconds = [max((one.end - one.start).total_seconds(), 0.001) for one in merged]
    whole, number = sum(seconds), len(merged) - 1
    gap_width = 100 * min(GAP_SHARE, MOST_GAPS_SHARE / max(number, 1))
    room = 100 - gap_width * number
    pieces: list[Piece] = []
    gaps: list[Gap] = []
    left = 0.0
    for one, length in zip(merged, seconds, strict=True):
        if pieces:
            between = (one.start - pieces[-1].end).total_seconds()
            gaps.append(Gap(between, left, gap_width, one.attempt))
            left += gap_width
        width = room * length / whole
        pieces.append(Piece(one.start, one.end, left, width))
        left += width
    return Scale(tuple(pieces), tuple(gaps), _ticks(pieces, whole, room))


def _merged(executions: Sequence[Execution]) -> list[Execution]:
    """Return executions, those with hardly a gap between them as one."""
    whole = sum((one.end - one.start).total_seconds() for one in executions)
    merged = [executions[0]]
    for one, following in pairwise(executions):
        gap = (following.start - one.end).total_seconds()
        if gap < SHORT_GAP_SHARE * whole:
            merged[-1] = msgspec.structs.replace(merged[-1], end=max(following.end, merged[-1].end))
        else:
            merged.append(following)
    return merged


def _ticks(pieces: Sequence[Piece], whole: float, room: float) -> tuple[Tick, ...]:
    step = next((one for one in _STEPS if whole / one <= TICKS), 86400 * max(round(whole / 86400 / TICKS), 1))
    found: list[Tick] = []
    for piece in pieces:
        length = (piece.end - piece.start).total_seconds()
        number = 0
        while number * step <= length and number <= 2 * TICKS:
            place = piece.left + (piece.width * number * step / length if length else 0.0)
            if number == 0 and found and place - found[-1].left < room / (2 * TICKS):
                found.pop()  # the beginning of an execution says more than the end of the one before
            if number == 0 or place - found[-1].left > room / (2 * TICKS):
                found.append(Tick(number * step, place))
            number += 1
    return tuple(found)
