"""Split a SQL script into its statements, each with its place in the script; pure, nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from aetherflow_db.sql_dialects import Syntax

_DELIMITER = re.compile(r"[ \t]*delimiter[ \t]+(\S+)[^\n]*(?:\n|\Z)", re.IGNORECASE)
_TAG = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_WORD = re.compile(r"[^\W\d][\w$]*")
_ESCAPE_STRING = re.compile(r"(?<![\w$])[eE]'")
_SPACE = re.compile(r"\s+")
_PROGRAM = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:(?:non)?editionable\s+)?"
    r"(?:\w+\s+)?(?:function|procedure|package|trigger|type\s+body|script)\b|declare\b|begin\b",
    re.IGNORECASE,
)
_TRIGGER = re.compile(r"create\s+(?:temp(?:orary)?\s+)?trigger\b", re.IGNORECASE)

FIRST_WORDS = 3
"""How many words of a statement are noted."""


class Statement(msgspec.Struct, frozen=True):
    """One statement of a script.

    Attributes:
        text: the statement without what ends it, and without comments before it.
        offset: where it begins in the script, in characters.
        words: its first words, in upper case.
    """

    text: str
    offset: int
    words: tuple[str, ...]


class UnclosedError(Exception):
    """A quote, a comment or a block that never ends.

    Attributes:
        what: what was opened, as it is written.
        offset: where it was opened.
    """

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.what = what
        self.offset = offset


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of a character, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def statements(script: str, syntax: Syntax) -> list[Statement]:
    """Return the statements of a script in order, without empty ones.

    Raises:
        UnclosedError: a quote, a comment or a block does not end.
    """
    return list(_Splitter(script, syntax).run())


def comment_end(text: str, at: int, syntax: Syntax) -> int:
    """Return where a comment that begins at `at` ends; `at` itself if none begins there.

    Raises:
        UnclosedError: it does not end.
    """
    for opening, closing in syntax.comments:
        if not text.startswith(opening, at):
            continue
        if closing == "\n":
            end = text.find("\n", at)
            return len(text) if end < 0 else end
        if not syntax.nests_comments:
            return _find(text, closing, at + len(opening), at)
        return _nested_end(text, at, opening, closing)
    return at


def quote_end(text: str, at: int, syntax: Syntax) -> int:
    """Return where a quoted text or name that begins at `at` ends; `at` itself if none begins there.

    Raises:
        UnclosedError: it does not end.
    """
    first = text[at]
    if first == "$" and syntax.has_dollar_quotes and (tag := _TAG.match(text, at)):
        return _find(text, tag[0], tag.end(), at)
    if syntax.has_escape_strings and _ESCAPE_STRING.match(text, at):
        return _closing(text, at + 1, "'", escapes=True)
    closing = next((pair[1] for pair in syntax.quotes if pair[0] == first), "")
    if not closing:
        return at
    return _closing(text, at, closing, escapes=syntax.has_backslash_escapes and first in "'\"")


def _closing(text: str, at: int, quote: str, *, escapes: bool) -> int:
    """Return where a quoted text ends: at a quote that is neither doubled nor escaped."""
    position = at + 1
    while position < len(text):
        if escapes and text[position] == "\\":
            position += 2
        elif text[position] != quote:
            position += 1
        elif text.startswith(quote, position + 1):
            position += 2
        else:
            return position + 1
    raise UnclosedError(text[at], at)


def _find(text: str, what: str, start: int, opened: int) -> int:
    end = text.find(what, start)
    if end < 0:
        raise UnclosedError(text[opened : opened + len(what)], opened)
    return end + len(what)


def _nested_end(text: str, at: int, opening: str, closing: str) -> int:
    depth, position = 1, at + len(opening)
    while depth:
        end = _find(text, closing, position, at)
        inner = text.find(opening, position, end)
        depth, position = (depth + 1, inner + len(opening)) if inner >= 0 else (depth - 1, end)
    return position


def _plain(syntax: Syntax, delimiter: str) -> re.Pattern[str]:
    """Return what matches characters that neither end a statement nor begin a quote or a comment."""
    special = {"\n", *delimiter[:1], *(pair[0] for pair in syntax.quotes)}
    special |= {opening[0] for opening, _ in syntax.comments}
    special |= {"$"} if syntax.has_dollar_quotes else set()
    special |= {"e", "E"} if syntax.has_escape_strings else set()
    return re.compile(f"[^{re.escape(''.join(sorted(special)))}]+")


class _Splitter:
    """Walks once through a script: over comments, quotes and words, to what ends each statement."""

    def __init__(self, script: str, syntax: Syntax) -> None:
        self._text = script
        self._syntax = syntax
        self._delimiter = syntax.delimiter
        self._plain = _plain(syntax, syntax.delimiter)
        self._begin: int | None = None
        self._words: list[str] = []
        self._blocks: list[int] = []
        self._is_trigger = self._is_program = False

    def run(self) -> Iterator[Statement]:
        """Yield the statements.

        Raises:
            UnclosedError: a quote, a comment or a block does not end.
        """
        text, at = self._text, 0
        while at < len(text):
            if (at == 0 or text[at - 1] == "\n") and (end := self._line_for_client(at)):
                yield from self._statement(at)
                at = end
            elif self._is_end(at):
                yield from self._statement(at)
                at += len(self._delimiter)
            else:
                at = self._after(at)
        if self._blocks:
            raise UnclosedError("BEGIN", self._blocks[0])
        yield from self._statement(len(text))

    def _line_for_client(self, at: int) -> int:
        """Return the end of a line that is no SQL: DELIMITER, GO, or a slash alone; 0 if it is SQL."""
        is_command = self._syntax.has_delimiter_command and self._begin is None
        if is_command and (found := _DELIMITER.match(self._text, at)):
            self._delimiter = found[1]
            self._plain = _plain(self._syntax, self._delimiter)
            return found.end()
        if self._syntax.batch_lines:
            end = self._text.find("\n", at) + 1 or len(self._text)
            if self._text[at:end].strip().upper() in self._syntax.batch_lines:
                return end
        return 0

    def _is_end(self, at: int) -> bool:
        if not self._delimiter or not self._text.startswith(self._delimiter, at):
            return False
        return not (self._blocks or self._is_program)

    def _after(self, at: int) -> int:
        """Return where the comment, space, quote, word or character at `at` ends."""
        text = self._text
        if (
            len(self._words) > FIRST_WORDS
            and not self._may_have_blocks
            and (run := self._plain.match(text, at))
        ):
            return run.end()
        if (end := comment_end(text, at, self._syntax)) > at:
            return end
        if space := _SPACE.match(text, at):
            # A line may begin inside: its first character is looked at.
            newline = text.find("\n", at, space.end())
            return newline + 1 if newline >= 0 else space.end()
        if self._begin is None:
            self._begin = at
            self._is_trigger = self._syntax.has_triggers and bool(_TRIGGER.match(text, at))
            self._is_program = self._syntax.has_programs and bool(_PROGRAM.match(text, at))
        if (end := quote_end(text, at, self._syntax)) > at:
            return end
        if word := _WORD.match(text, at):
            self._note(word[0].upper(), at)
            return word.end()
        return at + 1

    @property
    def _may_have_blocks(self) -> bool:
        return bool(self._blocks) or self._words[0] == "CREATE"

    def _note(self, word: str, at: int) -> None:
        """Note a word: the first ones say what the statement does, some open and close blocks in it."""
        before = self._words[-1] if self._words else ""
        if self._blocks:
            if word == "CASE" and before != "END":
                self._blocks.append(at)
            elif word == "END":
                self._blocks.pop()
        elif (self._is_trigger and word == "BEGIN") or (
            self._syntax.has_atomic_blocks and (before, word) == ("BEGIN", "ATOMIC")
        ):
            self._blocks.append(at)
        self._words = [*self._words[:FIRST_WORDS], word]

    def _statement(self, end: int) -> Iterator[Statement]:
        """Yield the statement that ends at `end`, unless it is empty, and begin a new one."""
        if self._begin is not None:
            text = self._text[self._begin : end].rstrip()
            yield Statement(text, self._begin, tuple(self._words[:FIRST_WORDS]))
        self._begin, self._words = None, []
        self._is_trigger = self._is_program = False
