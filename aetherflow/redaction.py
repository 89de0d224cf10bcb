"""Mask secrets: every value known to be secret becomes `***` before a record leaves the engine."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Values shorter than this (characters) are masked only where they stand alone, as a value or on a line:
masking every `1` of a log because a PIN is `1` hides nothing and makes the log useless."""

_WIDTHS = (76, 64)
"""The lines that base64 is written in: by `base64` and in mails, by `openssl` and in PEM."""

_SECRET_NAME = re.compile(
    r"(?:(?:^|[_.\-])|(?=password|passwd|passphrase))"  # PGPASSWORD has no separator
    r"(?:pass(?:word|wd|phrase)?|secret|(?<!max[_.\-])token|api[_-]?key|access[_-]?key|private[_-]?key|authorization"
    r"|credentials?)s?(?=$|[_.\-])(?![_.\-](?:files?|paths?|dir|name|id|ttl|seconds|count|type|module|mode)$)",
    re.IGNORECASE,
)
_PERCENT = re.compile("%[0-9A-F]{2}")
_ALONE = r"^([ \t]*)(?:{})(?=[ \t]*\r?$)"
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USERINFO = re.compile(r"(?P<scheme>://[^/\s:@'\"]*):(?P<password>[^/\s'\"]+)@")
_USERINFO_BYTES = re.compile(_USERINFO.pattern.encode())


def names_a_secret(key: str) -> bool:
    """Whether a key is named like a secret: password, token, api_key, DB_PASSWORD, clientSecret ..."""
    return _SECRET_NAME.search(_CAMEL.sub("_", key)) is not None


def url_password(text: str) -> str | None:
    """Return the password in `scheme://user:password@host`, if the text holds such a URL."""
    found = _USERINFO.search(text)
    return found["password"] if found else None


