"""Read YAML as plain data, with the position of each key and item.

It reads the events of libyaml once. Duplicate keys, tags, merge keys and aliases that explode are refused
with their position, as they make a file hard to trust.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import intern
from typing import Any, NoReturn

import msgspec
import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from aetherflow.errors import Diagnostic, InvalidInput, Position, Severity
from aetherflow.spec.read_file import read_file
from aetherflow.spec.suggest import explain_control_character, explain_encoding, explain_syntax, quoted
from aetherflow.spec.yaml_scalars import OTHER_THAN_TEXT, scalar_value
from aetherflow.working_directory import absolute

NodePath = tuple[str | int, ...]

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_DIAGNOSTICS = 100
MAX_EXPANSION = 1_000_000
"""Characters that all aliases of a file may stand for; a file of that size or more may grow to ten times."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOM = b"\xef\xbb\xbf"

# A place is one integer: line, column, and whether the text there is written as it is, plain or in quotes.
_LINE = 32
_COLUMN = 2
_PLAIN, _QUOTED = 1, 2
_SMALL = 32  # mappings up to this size are searched each time instead of indexed


class Document(msgspec.Struct, frozen=True, eq=False):
    """A YAML file as plain data.

    Places are kept in one flat array, because a flow may hold 100,000 jobs: two numbers for each child of
    a mapping or list, the children of one container side by side, in order. The first is the place of the
    key or item. The second is, for a container, the index where its own children begin; for a text, the
    place where it starts.

    Attributes:
        file: the name of the file as the user typed it.
        value: dicts, lists, texts, numbers, booleans and None; all keys are texts.
    """

    file: str
    value: Any
    _places: array[int]
    _root: tuple[int, int]
    _order: dict[int, dict[str, int]]

    def diagnostic(
        self, path: NodePath, code: str, message: str, hint: str = "", severity: Severity = "error"
    ) -> Diagnostic:
        """Return a diagnostic about the node at `path`."""
        place = self.position(path)
        return Diagnostic(code, message, self.file, place.line, place.column, severity, hint)

    def position(self, path: NodePath) -> Position:
        """Return the position of the key or list item at `path`, else of its nearest parent that exists."""
        place, _, _ = self._find(path)
        return _position(place)

    def text_position(self, path: NodePath, offset: int) -> Position:
        """Return the position of a character of the text at `path`; in doubt the start of the text."""
        place, value, start = self._find(path)
        if not isinstance(value, str):
            return _position(place)
        kind = start & (_PLAIN | _QUOTED)
        shift = min(max(offset, 0), len(value)) + kind - 1 if kind else 0
        return _position(start + (shift << _COLUMN))

    def _find(self, path: NodePath) -> tuple[int, Any, int]:
        place, below = self._root
        value = self.value
        for name in path:
            number = self._number(value, name, below)
            if number is None:
                return place, None, 0
            place, below = self._places[below + 2 * number], self._places[below + 2 * number + 1]
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
    return _scan(_read(path), str(path))


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
    reader = _Reader(file)
    document: Document | None = None
    try:
        with _collector_paused():
            document = reader.document(raw)
    except yaml.MarkedYAMLError as error:
        # libyaml has a limit of nesting too, and on one line reaches it before we do
        code = "AF106" if "nesting depth" in (error.problem or "") else "AF103"
        reader.diagnostics.append(_diagnostic(file, code, *explain_syntax(error, text)))
    except yaml.reader.ReaderError as error:
        reader.diagnostics.append(_diagnostic(file, "AF102", *explain_control_character(error, text)))
    except _TooMuchError:
        pass  # the diagnostics say why the rest was not read
    return document, reader.diagnostics


_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}
_TEXT_TAGS = ("!", f"{_TAG}str")


class _TooMuchError(Exception):
    """The reader gives up; its diagnostics say why."""


class _Anchor(msgspec.Struct, frozen=True):
    """The target of an alias: its value, its second number, its size in characters, the levels below it."""

    value: Any
    below: int
    size: int
    height: int


