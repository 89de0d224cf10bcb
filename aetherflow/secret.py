"""Masking: every value known to be secret becomes `***` before a record leaves the engine."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
"""Values shorter than this (characters) are masked only where they stand alone: masking every `1` of a log
because a PIN is `1` hides nothing and makes the log useless."""

_SECRET_NAME = re.compile(
    r"(?:^|[_.\-])(?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization"
    r"|credentials?)s?(?=$|[_.\-])(?![_.\-](?:files?|paths?|dir|name|id|ttl|seconds|count|type|module|mode)$)",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://[^/\s:@'\"]*):(?P<password>[^/\s'\"]+)@")


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
        self._parts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._bytes_pattern: re.Pattern[bytes] | None = None
        for secret in secrets:
            self.add(secret)

    @property
    def is_empty(self) -> bool:
        """Whether no secret is known."""
        return not self._whole

    def add(self, secret: str) -> None:
        """Register a secret value, its encodings, and each line of one that has several."""
        if not secret.strip() or secret == MASK:
            return
        self._whole.add(secret)
        spellings = {secret, secret.strip()}
        if "\n" in secret:
            spellings.update(
                line.strip() for line in secret.splitlines() if len(line.strip()) >= 2 * SHORTEST
            )
        for value in list(spellings):
            spellings |= _encodings(value)
        added = {spelling for spelling in spellings if len(spelling) >= SHORTEST} - self._parts
        if added:
            self._parts = self._parts | added  # a new set: another thread may be compiling the old one
            self._pattern = self._bytes_pattern = None

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
            text = self._compiled().sub(MASK, text)
        if "://" in text:
            text = _USERINFO.sub(rf"\g<scheme>:{MASK}@", text)
        return text

    def bytes(self, data: bytes) -> bytes:
        """Return a line of a program's output with all secrets masked."""
        if not self._parts:
            return data
        if self._bytes_pattern is None:
            self._bytes_pattern = re.compile(self._compiled().pattern.encode())
        return self._bytes_pattern.sub(MASK.encode(), data)

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

    def _compiled(self) -> re.Pattern[str]:
        if self._pattern is None:
            longest_first = sorted(self._parts, key=lambda part: (-len(part), part))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern


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


def _encodings(value: str) -> set[str]:
    """Return how a value looks in base64 (standard and URL-safe, with and without padding), URLs and JSON."""
    raw = value.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    encoded |= {text.rstrip("=") for text in encoded}
    return encoded | {
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    }
