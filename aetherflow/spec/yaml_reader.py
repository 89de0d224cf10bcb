"""Read YAML as plain data, with the place of each key and item and the characters of each number.

It reads the events of libyaml once. Duplicate keys, tags and aliases that explode are refused with their
position, as they make a file hard to trust.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

from aetherflow.errors import Diagnostic
from aetherflow.spec.suggest import quoted, shown
from aetherflow.spec.syntax_errors import explain_control_character, explain_syntax
from aetherflow.spec.yaml_content import COLUMN, LINE, PLAIN, QUOTED, Content, place_of_mark, position_of
from aetherflow.spec.yaml_scalars import OTHER_THAN_TEXT, json_text, scalar_value

MAX_DEPTH = 100
MAX_DIAGNOSTICS = 100
MOST_SHARED = 10_000
"""Texts that are held once however often the file has them: the first ones, up to `SHORT` characters."""
SHORT = 64
MAX_EXPANSION = 1_000_000
"""Characters that all aliases of a file may stand for; a file of that size or more may grow to ten times."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(raw: bytes, text: str, file: str) -> tuple[Content | None, list[Diagnostic]]:
    """Return what the bytes of a file hold, as far as they can be read, and all diagnostics.

    `text` is the same as `raw`, decoded; `file` is the name in the diagnostics.
    """
    reader = _Reader(file, text)
    content: Content | None = None
    try:
        with _collector_paused():
            content = reader.content(raw)
    except yaml.MarkedYAMLError as error:
        # libyaml has a limit of nesting too, and on one line reaches it before we do
        code = "AF106" if "nesting depth" in (error.problem or "") else "AF103"
        reader.diagnostics.append(_diagnostic(file, code, *explain_syntax(error, text)))
    except yaml.reader.ReaderError as error:
        reader.diagnostics.append(_diagnostic(file, "AF102", *explain_control_character(error, text)))
    except _TooMuchError:
        pass  # the diagnostics say why the rest was not read
    return content, reader.diagnostics


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

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.template: Any = None  # the event of a mapping that is a template without quotes
        self.diagnostics: list[Diagnostic] = []
        self.next_event: Callable[[], Any]
        self.places = array("Q")
        self.spelled: dict[int, str] = {}
        self.texts: dict[str, str] = {}  # those that were read first: the types of steps are among them
        self.anchors: dict[str, _Anchor | None] = {}  # None: not complete yet
        self.depth = 0
        self.deepest = 0
        self.expanded = 0
        self.end: Any = None  # the event that ended the container that was read last

    def content(self, data: bytes) -> Content:
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
        return Content(value, self.places, (place_of_mark(root.start_mark), below[0]), self.spelled)

    def node(self, event: Any, slots: list[int]) -> Any:
        """Return the value that begins with `event`; its second number goes to `slots`."""
        kind = event.__class__
        if kind is ScalarEvent:
            start, end, text, style = event.start_mark, event.end_mark, event.value, event.style
            place = start.line << LINE | start.column << COLUMN
            if end.line == start.line:
                width = end.column - start.column
                if not style:
                    if width == len(text):
                        place |= PLAIN
                elif width == len(text) + 2 and style in "'\"":
                    place |= QUOTED
            slots.append(place)
            if event.tag is None and event.anchor is None and (style or text[:1] not in OTHER_THAN_TEXT):
                return self.texts.get(text) or self.shared(text)
            return self.scalar(event, place)
        if kind is AliasEvent:
            return self.alias(event, slots)
        if event.tag is not None:
            self.check_container_tag(event)
        return self.container(event, slots) if event.anchor is None else self.anchored(event, slots)

    def shared(self, text: str) -> str:
        """Remember a short text, so that the same text is held once."""
        if len(text) <= SHORT and len(self.texts) < MOST_SHARED:
            self.texts[text] = text
        return text

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
        if not isinstance(value, str) and json_text(value) != event.value:
            self.spelled[place] = event.value
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
        if self.template is event:  # read it as if it had the quotes that were reported as missing
            slots.append(place_of_mark(event.start_mark))
            return self.text[event.start_mark.index : self.end.end_mark.index]
        slots.append(len(self.places))
        self.places.fromlist(children)
        return value

    def sequence(self, children: list[int]) -> list[Any]:
        """Return the items up to the end of the list."""
        value: list[Any] = []
        next_event, node = self.next_event, self.node
        while (item := next_event()).__class__ is not SequenceEndEvent:
            mark = item.start_mark
            children.append(mark.line << LINE | mark.column << COLUMN)
            value.append(node(item, children))
        self.end = item
        return value

    def mapping(self, event: Any, children: list[int]) -> dict[str, Any]:
        """Return the pairs up to the end of the mapping."""
        value: dict[str, Any] = {}
        merged: list[tuple[dict[str, Any], int]] | None = None
        next_event, node = self.next_event, self.node
        while (key := next_event()).__class__ is not MappingEndEvent:
            name = intern(key.value) if key.__class__ is ScalarEvent else "<<"
            is_usual = name not in value and name != "<<" and key.tag is None and key.anchor is None
            if not is_usual and _is_merge(key):
                merged = self.merged(key, merged)
                continue
            if not is_usual and not self.accepts_key(key, event, value, children):
                node(next_event(), [])
                continue
            mark = key.start_mark
            children.append(mark.line << LINE | mark.column << COLUMN)
            value[name] = node(next_event(), children)
        self.end = key
        for other, below in merged or ():
            for number, (name, item) in enumerate(other.items()):
                if name not in value:  # its own keys win, and what is merged first
                    children += self.places[below + 2 * number : below + 2 * number + 2]
                    value[name] = item
        return value

    def merged(
        self, key: Any, before: list[tuple[dict[str, Any], int]] | None
    ) -> list[tuple[dict[str, Any], int]]:
        """Return the mappings that a merge key names, each with the index where its children begin."""
        if before is not None:
            message = "duplicate key '<<' in one mapping"
            self.report(key.start_mark, "AF104", message, "merge several mappings with one: <<: [*a, *b]")
        event, known = self.next_event(), len(self.diagnostics)
        slots: list[int] = []
        value = self.node(event, slots)
        named = [(value, slots[-1])]
        if isinstance(value, list):
            named = [(item, self.places[slots[-1] + 2 * n + 1]) for n, item in enumerate(value)]
        for item, _ in named:
            if not isinstance(item, dict) and len(self.diagnostics) == known:
                message = f"'<<' merges mappings, not {shown(item)}"
                self.report(event.start_mark, "AF114", message, "write <<: *name, or <<: [*one, *other]")
        return [*(before or ()), *((item, below) for item, below in named if isinstance(item, dict))]

    def accepts_key(self, key: Any, mapping: Any, value: dict[str, Any], children: list[int]) -> bool:
        """Check an unusual key; report why it is refused."""
        mark = key.start_mark
        if key.__class__ is not ScalarEvent:
            self.refuse_key(key, mapping)
            return False
        if key.value in value:
            first = children[2 * list(value).index(key.value)]
            message = f"duplicate key {quoted(key.value)}: it is already on line {position_of(first).line}"
            self.report(mark, "AF104", message, "remove one of the two")
            return False
        self.scalar(key, place_of_mark(mark))  # for its tag and its anchor; the key itself is a text
        return True

    def refuse_key(self, key: Any, mapping: Any) -> None:
        """Report that a list, mapping or alias cannot be a key, and read past it."""
        hint = "a key is one plain or quoted text"
        if key.__class__ is MappingStartEvent and key.flow_style and mapping.flow_style:
            hint = 'a template needs quotes: "{{...}}"'
            self.template = mapping
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
            slots.append(place_of_mark(mark))
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


def _is_merge(key: Any) -> bool:
    return key.__class__ is ScalarEvent and key.value == "<<" and not key.style and key.tag is None


def _diagnostic(file: str, code: str, line: int, column: int, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code=code, message=message, file=file, line=line, column=column, hint=hint)


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