class _Reader:
    """Turns the events of one YAML stream into a document."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.next_event: Callable[[], Any]
        self.places = array("Q")
        self.anchors: dict[str, _Anchor | None] = {}  # None: not complete yet
        self.depth = 0
        self.deepest = 0
        self.expanded = 0
        self.end: Any = None  # the event that ended the container that was read last

    def document(self, data: bytes) -> Document:
        """Read the data to its end."""
        self.next_event = _Loader(data).get_event
        top = self.next_event().start_mark
        root = self.next_event()
        if root.__class__ is DocumentStartEvent:
            root = self.next_event()
        if root.__class__ is StreamEndEvent or (root.__class__ is ScalarEvent and _is_nothing(root)):
            self.stop(top, "AF107", "the file is empty", "write 'key: value' lines into it")
        below: list[int] = []
        value = self.node(root, below)
        self.next_event()
        after = self.next_event()
        if after.__class__ is not StreamEndEvent:
            self.report(
                after.start_mark,
                "AF105",
                "a second document begins here",
                "keep one document in a file: remove '---'",
            )
        return Document(self.file, value, self.places, (_place(root.start_mark), below[0]), {})

    def node(self, event: Any, slots: list[int]) -> Any:
        """Return the value that begins with `event`; its second number goes to `slots`."""
        kind = event.__class__
        if kind is ScalarEvent:
            start, end, text, style = event.start_mark, event.end_mark, event.value, event.style
            place = start.line << _LINE | start.column << _COLUMN
            if end.line == start.line:
                width = end.column - start.column
                if not style:
                    if width == len(text):
                        place |= _PLAIN
                elif width == len(text) + 2 and style in "'\"":
                    place |= _QUOTED
            slots.append(place)
            if event.tag is None and event.anchor is None and (style or text[:1] not in OTHER_THAN_TEXT):
                return text
            return self.scalar(event, place)
        if kind is AliasEvent:
            return self.alias(event, slots)
        if event.tag is not None:
            self.check_container_tag(event)
        return self.container(event, slots) if event.anchor is None else self.anchored(event, slots)

    def scalar(self, event: Any, place: int) -> Any:
        """Return the value of a scalar that may be more than text."""
        value: Any = event.value
        try:
            if event.tag is not None:
                value = self.tagged(event)
            elif not event.style:
                value = scalar_value(value)
        except (ValueError, OverflowError) as error:
            self.report(event.start_mark, "AF113", str(error), "put it in quotes to keep it as text")
        if event.anchor is not None:
            size = event.end_mark.index - event.start_mark.index
            self.anchors[event.anchor] = _Anchor(value, place, size, 0)
        return value

    def tagged(self, event: Any) -> Any:
        """Return the value of a scalar with a tag."""
        if event.tag in _TEXT_TAGS:
            return event.value
        kinds = _SCALAR_TAGS.get(event.tag)
        if kinds is None:
            self.refuse_tag(event)
            return event.value
        value = scalar_value(event.value)
        if type(value) not in kinds:
            raise ValueError(
                f"{quoted(event.value)} is no value for the tag !!{event.tag.removeprefix(_TAG)}"
            )
        return float(value) if float in kinds else value

    def container(self, event: Any, slots: list[int]) -> Any:
        """Return the mapping or list that begins with `event`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.stop_too_deep(event)
        self.deepest = max(self.deepest, self.depth)
        children: list[int] = []
        is_mapping = event.__class__ is MappingStartEvent
        value: Any = self.mapping(event, children) if is_mapping else self.sequence(children)
        self.depth -= 1
        slots.append(len(self.places))
        self.places.fromlist(children)
        return value

    def sequence(self, children: list[int]) -> list[Any]:
        """Return the items up to the end of the list."""
        value: list[Any] = []
        next_event, node = self.next_event, self.node
        while (item := next_event()).__class__ is not SequenceEndEvent:
            mark = item.start_mark
            children.append(mark.line << _LINE | mark.column << _COLUMN)
            value.append(node(item, children))
        self.end = item
        return value

    def mapping(self, event: Any, children: list[int]) -> dict[str, Any]:
        """Return the pairs up to the end of the mapping."""
        value: dict[str, Any] = {}
        next_event, node = self.next_event, self.node
        while (key := next_event()).__class__ is not MappingEndEvent:
            name = intern(key.value) if key.__class__ is ScalarEvent else "<<"
            is_usual = name not in value and name != "<<" and key.tag is None and key.anchor is None
            if not is_usual and not self.accepts_key(key, event, value, children):
                node(next_event(), [])
                continue
            mark = key.start_mark
            children.append(mark.line << _LINE | mark.column << _COLUMN)
            value[name] = node(next_event(), children)
        self.end = key
        return value

    def accepts_key(self, key: Any, mapping: Any, value: dict[str, Any], children: list[int]) -> bool:
        """Check an unusual key; report why it is refused."""
        mark = key.start_mark
        if key.__class__ is not ScalarEvent:
            self.refuse_key(key, mapping)
            return False
        if key.value in value:
            first = children[2 * list(value).index(key.value)]
            message = f"duplicate key {quoted(key.value)}: it is already on line {_position(first).line}"
            self.report(mark, "AF104", message, "remove one of the two")
            return False
        if key.value == "<<" and not key.style:
            hint = "repeat the keys, or use an alias for the whole value: 'key: *name'"
            self.report(mark, "AF105", "merge keys '<<' are not supported", hint)
            return False
        self.scalar(key, _place(mark))  # checks its tag and remembers its anchor; the key itself is a text
        return True

    def refuse_key(self, key: Any, mapping: Any) -> None:
        """Report that a list, mapping or alias cannot be a key, and read past it."""
        hint = "a key is one plain or quoted text"
        if key.__class__ is MappingStartEvent and key.flow_style and mapping.flow_style:
            hint = 'a template needs quotes: "{{...}}"'
        self.report(key.start_mark, "AF105", "a key must be a text, not a list, mapping or alias", hint)
        self.node(key, [])

    def anchored(self, event: Any, slots: list[int]) -> Any:
        """Return a container that has an anchor, and remember it."""
        name, before = event.anchor, self.expanded
        outer, self.deepest = self.deepest, self.depth
        self.anchors[name] = None
        value = self.container(event, slots)
        size = self.end.end_mark.index - event.start_mark.index + self.expanded - before
        self.anchors[name] = _Anchor(value, slots[-1], size, self.deepest - self.depth)
        self.deepest = max(outer, self.deepest)
        return value

    def alias(self, event: Any, slots: list[int]) -> Any:
        """Return the value that an alias refers to."""
        mark, shown = event.start_mark, quoted(f"*{event.anchor}")
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            slots.append(_place(mark))
            if event.anchor in self.anchors:
                self.report(
                    mark, "AF106", f"alias {shown} is inside its own anchor", "a value cannot hold itself"
                )
            else:
                hint = "define it above with '&', or put a text that begins with '*' in quotes"
                self.report(mark, "AF103", f"alias {shown} names no anchor", hint)
            return None
        self.expanded += anchor.size
        if self.expanded > max(MAX_EXPANSION, 10 * mark.index):
            message = f"with alias {shown} the aliases of this file stand for {self.expanded} characters"
            self.stop(mark, "AF106", message, "write the values out, or use fewer aliases within anchors")
        if self.depth + anchor.height > MAX_DEPTH:
            self.stop_too_deep(event)
        self.deepest = max(self.deepest, self.depth + anchor.height)
        slots.append(anchor.below)
        return anchor.value

    def check_container_tag(self, event: Any) -> None:
        """Refuse a tag that is not the one of the container itself."""
        own = "map" if event.__class__ is MappingStartEvent else "seq"
        if event.tag not in ("!", _TAG + own):
            self.refuse_tag(event)

    def refuse_tag(self, event: Any) -> None:
        """Report an unknown tag."""
        tag = event.tag
        written = f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
        known = "known tags: !!str !!int !!float !!bool !!null !!map !!seq"
        hint = f"remove it, or put a text that begins with '!' in quotes ({known})"
        self.report(event.start_mark, "AF105", f"the tag {quoted(written)} is not supported here", hint)

    def report(self, mark: Any, code: str, message: str, hint: str) -> None:
        """Add a diagnostic; stop after MAX_DIAGNOSTICS."""
        self.diagnostics.append(_diagnostic(self.file, code, mark.line + 1, mark.column + 1, message, hint))
        if len(self.diagnostics) >= MAX_DIAGNOSTICS:
            raise _TooMuchError

    def stop(self, mark: Any, code: str, message: str, hint: str) -> NoReturn:
        """Add a diagnostic, and stop reading."""
        self.report(mark, code, message, hint)
        raise _TooMuchError

    def stop_too_deep(self, event: Any) -> NoReturn:
        """Report mappings and lists that are nested too deeply."""
        message = f"mappings and lists are nested more than {MAX_DEPTH} deep"
        self.stop(event.start_mark, "AF106", message, "is a bracket not closed? otherwise flatten the data")


