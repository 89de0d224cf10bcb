"""Match a text with the `pattern` of a parameter, in time that no pattern can make explode. Pure.

Python's own matcher tries one way after another, which takes forever for some patterns. This one follows all
ways at once: it knows the positions that a part of the pattern can have reached. So it has no groups to refer
to, and no look-around.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

MAX_PATTERN = 200
MAX_TEXT = 1000
"""More characters than any value that has a pattern needs; the time grows with the square of it."""

sre: Any = import_module("re._constants")  # they have no types
sre_parser: Any = import_module("re._parser")

_WORD = re.compile(r"\w")
_CATEGORIES = {
    sre.CATEGORY_DIGIT: re.compile(r"\d"),
    sre.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    sre.CATEGORY_SPACE: re.compile(r"\s"),
    sre.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    sre.CATEGORY_WORD: _WORD,
    sre.CATEGORY_NOT_WORD: re.compile(r"\W"),
}
_KNOWN = {
    *(sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN, sre.BRANCH, sre.SUBPATTERN),
    *(sre.MAX_REPEAT, sre.MIN_REPEAT, sre.AT),
}


def pattern_problem(pattern: str) -> str:
    """Return what is wrong with a pattern, or nothing."""
    if len(pattern) > MAX_PATTERN:
        return f"has {len(pattern)} characters, at most {MAX_PATTERN} are allowed"
    try:
        re.compile(pattern)
        tree = _parsed(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression: {error}"
    if tree.state.flags & ~re.UNICODE:
        return "has flags such as (?i), which a pattern cannot have"
    return _unsupported(tree)


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern without problems matches the whole text."""
    return len(text) in _Matcher(text).follow(_parsed(pattern), {0})


@lru_cache(maxsize=256)
def _parsed(pattern: str) -> Any:
    return sre_parser.parse(pattern)


def _unsupported(part: Any) -> str:
    for kind, argument in part:
        if kind not in _KNOWN or (kind is sre.SUBPATTERN and (argument[1] or argument[2])):
            return "has a look-around, a reference to a group or a flag, which a pattern cannot have"
        for inner in _inner(kind, argument):
            if problem := _unsupported(inner):
                return problem
    return ""


def _inner(kind: Any, argument: Any) -> list[Any]:
    """Return the patterns inside a part of a pattern."""
    if kind is sre.BRANCH:
        return list(argument[1])
    if kind is sre.SUBPATTERN:
        return [argument[3]]
    return [argument[2]] if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT) else []


class _Matcher:
    """Follows a pattern through one text, from all positions at once."""

    def __init__(self, text: str) -> None:
        self.text = text

    def follow(self, parts: Any, starts: set[int]) -> set[int]:
        """Return where the parts can end, one after another, if they begin at these positions."""
        for kind, argument in parts:
            starts = self.one(kind, argument, starts)
            if not starts:
                break
        return starts

    def one(self, kind: Any, argument: Any, starts: set[int]) -> set[int]:
        """Return where one part can end."""
        if kind is sre.SUBPATTERN:
            return self.follow(argument[3], starts)
        if kind is sre.BRANCH:
            return set[int]().union(*(self.follow(branch, starts) for branch in argument[1]))
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, part = argument
            return self.repeat(least, most, part, starts)
        if kind is sre.AT:
            return {at for at in starts if self.is_at(argument, at)}
        return {at + 1 for at in starts if at < len(self.text) and _fits(kind, argument, self.text[at])}

    def repeat(self, least: int, most: Any, part: Any, starts: set[int]) -> set[int]:
        """Return where a part can end that comes so many times."""
        for _ in range(least):
            reached = self.follow(part, starts)
            if reached == starts:
                break
            starts = reached
        seen, new = set(starts), starts
        for _ in range(len(self.text) + 1 if most is sre.MAXREPEAT else most - least):
            new = self.follow(part, new) - seen
            if not new:
                break
            seen |= new
        return seen

    def is_at(self, place: Any, at: int) -> bool:
        """Whether a position is a beginning, an end or a boundary of a word."""
        if place in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return at == 0
        if place in (sre.AT_END, sre.AT_END_STRING):
            return at == len(self.text)
        before = at > 0 and _WORD.match(self.text[at - 1]) is not None
        after = at < len(self.text) and _WORD.match(self.text[at]) is not None
        return (before != after) is (place is sre.AT_BOUNDARY)


def _fits(kind: Any, argument: Any, character: str) -> bool:
    code = ord(character)
    if kind is sre.LITERAL:
        return bool(code == argument)
    if kind is sre.NOT_LITERAL:
        return bool(code != argument)
    if kind is sre.ANY:
        return character != "\n"
    negated = argument[0][0] is sre.NEGATE
    for one, value in argument[1:] if negated else argument:
        if (
            (one is sre.LITERAL and code == value)
            or (one is sre.RANGE and value[0] <= code <= value[1])
            or (one is sre.CATEGORY and _CATEGORIES[value].match(character))
        ):
            return not negated
    return negated
