"""Read the part of a text that has a word of a form: find the secrets in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_letters, digits

from aetherflow.redaction.commands import in_command
from aetherflow.redaction.form_words import BESIDE_WORDS, NAMES, PROGRAMS
from aetherflow.redaction.found import Found
from aetherflow.redaction.pairs import in_elements, in_pair
from aetherflow.redaction.urls import in_urls

_NAMED = {
    word: rf"{word}[\w.\-]{{0,80}}+(?:(?P<pair>(?:\\*[\"'])?[ \t]*[=:])|[ \t]+\S|[\"'])" for word in NAMES
}
"""Texts, which `re` compiles at their first use and keeps: a run does not pay for all of them."""

_OPTION = re.compile(r"[ \"']--?[pawu]")
_LETTERS = f"{ascii_letters}{digits}_.-"
_LONGEST_NAME = 80


def in_part(text: str) -> list[Found]:
    """Return the secrets that the forms show in a part of a text, in no order."""
    return [*in_urls(text), *in_elements(text), *_named(text)]


def _named(text: str) -> Iterator[Found]:
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters of other scripts have longer small forms
        lowered = text
    names: set[int] = set()
    commands: set[int] = set()
    for match in _matches(_NAMED, lowered):
        start = _name_start(text, match.start())
        if match["pair"]:
            names.add(start)
        elif text[start - 1 : start] == "-":
            commands.add(start)
    if any(start in lowered for start in (" -", "'-", '"-')) and any(map(lowered.__contains__, PROGRAMS)):
        commands.update(match.start() for match in _OPTION.finditer(lowered))
    yield from _pairs(text, names)
    for start, end in _lines(text, commands):
        for found in in_command(text[start:end]):
            yield found._replace(start=start + found.start, end=start + found.end)
    for match in _matches(BESIDE_WORDS, lowered):
        yield Found(*match.span("value"), "quoted")


def _pairs(text: str, names: Iterable[int]) -> Iterator[Found]:
    """Yield the values of names that begin at these places, but not of one inside of another's value."""
    end = 0
    for start in sorted(names):
        for found in in_pair(text, start) if start >= end else ():
            end = found.end
            yield found


def _lines(text: str, places: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the lines that have one of the places, each once."""
    end = -1
    for place in sorted(places):
        if place > end:
            start = text.rfind("\n", end + 1, place) + 1 or end + 1
            end = text.find("\n", place)
            end = end if end >= 0 else len(text)
            yield start, end


def _matches(patterns: Mapping[str, str], lowered: str) -> Iterator[re.Match[str]]:
    """Yield the matches of the patterns; each begins with its word, for which a text is searched fast."""
    for word, pattern in patterns.items():
        if word in lowered:
            yield from re.finditer(pattern, lowered)


def _name_start(text: str, inside: int) -> int:
    """Return where the name begins that has a character at `inside`."""
    before = text[max(inside - _LONGEST_NAME, 0) : inside]
    name = before[len(before.rstrip(_LETTERS)) :].lstrip("-.0123456789")
    return inside - len(name)
