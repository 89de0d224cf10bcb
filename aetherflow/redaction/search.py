"""Find all secrets in one pass over a text, however many there are (Aho-Corasick).

A run adds secrets while it writes lines, so an automaton of all of them would be built again and again. There
are two: a large one, and a small one of what was added since.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from aetherflow.redaction.spellings import SHORTEST, raw_bytes

Span = tuple[int, int]

_RECENT_SHARE = 8
"""The small automaton is merged into the large one when it has more than this part of its spellings."""

_ALONE = re.compile(rb"^[ \t]*(\S(?:[^\r\n]{0,12}?\S)?)(?=[ \t]*\r?$)", re.MULTILINE)
"""What may be a short secret alone on a line: three characters of UTF-8 have at most twelve bytes."""

_COLOUR = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


_HEAD = 512
"""An automaton has only so many bytes of a longer pattern: one that repeats would cost its square."""


class Search:
    """Finds the spellings of secrets in bytes; immutable, so any thread may use it."""

    def __init__(self, settled: _Automaton | None = None, recent: _Automaton | None = None) -> None:
        self._settled = settled
        self._recent = recent

    def extended(self, spellings: Iterable[str]) -> Search:
        """Return a search that also finds these spellings."""
        added = {raw_bytes(text) for text in spellings if len(text) >= SHORTEST}
        added |= {text.encode("utf-8", "surrogatepass") for text in spellings if len(text) >= SHORTEST}
        recent = added | (self._recent.patterns if self._recent else frozenset())
        if self._settled is None or len(recent) * _RECENT_SHARE > len(self._settled.patterns):
            whole = recent | (self._settled.patterns if self._settled else frozenset())
            return Search(_Automaton(frozenset(whole)) if whole else None)
        return Search(self._settled, _Automaton(frozenset(recent)) if recent else None)

    def spans(self, data: bytes) -> list[Span]:
        """Return where secrets are, in order; they do not overlap."""
        first = self._settled.spans(data) if self._settled else []
        return merged(first + self._recent.spans(data)) if self._recent else first


class _Automaton:
    """The automaton of a set of patterns; of several that begin at one place, the longest is found.

    Of a long pattern the head is searched, and masked with all that follows as in the pattern.
    """

    def __init__(self, patterns: frozenset[bytes]) -> None:
        from ahocorasick_rs import BytesAhoCorasick, MatchKind  # noqa: PLC0415 - only runs with secrets need it

        self.patterns = patterns
        short = [pattern for pattern in patterns if len(pattern) <= _HEAD]
        self._short: Any = BytesAhoCorasick(short, MatchKind.LeftmostLongest)
        tails: dict[bytes, list[bytes]] = {}
        for pattern in patterns:
            if len(pattern) > _HEAD:
                tails.setdefault(pattern[:_HEAD], []).append(pattern[_HEAD:])
        self._tails = list(tails.values())
        self._heads: Any = BytesAhoCorasick(list(tails), MatchKind.LeftmostLongest) if tails else None

    def spans(self, data: bytes) -> list[Span]:
        spans = [(start, end) for _, start, end in self._short.find_matches_as_indexes(data)]
        if self._heads is None or len(data) < _HEAD:
            return spans
        reached = 0
        for number, start, end in self._heads.find_matches_as_indexes(data):
            if end > reached:
                reached = end + max(_common(data, end, tail) for tail in self._tails[number])
                spans.append((start, reached))
        return merged(spans)


def _common(data: bytes, at: int, tail: bytes) -> int:
    """Return how many bytes of a tail follow at a place of the data."""
    if data.startswith(tail, at):
        return len(tail)
    return bisect_left(range(1, len(tail)), 1, key=lambda size: not data.startswith(tail[:size], at))


def spans_alone(data: bytes, short: frozenset[bytes]) -> list[Span]:
    """Return where one of some short texts is alone on a line, blanks around it aside."""
    return [found.span(1) for found in _ALONE.finditer(data) if found[1] in short]


def spans_across_colours(data: bytes, find: Callable[[bytes], list[Span]]) -> list[Span]:
    """Return where secrets are that have codes of colours inside: the screen shows them without."""
    codes = [code.span() for code in _COLOUR.finditer(data)]
    starts = [0, *(end for _, end in codes)]
    pieces = [data[start:end] for start, end in zip(starts, [*(at for at, _ in codes), None], strict=True)]
    plain_starts = [0]
    for piece in pieces[:-1]:
        plain_starts.append(plain_starts[-1] + len(piece))

    def place(plain: int) -> int:
        number = bisect_right(plain_starts, plain) - 1
        return starts[number] + plain - plain_starts[number]

    return [(place(start), place(end - 1) + 1) for start, end in find(b"".join(pieces))]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, with those that overlap as one."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result
