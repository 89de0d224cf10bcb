"""Find secrets inside texts by their form, though nobody registered them: in URLs, beside names, in commands.

Most texts have none, and lines of logs are many: a fast search for words that every form has comes first, and
only what is around one of them is read. A long text is searched once for all of them, and only the lines that
have one are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from aetherflow.redaction.form_words import BESIDE_WORDS, NAMES, PROGRAMS
from aetherflow.redaction.found import Found

_WORDS = ("://", "jdbc:oracle:", *NAMES, *BESIDE_WORDS, *PROGRAMS)
"""Every form has one of these."""

_LONG = 4096
"""From so many characters on a text is searched for all words at once."""


def found_in(text: str) -> list[Found]:
    """Return the secrets that the forms show, in order; some may overlap."""
    if text.isidentifier():  # most texts are names, and a name has no form
        return []
    parts = _whole(text) if len(text) < _LONG else list(_suspicious(text))
    if not parts:
        return []
    from aetherflow.redaction.forms_in_part import in_part  # noqa: PLC0415 - most runs show no secret

    found: list[Found] = []
    for start, end in parts:
        shown = in_part(text[start:end])
        found += [one._replace(start=start + one.start, end=start + one.end) for one in shown]
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
