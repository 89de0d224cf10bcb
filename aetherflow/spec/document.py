"""A YAML file as plain data that knows where each key and item is, and how each scalar is written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.errors import Diagnostic, InvalidInput, Position, Severity
from aetherflow.redaction.addresses import redactor_of_messages, without_addresses
from aetherflow.spec.read_file import read_file
from aetherflow.spec.spelling import NodePath
from aetherflow.spec.syntax_errors import explain_encoding
from aetherflow.spec.yaml_content import COLUMN, LINE, PLAIN, QUOTED, Content, position_of
from aetherflow.spec.yaml_reader import read_yaml
from aetherflow.spec.yaml_scalars import NULLS, json_text
from aetherflow.working_directory import absolute

__all__ = ["Document", "NodePath", "parse_document", "read_document", "scan_file"]

MAX_BYTES = 64 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_SMALL = 32  # mappings up to this size are searched each time instead of indexed


class Document(msgspec.Struct, frozen=True, eq=False):
    """A YAML file as plain data.

    Attributes:
        file: the name of the file as the user typed it.
        source: the content of the file, for excerpts.
    """

    file: str
    _content: Content
    _order: dict[int, dict[str, int]]
    source: bytes = b""

    @property
    def value(self) -> Any:
        """The whole file: dicts, lists, texts, numbers, booleans and None; all keys are texts."""
        return self._content.value

    @property
    def has_spellings(self) -> bool:
        """Whether a number or boolean is not written as JSON would write it."""
        return any(text not in NULLS for text in self._content.spelled.values())

    def at(self, path: NodePath) -> Any:
        """Return the value at a path that exists."""
        value = self.value
        for name in path:
            value = value[name]
        return value

    def written(self, path: NodePath, value: Any) -> str:
        """Return the characters of the scalar at a path: `3.10` for what is the number 3.1.

        Of a quoted text it is the text. Nothing at all (`key:`) is the empty text. A value that is not the
        one of the file is written as JSON.
        """
        _, found, start = self._find(path)
        is_there = found is value or (type(found) is type(value) and found == value)  # .nan equals nothing
        return self._content.spelled.get(start, json_text(value)) if is_there else json_text(value)

    def diagnostic(
        self, path: NodePath, code: str, message: str, hint: str = "", severity: Severity = "error"
    ) -> Diagnostic:
        """Return a diagnostic about the node at `path`."""
        place = self.position(path)
        return Diagnostic(code, message, self.file, place.line, place.column, severity, hint)

    def in_order(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Return diagnostics in the order of the file, with the lines that they are about."""
        ordered = sorted(diagnostics, key=lambda diagnostic: (diagnostic.line, diagnostic.column))
        if not ordered:
            return []
        from aetherflow.spec.excerpt import with_excerpts  # noqa: PLC0415 - only for diagnostics

        return with_excerpts(ordered, self.file, self.source, redactor_of_messages(self.value).text)

    def position(self, path: NodePath) -> Position:
        """Return the position of the key or list item at `path`, else of its nearest parent that exists."""
        place, _, _ = self._find(path)
        return position_of(place)

    def lines(self, path: NodePath, count: int) -> list[int]:
        """Return the lines of the first items of the list at `path`, as `position` finds each of them."""
        _, value, below = self._find(path)
        if not isinstance(value, list) or len(value) < count:
            return [self.position((*path, number)).line for number in range(count)]
        return [(place >> LINE) + 1 for place in self._content.places[below : below + 2 * count : 2]]

    def text_position(self, path: NodePath, offset: int) -> Position:
        """Return the position of a character of the text at `path`; in doubt the start of the text."""
        place, value, start = self._find(path)
        if not isinstance(value, str):
            return position_of(place)
        kind = start & (PLAIN | QUOTED)
        shift = min(max(offset, 0), len(value)) + kind - 1 if kind else 0
        return position_of(start + (shift << COLUMN))

    def _find(self, path: NodePath) -> tuple[int, Any, int]:
        place, below = self._content.root
        value, places = self._content.value, self._content.places
        for name in path:
            number = self._number(value, name, below)
            if number is None:
                return place, None, 0
            place, below = places[below + 2 * number], places[below + 2 * number + 1]
            value = value[name]
        return place, value, below

    def _number(self, value: Any, name: str | int, children: int) -> int | None:
        """Return which child of the container `name` is; None if it has no such child."""
        if isinstance(value, list):
            return name if isinstance(name, int) and 0 <= name < len(value) else None
        if not isinstance(value, dict) or name not in value:
            return None
        if len(value) <= _SMALL:
            return list(value).index(name)
        if children not in self._order:
            self._order[children] = {key: number for number, key in enumerate(value)}
        return self._order[children][str(name)]


