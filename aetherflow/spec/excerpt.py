r"""Show the line of a file that a diagnostic is about, with a caret under the column.

      12 |     when: job.a.status == 'SUCCESS'
         |           ^

Secrets in the line are masked, control characters are written as escapes, a long line is shortened around the
column. A line inside the value of a key named like a secret is not shown at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

from msgspec.structs import replace

from aetherflow.errors import Diagnostic
from aetherflow.redaction import in_words, names_a_secret

MOST_SHOWN = 1000
"""Diagnostics of one file that get an excerpt; a slip may be repeated in every job of a large flow."""

WIDTH = 100
"""Columns of a line that are shown."""

_BEFORE = 60
_LONGEST = 500
_TAB = "    "
_CUT = "..."
_LINES_LOOKED_AT = 5000
_WORDS_LOOKED_AT = 50
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # as libyaml counts lines
_KEY = re.compile(r"(?P<indent> *(?:- +)*)[\"']?(?P<key>[\w.-]+)[\"']? *:(?: |$)")
_ITEM = re.compile(r"(?P<indent> *)- +(?P<word>.*\S)")
_WORD = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,\[\]{}\"'][^,\[\]{}]*")
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def with_excerpts(
    diagnostics: Iterable[Diagnostic], file: str, source: bytes, mask: Callable[[str], str]
) -> list[Diagnostic]:
    """Return the diagnostics, those about `file` with an excerpt of its content, masked by `mask`."""
    lines: list[str] | None = None
    masked = cache(mask)
    found: list[Diagnostic] = []
    left = MOST_SHOWN
    for diagnostic in diagnostics:
        if diagnostic.file != file or not left:
            found.append(diagnostic)
            continue
        if lines is None:
            lines = _LINE_BREAK.split(source.decode(errors="replace").removeprefix("\ufeff"))
        left -= 1
        found.append(replace(diagnostic, excerpt=excerpt(lines, diagnostic.line, diagnostic.column, masked)))
    return found


def excerpt(lines: list[str], line: int, column: int, mask: Callable[[str], str]) -> str:
    """Return a line with a caret under its column, both counted from 1; empty if there is nothing to show."""
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    if not text.strip() or not 0 < column <= len(text) + 1:
        return ""
    if _is_in_a_secret(lines, line) or _is_a_secret_word(lines, line):
        return ""
    shown = mask(_without_secret_words(text))
    start = len(shown) - len(shown.lstrip(" ")) if column == 1 else _moved(text, shown, column - 1)
    near = max(start - _LONGEST, 0)
    before = list(map(_cell, shown[near:start]))
    after = list(map(_cell, shown[start:].rstrip()[:_LONGEST]))
    is_cut = near > 0 or _width(before + after) > WIDTH
    head = _CUT if is_cut and _width(before) > _BEFORE else ""
    if head:
        before = _last(before, _BEFORE - len(_CUT))
    tail = _CUT if _width(before + after) > WIDTH - len(head) else ""
    if tail:
        after = _first(after, WIDTH - len(head) - len(tail) - _width(before))
    margin = " " * len(str(line))
    caret = " " * (len(head) + _width(before))
    return f"  {line} | {head}{''.join(before + after)}{tail}\n  {margin} | {caret}^"


def _moved(text: str, shown: str, start: int) -> int:
    """Return where the character at `start` is after masking; if it is masked, where its mask begins."""
    if text[:start] == shown[:start]:
        return start
    rest = len(text) - start
    return len(shown) - rest if rest and text[start:] == shown[-rest:] else _after_masks(text, shown, start)


def _after_masks(text: str, shown: str, start: int) -> int:
    """Return the place of a character with masks on both sides: where the words around it are."""
    for length in (12, 6, 3):
        around = text[start : start + length]
        if len(around) == length and text.count(around) == 1 and shown.count(around) == 1:
            return shown.index(around)
    return _common(text, shown)


def _common(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _is_in_a_secret(lines: list[str], line: int) -> bool:
    """Whether the line is below a key named like a secret, as the lines of a block text are."""
    text = lines[line - 1]
    indent = len(text) - len(text.lstrip(" "))
    for above in reversed(lines[max(line - 1 - _LINES_LOOKED_AT, 0) : line - 1]):
        if not indent:
            return False
        key = _KEY.match(above)
        if key is None or len(key["indent"]) >= indent:
            continue
        if names_a_secret(key["key"]):
            return True
        indent = len(above) - len(above.lstrip(" "))
    return False


def _is_a_secret_word(lines: list[str], line: int) -> bool:
    """Whether the line is an item of a list that is a command, and a secret by the items before it."""
    last = _ITEM.fullmatch(lines[line - 1].rstrip())
    words: list[str] = []
    for text in reversed(lines[max(line - _WORDS_LOOKED_AT, 0) : line]):
        item = _ITEM.fullmatch(text.rstrip())
        if last is None or item is None or item["indent"] != last["indent"]:
            break
        words.append(_unquoted(item["word"]))
    return any(number == len(words) - 1 for number, _ in in_words(words[::-1]))


def _without_secret_words(text: str) -> str:
    """Mask the secrets of a command that is written as a list in one line: `[mysql, --password, X]`."""
    if "-" not in text or "," not in text:
        return text
    found = list(_WORD.finditer(text))
    words = [_unquoted(one[0].rstrip()) for one in found]
    for number, secret in reversed(list(in_words(words))):
        word = found[number]
        start = word.start() + (word[0][:1] in "\"'") + secret.start
        text = f"{text[:start]}***{text[start + secret.end - secret.start :]}"
    return text


def _unquoted(word: str) -> str:
    return word[1:-1] if word[:1] in "\"'" else word


def _cell(character: str) -> str:
    """Return how a character is shown."""
    if character == "\t":
        return _TAB
    if unicodedata.category(character) in _INVISIBLE:
        return character.encode("unicode_escape").decode()
    return character


def _width(cells: list[str]) -> int:
    """Return how many columns of a terminal the characters take."""
    return sum(map(_columns, cells))


def _columns(cell: str) -> int:
    if len(cell) > 1:
        return len(cell)
    if unicodedata.combining(cell) or unicodedata.category(cell) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1


def _first(cells: list[str], width: int) -> list[str]:
    taken: list[str] = []
    for cell in cells:
        width -= _columns(cell)
        if width < 0:
            break
        taken.append(cell)
    return taken


def _last(cells: list[str], width: int) -> list[str]:
    return _first(cells[::-1], width)[::-1]