def _is_nothing(event: Any) -> bool:
    return not (event.value or event.style or event.tag or event.anchor)


def _place(mark: Any) -> int:
    return int(mark.line << _LINE | mark.column << _COLUMN)


def _position(place: int) -> Position:
    return Position((place >> _LINE) + 1, ((place & ((1 << _LINE) - 1)) >> _COLUMN) + 1)


def _diagnostic(file: str, code: str, line: int, column: int, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code=code, message=message, file=file, line=line, column=column, hint=hint)


def _unreadable(file: str, message: str, hint: str) -> InvalidInput:
    return InvalidInput([_diagnostic(file, "AF101", 1, 1, message, hint)])


def _checked_text(data: bytes | str, file: str) -> tuple[bytes, str]:
    """Return the data as bytes and as text, without a byte order mark."""
    if len(data) > MAX_BYTES:
        place = 1, 1, f"the file is larger than {MAX_BYTES // 2**20} MiB", "split it into several files"
        raise InvalidInput([_diagnostic(file, "AF106", *place)])
    try:
        raw = (data.encode() if isinstance(data, str) else data).removeprefix(_BOM)
        return raw, raw.decode()
    except UnicodeError as error:
        raise InvalidInput([_diagnostic(file, "AF102", *explain_encoding(error))]) from None


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the garbage collector from walking the growing tree again and again: it doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
