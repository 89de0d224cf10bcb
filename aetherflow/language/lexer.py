"""Split the text of a condition into lexemes; a `bad` lexeme marks what the parser must report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from aetherflow.language.reference import PATH

Kind = Literal["literal", "path", "keyword", "operator", "mark", "bad", "end"]

LITERALS = {"true": True, "false": False, "null": None, "none": None}
KEYWORDS = frozenset({"and", "or", "not", "in"})
_LONGEST_NUMBER = 64
_PATTERN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])
    | (?P<path>{PATH})
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<operator>[=!<>]=|[<>])
    | (?P<mark>[()\[\],])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\([\\'\"])")
_ARITHMETIC = (
    "there is no arithmetic in a condition; let a step compute the value, or for a date a param: "
    "{type: date, default: today-1d}"
)
_HINTS = {
    "{": "write the bare path, without braces: jobs.ID.outputs.KEY",
    "=": "write == to compare",
    "&": "write and",
    "|": "write or",
    "!": "write not, or != to compare",
    "'": "the text is not closed: write another ' at its end",
    '"': 'the text is not closed: write another " at its end',
    "$": "write the bare path: params.NAME, jobs.ID.outputs.KEY or env.NAME",
    **dict.fromkeys("\u201c\u201d\u2018\u2019", "write straight quotes: 'text'"),
    **dict.fromkeys("+-*/%", _ARITHMETIC),
}


_KINDS: dict[str, Kind] = {"path": "path", "operator": "operator", "mark": "mark"}


class Lexeme(msgspec.Struct, frozen=True, gc=False):
    """A word of a condition: a keyword in lower case, the value of a literal, the hint of a bad one."""

    kind: Kind
    text: str
    offset: int
    value: Any = None

    def is_(self, text: str) -> bool:
        """Whether it is this keyword, operator or mark."""
        return self.text == text and self.kind in ("keyword", "operator", "mark")


def lexemes(text: str) -> Iterator[Lexeme]:
    """Yield the lexemes of a condition, up to the end or the first bad one."""
    at = 0
    while at < len(text):
        found = _PATTERN.match(text, at)
        lexeme = _bad(text, at) if found is None else _lexeme(found)
        if lexeme is not None:
            yield lexeme
            if lexeme.kind == "bad":
                return
        at = at + 1 if found is None else found.end()
    yield Lexeme("end", "", len(text))


def _lexeme(found: re.Match[str]) -> Lexeme | None:
    text, at = found[0], found.start()
    kind, word = found.lastgroup, found[0].lower()
    if kind == "number":
        return _number(text, at)
    if kind == "text":
        return Lexeme("literal", text, at, _ESCAPE.sub(r"\1", text[1:-1]))
    if kind == "path" and word in LITERALS:
        return Lexeme("literal", text, at, LITERALS[word])
    if kind == "path" and word in KEYWORDS:
        return Lexeme("keyword", word, at)
    return None if kind == "space" else Lexeme(_KINDS[kind or ""], text, at)


def _number(text: str, at: int) -> Lexeme:
    if len(text) > _LONGEST_NUMBER:
        return Lexeme("bad", text, at, f"a number has at most {_LONGEST_NUMBER} digits")
    value = float(text) if any(sign in text for sign in ".eE") else int(text)
    if math.isinf(value):
        return Lexeme("bad", text, at, "the number is too large")
    return Lexeme("literal", text, at, value)


def _bad(text: str, at: int) -> Lexeme:
    return Lexeme(
        "bad", text[at], at, _HINTS.get(text[at], "a condition has paths, literals, and, or, not, in, ( )")
    )
