"""The flow file with numbered lines, to which failures link."""

from __future__ import annotations

import re

from aetherflow.web.markup import Markup, joined, tag
from aetherflow.web.markup import text as escaped
from aetherflow.web.model import FlowText

_KEY = re.compile(r"(?P<before>[\s-]*)(?P<key>[\w.\-/\"']+)(?P<colon>:)(?=\s|$)")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


def flow_text(shown: FlowText) -> Markup:
    """Return the flow as it is, with what is known of how it was."""
    note = tag("p", shown.note, class_="note" if shown.is_as_it_ran else "warning")
    if not shown.lines:
        return note
    lines = [
        tag(
            "span",
            tag("a", str(number), class_="number", href=f"#L{number}", tabindex=-1, aria_hidden="true"),
            _line(line),
            "\n",
            id=f"L{number}",
            class_="yaml-line failed" if number in shown.marked else "yaml-line",
        )
        for number, line in enumerate(shown.lines, 1)
    ]
    whole = tag("pre", joined(lines), class_="yaml", tabindex=0, aria_label=f"the flow file {shown.file}")
    return joined((note, whole))


def _line(line: str) -> Markup:
    """Return a line in which keys and comments are marked."""
    comment = _COMMENT.search(line) if line.count('"') % 2 == 0 and line.count("'") % 2 == 0 else None
    code = line[: comment.start()] if comment else line
    parts: list[str] = []
    if key := _KEY.match(code):
        parts = [key["before"], tag("span", key["key"], class_="y-key"), ":", code[key.end() :]]
    else:
        parts = [code]
    if comment:
        parts.append(tag("span", comment[0], class_="y-comment"))
    return joined(map(escaped, parts))
