"""A secret that was found inside a text by its form, and the values to learn from it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple
from urllib.parse import unquote

from aetherflow.redaction.names import names_a_secret

Form = Literal["word", "url", "quoted", "basic", "cookie"]
"""How a secret is written: as it is, in a URL, in quotes with escapes, as Basic credentials, as cookies."""

_VARIABLE = re.compile(r"[A-Za-z_.]+")
_ESCAPED = re.compile(r"\\(.)")
_KEY_OF_A_SERVICE = re.compile(
    r"(?:gh[opsur]_|github_pat_|glpat-|xox[abposr]-|sk[-_]|hf_|npm_|dckr_pat_|AKIA)\w"
)
_MIXED = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w\-+=~]{16,}")


class Found(NamedTuple):
    """Where a secret is in a text.

    Attributes:
        start: its first character.
        end: the character after its last.
        form: how it is written.
        is_certain: whether its value may be masked wherever else it is found.
    """

    start: int
    end: int
    form: Form = "word"
    is_certain: bool = True


def learned(text: str, found: Found) -> Iterator[str]:
    """Yield the values of a secret found in a text: as it is written, and as a program reads it."""
    value = text[found.start : found.end]
    is_variable = found.form == "word" and _VARIABLE.fullmatch(value) and names_a_secret(value)
    if not found.is_certain or is_variable:  # `password=args.password`
        return
    yield value
    match found.form:
        case "url":
            yield unquote(value)
        case "quoted":
            yield _ESCAPED.sub(r"\1", value)
            yield value.replace("''", "'")
        case "basic":
            yield from _basic_password(value)
        case "cookie":
            parts = (part.partition("=")[2].strip() for part in value.split(";"))
            yield from filter(looks_like_a_token, parts)
        case "word":
            pass


def looks_like_a_token(text: str) -> bool:
    """Whether a text cannot be a word or a name: a key of a known form, or long, of letters and digits."""
    return _KEY_OF_A_SERVICE.match(text) is not None or _MIXED.fullmatch(text) is not None


def _basic_password(credentials: str) -> tuple[str, ...]:
    try:
        user, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ()
    return (password,) if user and colon and password else ()
