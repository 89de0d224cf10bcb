"""The Redactor: it knows the secrets of a run, and replaces them by `***` in texts, bytes and JSON values."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from aetherflow.redaction.commands import in_list
from aetherflow.redaction.forms import found_in
from aetherflow.redaction.found import learned
from aetherflow.redaction.names import names_a_secret
from aetherflow.redaction.search import Search, Span, merged, spans_across_colours, spans_alone
from aetherflow.redaction.spellings import SHORTEST, number_text, numbers, raw_bytes, spellings
from aetherflow.redaction.values import can_be_secret, is_about, is_lone, texts_of

MASK = "***"
_MASK = MASK.encode()
_COLOUR = b"\x1b["
_LISTS, _MAPPINGS = (list, tuple), (dict, Mapping)
"""Asked for each value: the usual types come first, and no union is made for it."""

_Bytes = bytes  # the class has a method of that name


class Redactor:
    """Replaces registered secrets, their usual encodings, and passwords inside texts by `***`.

    Values are registered while a run resolves its configuration; masking is then pure.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._whole: set[str] = set()
        self._searched: set[str] = set()
        self._numbers: set[int | float] = set()
        self._short: frozenset[bytes] = frozenset()
        self._search = Search()
        self._unsearched: set[str] = set()
        self._adding = threading.Lock()
        for secret in secrets:
            self.add(secret)

    @property
    def is_empty(self) -> bool:
        """Whether no secret is known."""
        return not self._whole

    @property
    def secrets(self) -> list[str]:
        """The values that are known to be secret."""
        return sorted(self._whole)

    def add(self, secret: str) -> None:
        """Register a value that is secret whatever it is: its encodings too, and each line of several."""
        if secret.strip() and secret != MASK and secret not in self._searched:
            self._register(secret, spellings(secret))

    def _register(self, secret: str, added: set[str]) -> None:
        """Register a secret with the spellings that are searched; without any, it is masked only alone."""
        lone = {text for text in added if len(text) < SHORTEST} or ({secret.strip()} - added)
        short = {raw_bytes(text) for text in lone}
        with self._adding:  # resources are resolved in worker threads, several at once
            self._unsearched |= added
            self._short |= short
            self._numbers |= numbers(secret)
            self._whole.add(secret)
            if added:
                self._searched.add(secret)

    def add_named(self, values: Any) -> None:
        """Register, of a tree, what is under keys named like secrets, and the passwords inside its texts.

        A value that cannot be a secret (a truth value, a short number, a common word) is left out.
        """
        if isinstance(values, str):
            for found in found_in(values):
                self._add_found(text for text in learned(values, found) if len(text) >= SHORTEST)
        elif isinstance(values, _LISTS):
            for number, found in in_list(values):
                self._add_found(learned(values[number], found))
            for value in values:
                self.add_named(value)
        elif isinstance(values, _MAPPINGS):
            for key, value in values.items():
                if names_a_secret(str(key)) and not is_about(str(key), value):
                    self._add_found(texts_of(value))
                else:
                    self.add_named(value)

    def _add_found(self, texts: Iterable[str]) -> None:
        for text in texts:
            if not can_be_secret(text):
                continue
            if is_lone(text) and text not in self._whole:
                self._register(text, set())
            elif not is_lone(text):
                self.add(text)

    def text(self, text: str) -> str:
        """Return the text with all secrets masked."""
        if text in self._whole:
            return MASK
        if self._whole:
            text = self._known_masked(text)
        found = found_in(text)
        return _replaced(text, merged((one.start, one.end) for one in found), MASK) if found else text

    def bytes(self, data: bytes) -> bytes:
        """Return lines of a program's output with all secrets masked."""
        if self._whole and (spans := self._spans(data)):
            data = _replaced(data, spans, _MASK)
        found = found_in(data.decode("latin-1"))  # a byte is here the character of its number
        return _replaced(data, merged((one.start, one.end) for one in found), _MASK) if found else data

    def value(self, value: Any) -> Any:
        """Return a JSON value with secrets masked: in texts, keys and numbers, and whole under secret names.

        Truth values and null stay as they are: they are no secrets.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, _LISTS):
            return self._list(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, _MAPPINGS):
            return self._mapping(value)
        if isinstance(value, bytes):
            return self.bytes(value)
        return MASK if self._whole and self._is_secret_number(value) else value

    def _mapping(self, value: Mapping[Any, Any]) -> dict[Any, Any]:
        masked: dict[Any, Any] = {}
        for key, item in value.items():
            shown = self.text(key) if isinstance(key, str) else self.value(key)
            if shown != key:
                shown = next(name for name in _numbered(shown) if name not in masked and name not in value)
            is_hidden = item and names_a_secret(str(key)) and not is_about(str(key), item)
            masked[shown] = MASK if is_hidden else self.value(item)
        return masked

    def _list(self, values: list[Any] | tuple[Any, ...]) -> list[Any]:
        """Return a list that is masked; it may be the words of a command."""
        masked = [self.value(value) for value in values]
        for number, found in in_list(values):
            word = values[number]
            masked[number] = self.text(word[: found.start]) + MASK + self.text(word[found.end :])
        return masked

    def _is_secret_number(self, value: Any) -> bool:
        if value in self._numbers:
            return True
        text = number_text(value) if isinstance(value, int | float) else str(value)
        return self._known_masked(text) != text

    def _known_masked(self, text: str) -> str:
        """Return the text without the values that are known."""
        handler = "strict"
        try:
            data = text.encode()
        except UnicodeEncodeError:
            data, handler = raw_bytes(text), "surrogateescape"
            if data.decode(errors=handler) != text:
                data, handler = text.encode(errors="surrogatepass"), "surrogatepass"
        spans = self._spans(data)
        if not spans:
            return text
        return _decoded(_replaced(data, spans, _MASK), handler)

    def _spans(self, data: _Bytes) -> list[Span]:
        spans = self._plain_spans(data)
        return merged([*spans, *spans_across_colours(data, self._plain_spans)]) if _COLOUR in data else spans

    def _plain_spans(self, data: _Bytes) -> list[Span]:
        if self._unsearched:
            with self._adding:
                if self._unsearched:  # another thread may have been first
                    self._search = self._search.extended(self._unsearched)
                    self._unsearched = set()
        spans = self._search.spans(data)
        short = self._short
        return merged([*spans, *spans_alone(data, short)]) if short else spans


def _replaced(whole: Any, spans: Iterable[Span], mask: Any) -> Any:
    """Return a text, or bytes, with the mask at each of the places."""
    pieces, at = [], 0
    for start, end in spans:
        pieces += [whole[at:start], mask]
        at = end
    return whole[:0].join([*pieces, whole[at:]])


def _decoded(data: bytes, handler: str) -> str:
    try:
        return data.decode(errors=handler)
    except UnicodeDecodeError:  # a secret that is no text was found inside a character
        return data.decode(errors="replace")


def _numbered(name: Any) -> Iterable[Any]:
    """Yield names for a masked key: two keys of a mapping are not to become one."""
    yield name
    number = 2
    while True:
        yield f"{name} ({number})"
        number += 1


def holds_mask(value: Any) -> bool:
    """Whether a masked value, or a part of it, is a mask in the place of a secret."""
    match value:
        case str():
            return MASK in value
        case dict():
            return any(map(holds_mask, value)) or any(map(holds_mask, value.values()))
        case list():
            return any(map(holds_mask, value))
        case _:
            return False
