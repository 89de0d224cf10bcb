"""Decide which values cannot be secrets, whatever their name: such a value is never masked elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aetherflow.redaction.names import counts, words

SHORT_DIGITS = 2
"""A number of at most this many digits is a length or a count, and no secret."""

LONE_DIGITS = 4
"""One of at most this many may be a PIN, or a port or a year: it is masked only where it stands alone."""

_WORDS = words(
    "true false yes no on off none null nil undefined default auto enabled disabled enable disable always"
    " never required optional prefer allow deny any all basic bearer token secret password passwd pass key"
    " empty localhost root admin administrator user username guest anonymous postgres mysql oracle redis"
    " test testing dev development prod production staging local example sample demo dummy changeme"
    " change-me string text int bool file env vault plain plaintext"
)
"""Words that a setting, a host or a well-known default has: who knows one knows no secret."""

_NUMBER = re.compile(r"[+-]?\d*\.?\d*")


def can_be_secret(text: str) -> bool:
    """Whether a text that was found by the name of its key may be masked wherever it is found."""
    plain = text.strip().casefold()
    if not plain or plain in _WORDS:
        return False
    return _digits(plain) > SHORT_DIGITS


def is_lone(text: str) -> bool:
    """Whether such a text is masked only where it stands alone: it is a short number."""
    return _digits(text.strip()) <= LONE_DIGITS


def is_about(name: str, value: Any) -> bool:
    """Whether a value under the name of a secret is none: a truth value, a count of many, or of tests."""
    if not isinstance(value, int | float):
        return False
    is_of_tests = name.lower() == "pass" and not can_be_secret(str(value))
    return isinstance(value, bool) or counts(name) or is_of_tests


def _digits(text: str) -> float:
    """Return how many digits a number has; what is no number counts as one with very many."""
    return sum(map(str.isdecimal, text)) if _NUMBER.fullmatch(text) else float("inf")


def texts_of(value: Any) -> Iterable[str]:
    """Yield the texts of a tree, numbers as text; booleans and null are none."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts_of(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, bool) or value is None:
        return
    else:
        yield str(value)
