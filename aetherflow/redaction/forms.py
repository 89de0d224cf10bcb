"""Find secrets inside texts by their form, though nobody registered them: in URLs, beside names, in commands.

Most texts have none, and lines of logs are many: a fast search for words that every form has comes first, and
only what is around one of them is read. A long text is searched once for all of them, and only the lines that
have one are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from string import ascii_letters, digits
from typing import Any

from aetherflow.redaction.commands import in_command
from aetherflow.redaction.found import Found
from aetherflow.redaction.pairs import in_elements, in_pair
from aetherflow.redaction.urls import in_urls

_NAMES = ("pass", "secret", "token", "pwd", "auth", "key", "cred", "cookie", "jwt", "sig")
"""Every name that a form can have contains one of these."""

_NAMED = {
    word: rf"{word}[\w.\-]{{0,80}}+(?:(?P<pair>(?:\\*[\"'])?[ \t]*[=:])|[ \t]+\S|[\"'])" for word in _NAMES
}
"""Texts, which `re` compiles at their first use and keeps: a start does not pay for all of them."""

_PROGRAMS = (
    "curl",
    "mysql",
    "mariadb",
    "sshpass",
    "redis-cli",
    "ldap",
    "sqlcmd",
    "bcp",
    "smbclient",
    "zip",
    "7z",
    "docker",
    "podman",
    "openssl",
)
_OPTION = re.compile(r"[ \"']--?[pawu]")
_BESIDE_WORDS = {
    "identified": r"identified\s+by\s+'(?P<value>(?:[^'\n]|'')+)'",
    'identified by "': r"identified by \"(?P<value>[^\"\n]+)\"",
    "password": r"password\s+'(?P<value>(?:[^'\n]|'')+)'",
    "bearer": r"bearer[ \t]+(?P<value>(?=[a-z\-_.~+/]*[\d.])[\w\-.~+/]{12,}=*)",
}
_WORDS = ("://", "jdbc:oracle:", *_NAMES, *_BESIDE_WORDS, *_PROGRAMS)
"""Every form has one of these."""

_LETTERS = f"{ascii_letters}{digits}_.-"
_LONGEST_NAME = 80
_LONG = 4096
"""From so many characters on a text is searched for all words at once."""


def found_in(text: str) -> list[Found]:
    """Return the secrets that the forms show, in order; some may overlap."""
    if text.isidentifier():  # most texts are names, and a name has no form
        return []
    found: list[Found] = []
    for start, end in _whole(text) if len(text) < _LONG else _suspicious(text):
        part = text[start:end]
        in_part = [*in_urls(part), *in_elements(part), *_named(part)]
        found += [one._replace(start=start + one.start, end=start + one.end) for one in in_part]
    found.sort()
    return found


def _whole(text: str) -> list[tuple[int, int]]:
    """Return a short text as one part, if it has a word of a form."""
    lowered = text.lower()
    return [(0, len(text))] if any(map(lowered.__contains__, _WORDS)) else []


def _suspicious(text: str) -> Iterator[tuple[int, int]]:
    """Yield the lines that have a word of a form; lines one after the other as one part."""
    start = end = 0
    for _, place, _ in _automaton().find_matches_as_indexes(text.encode("latin-1", "replace").lower()):
        if place < end:
            continue
        before = text.rfind("\n", end, place) + 1 or end
        if before > end:
            if end:
                yield start, end
            start = before
        end = text.find("\n", place) + 1 or len(text)
    if end:
        yield start, end


@cache
def _automaton() -> Any:
    """Return the automaton of the words of which every form has one; only long texts need it."""
    from ahocorasick_rs import BytesAhoCorasick, MatchKind  # noqa: PLC0415 - see above

    return BytesAhoCorasick([word.encode() for word in _WORDS], MatchKind.LeftmostFirst)


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
    if any(start in lowered for start in (" -", "'-", '"-')) and any(map(lowered.__contains__, _PROGRAMS)):
        commands.update(match.start() for match in _OPTION.finditer(lowered))
    yield from _pairs(text, names)
    for start, end in _lines(text, commands):
        for found in in_command(text[start:end]):
            yield found._replace(start=start + found.start, end=start + found.end)
    for match in _matches(_BESIDE_WORDS, lowered):
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