def read_document(path: Path) -> Document:
    """Read and parse a YAML file.

    Raises:
        InvalidInput: the file cannot be read, or is not YAML of the supported subset.
    """
    return parse_document(_read(path), str(path))


def scan_file(path: Path) -> tuple[Document | None, list[Diagnostic]]:
    """Read a YAML file as far as possible; return the document, if it is complete, and the diagnostics.

    Raises:
        InvalidInput: the file cannot be read at all.
    """
    return scan_text(_read(path), str(path))


def scan_text(data: bytes, file: str) -> tuple[Document | None, list[Diagnostic]]:
    """Read YAML text as `scan_file` reads a file; `file` is its name in messages.

    Raises:
        InvalidInput: the text cannot be read at all.
    """
    document, found = _scan(data, file)
    if not found:
        return document, []
    from aetherflow.spec.excerpt import with_excerpts  # noqa: PLC0415 - only for diagnostics

    mask = redactor_of_messages(None if document is None else document.value).text
    return document, with_excerpts(found, file, data, lambda line: mask(without_addresses(line)))


def _read(path: Path) -> bytes:
    file = str(path)
    try:
        return read_file(path, MAX_BYTES)
    except FileNotFoundError:
        looked = f"it was looked for in {absolute(path).parent}"
        raise _unreadable(file, "there is no such file", looked) from None
    except IsADirectoryError:
        raise _unreadable(file, "this is a directory", "name a file in it") from None
    except PermissionError:
        raise _unreadable(file, "this file may not be read", "check its owner and mode: ls -l") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise _unreadable(file, f"this file cannot be read: {reason}", "check the path") from None


def parse_document(data: bytes | str, file: str) -> Document:
    """Parse YAML text; `file` is its name in messages.

    Raises:
        InvalidInput: the text has errors; all diagnostics up to the first syntax error.
    """
    document, diagnostics = _scan(data, file)
    if document is None or diagnostics:
        raise InvalidInput(diagnostics)
    return document


def _scan(data: bytes | str, file: str) -> tuple[Document | None, list[Diagnostic]]:
    raw, text = _checked_text(data, file)
    content, diagnostics = read_yaml(raw, text, file)
    return None if content is None else Document(file, content, {}, raw), diagnostics


def _unreadable(file: str, message: str, hint: str) -> InvalidInput:
    return InvalidInput([Diagnostic("AF101", message, file, 1, 1, hint=hint)])


def _checked_text(data: bytes | str, file: str) -> tuple[bytes, str]:
    """Return the data as bytes and as text, without a byte order mark."""
    if len(data) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 2**20} MiB"
        raise InvalidInput([Diagnostic("AF106", message, file, 1, 1, hint="split it into several files")])
    try:
        raw = (data.encode() if isinstance(data, str) else data).removeprefix(_BOM)
        return raw, raw.decode()
    except UnicodeError as error:
        line, column, message, hint = explain_encoding(error)
        raise InvalidInput([Diagnostic("AF102", message, file, line, column, hint=hint)]) from None
