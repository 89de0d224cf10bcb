"""List how a secret may be written: in base64, hex, URLs, JSON, quotes, as `repr` shows it, as a number."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Values shorter than this (characters) are masked only where they stand alone, as a value or on a line:
masking every `1` of a log because a PIN is `1` hides nothing and makes the log useless."""

_LONG = 4096
"""Of a longer value (characters) only the usual spellings are searched: each costs as much as the value."""

_WIDTHS = (76, 64)
"""The lines that base64 is written in: by `base64` and in mails, by `openssl` and in PEM."""

_LONGEST_NUMBER = 300
"""No longer number (digits) is read: it is beyond those of JSON, and the time grows with its square."""

_PERCENT = re.compile("%[0-9A-F]{2}")
_QUOTES = ("''", "'\"'\"'", "'\\''", "&#x27;", "&#39;", "&apos;")
"""How SQL, a shell, HTML and XML write an apostrophe inside of quotes."""


def spellings(secret: str) -> set[str]:
    """Return a secret, its encodings, and those of each line of one that has several.

    Spellings shorter than SHORTEST are left out, but for the secret itself.
    """
    values = {secret, secret.strip()}
    if "\n" in secret:
        values.update(line.strip() for line in secret.splitlines() if len(line.strip()) >= 2 * SHORTEST)
    encode = _encodings if len(secret) <= _LONG else _usual_encodings
    found = values.union(*map(encode, values))
    return {spelling for spelling in found if len(spelling) >= SHORTEST} | {secret.strip()}


def raw_bytes(text: str) -> bytes:
    """Return the bytes of a text; those of a variable that is no UTF-8 come out as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def numbers(text: str) -> set[int | float]:
    """Return the numbers that a secret may have become, none if it is not one in decimal digits."""
    if len(text) > _LONGEST_NUMBER:
        return set()
    try:
        value = float(text)
    except ValueError:
        return set()
    return {value, int(text)} if text.strip().lstrip("+-").isdecimal() else {value}


def number_text(value: float) -> str:
    """Return a number as JSON has it."""
    return json.dumps(value)


def _encodings(value: str) -> set[str]:
    raw = raw_bytes(value)
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {
        *_base64(raw),
        *quoted,
        *(_PERCENT.sub(lambda code: code[0].lower(), text) for text in quoted),
        *in_json,
        *(json.dumps(text)[1:-1] for text in in_json),  # JSON inside of a text of JSON
        repr(value)[1:-1],
        repr(raw)[2:-1],
        raw.hex(),
        raw.hex().upper(),
        *_quoted(value),
    }


def _usual_encodings(value: str) -> set[str]:
    """Return a long value, or a line of one, in JSON, and in base64 on its own."""
    coded = base64.b64encode(raw_bytes(value)).decode()
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {*in_json, coded, coded.rstrip("="), *_lines(coded.rstrip("="))}


def _quoted(value: str) -> set[str]:
    """Return a value as SQL, a shell, HTML and XML write it inside of quotes."""
    in_xml = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    texts = (value, in_xml, in_xml.replace('"', "&quot;"), in_xml.replace('"', "&#34;"))
    return {text.replace("'", quote) for text in texts for quote in ("'", *_QUOTES)}


def _base64(raw: bytes) -> set[str]:
    """Return a value in base64, standard and URL-safe: alone, and wherever it may stand inside of more.

    Inside (`Basic` authentication, a file's content) it begins at one of three places of a group of four
    characters; the characters that it shares with its neighbours are left out. What begins with the value may
    be written in lines.
    """
    found: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found |= {encode(raw).decode(), encode(raw).decode().rstrip("=")}
        for offset in range(3):
            text = encode(bytes(offset) + raw).decode().rstrip("=")
            inside = text[(8 * offset + 5) // 6 : 8 * (offset + len(raw)) // 6]
            if len(inside) >= 2 * SHORTEST:
                found.add(inside)
            if not offset:
                found.update(_lines(text))
                found.update(_lines(inside))
    return found


def _lines(text: str) -> Iterable[str]:
    """Yield the lines that a text in base64 is written in, if it has several, but for very short ones."""
    for width in _WIDTHS:
        if len(text) > width:
            lines = (text[start : start + width] for start in range(0, len(text), width))
            yield from (line for line in lines if len(line) >= 2 * SHORTEST)