class Redactor:
    """Replaces registered secrets, their usual encodings and passwords in URLs by `***`.

    Values are registered while a run resolves its configuration; masking is then pure.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._whole: set[str] = set()
        self._parts: frozenset[str] = frozenset()
        self._patterns: _Patterns | None = None
        self._adding = threading.Lock()
        for secret in secrets:
            self.add(secret)

    @property
    def is_empty(self) -> bool:
        """Whether no secret is known."""
        return not self._whole

    def add(self, secret: str) -> None:
        """Register a secret value, its encodings, and each line of one that has several."""
        if not secret.strip() or secret == MASK or secret in self._whole:
            return
        spellings = {secret, secret.strip()}
        if "\n" in secret:
            spellings.update(
                line.strip() for line in secret.splitlines() if len(line.strip()) >= 2 * SHORTEST
            )
        for value in list(spellings):
            spellings |= _encodings(value)
        added = {spelling for spelling in spellings if len(spelling) >= SHORTEST} | {secret.strip()}
        with self._adding:  # resources are resolved in worker threads, several at once
            self._parts |= added
            self._whole.add(secret)

    def add_named(self, values: Any) -> None:
        """Register the texts under keys that are named like secrets, and the passwords in URLs, of a tree."""
        if isinstance(values, Mapping):
            for key, value in values.items():
                if names_a_secret(str(key)):
                    for text in _texts(value):
                        self.add(text)
                else:
                    self.add_named(value)
        elif isinstance(values, list | tuple):
            for value in values:
                self.add_named(value)
        elif isinstance(values, str) and (password := url_password(values)):
            self.add(password)

    def text(self, text: str) -> str:
        """Return the text with all secrets masked."""
        if text in self._whole:
            return MASK
        if self._parts:
            patterns = self._compiled()
            text = patterns.of_text.sub(MASK, text)
            if patterns.short:
                text = patterns.alone_in_text.sub(rf"\1{MASK}", text)
        if "://" in text:
            text = _USERINFO.sub(rf"\g<scheme>:{MASK}@", text)
        return text

    def bytes(self, data: bytes) -> bytes:
        """Return lines of a program's output with all secrets masked."""
        if self._parts:
            patterns = self._compiled()
            data = patterns.of_bytes.sub(MASK.encode(), data)
            if patterns.short:
                data = patterns.alone_in_bytes.sub(rb"\1" + MASK.encode(), data)
        if b"://" in data:
            data = _USERINFO_BYTES.sub(rb"\g<scheme>:" + MASK.encode() + b"@", data)
        return data

    def value(self, value: Any) -> Any:
        """Return a JSON value with secrets masked in every text, and whole under keys named like secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(k): MASK if v and names_a_secret(k) else self.value(v) for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def _compiled(self) -> _Patterns:
        parts, patterns = self._parts, self._patterns
        if patterns is None or patterns.parts is not parts:
            patterns = self._patterns = _Patterns(parts)
        return patterns


class _Patterns:
    """The compiled patterns of a set of secrets; `parts` is that set, to notice when it has changed."""

    def __init__(self, parts: frozenset[str]) -> None:
        self.parts = parts
        self.short = sorted(part for part in parts if len(part) < SHORTEST)
        self._long = [part for part in parts if len(part) >= SHORTEST]

    @cached_property
    def of_text(self) -> re.Pattern[str]:
        return re.compile(_one_of(self._long))

    @cached_property
    def of_bytes(self) -> re.Pattern[bytes]:
        # a byte is here the character of its number, so that one function serves both
        return re.compile(_one_of(_raw(part).decode("latin-1") for part in self._long).encode("latin-1"))

    @cached_property
    def alone_in_text(self) -> re.Pattern[str]:
        return re.compile(_ALONE.format("|".join(map(re.escape, self.short))), re.MULTILINE)

    @cached_property
    def alone_in_bytes(self) -> re.Pattern[bytes]:
        short = b"|".join(re.escape(_raw(part)) for part in self.short)
        return re.compile(_ALONE.encode().replace(b"{}", short), re.MULTILINE)


def _one_of(parts: Iterable[str]) -> str:
    """Return a pattern of texts, where the longest wins.

    They are sorted by their first character: of hundreds, which a key of many lines has, few are then tried
    at each place.
    """
    by_first: dict[str, list[str]] = {}
    for part in sorted(parts, key=lambda part: (-len(part), part)):
        by_first.setdefault(part[0], []).append(re.escape(part[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in by_first.items()) or "(?!)"


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, bool) or value is None:
        return
    else:
        yield str(value)


def _raw(text: str) -> bytes:
    """Return the bytes of a text; those of a variable that is no UTF-8 come out as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _encodings(value: str) -> set[str]:
    """Return how a value looks in base64, in URLs, in JSON, and as `repr` shows it in an error's text."""
    raw = _raw(value)
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {
        *_base64(raw),
        *quoted,
        *(_PERCENT.sub(lambda code: code[0].lower(), text) for text in quoted),
        *in_json,
        *(json.dumps(text)[1:-1] for text in in_json),  # JSON inside of a text of JSON
        repr(value)[1:-1],
    }


def _base64(raw: bytes) -> set[str]:
    """Return a value in base64, standard and URL-safe: alone, and wherever it may stand inside of more.

    Inside (`Basic` authentication, a file's content) it begins at one of three places of a group of four
    characters; the characters that it shares with its neighbours are left out. What begins with the value may
    be written in lines.
    """
    spellings: set[str] = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        spellings |= {encode(raw).decode(), encode(raw).decode().rstrip("=")}
        for offset in range(3):
            text = encode(bytes(offset) + raw).decode().rstrip("=")
            inside = text[(8 * offset + 5) // 6 : 8 * (offset + len(raw)) // 6]
            if len(inside) >= 2 * SHORTEST:
                spellings.add(inside)
            if not offset:
                spellings.update(_lines(text))
                spellings.update(_lines(inside))
    return spellings


def _lines(text: str) -> Iterable[str]:
    """Yield the lines that a text in base64 is written in, if it has several, but for very short ones."""
    for width in _WIDTHS:
        if len(text) > width:
            lines = (text[start : start + width] for start in range(0, len(text), width))
            yield from (line for line in lines if len(line) >= 2 * SHORTEST)
