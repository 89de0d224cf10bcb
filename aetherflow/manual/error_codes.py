"""Read what the manual says about a code such as AF111: one page for each hundred, in `errors/`."""

from __future__ import annotations

import re
from functools import cache

import msgspec

from aetherflow.manual.pages import FOLDER

_ENTRY = re.compile(
    r"^## (?P<code>AF\d{3})\n\n(?P<meaning>.+)\n\n"
    r"- For example: (?P<example>.+)\n- What to do: (?P<remedy>.+)$",
    re.MULTILINE,
)


class Entry(msgspec.Struct, frozen=True):
    """What a code means.

    Attributes:
        meaning: what happened, in one sentence or two.
        example: a line of a flow, or a command, that leads to it.
        remedy: what to do about it.
    """

    meaning: str
    example: str
    remedy: str


@cache
def hundreds() -> tuple[str, ...]:
    """Return the hundreds that have a page, as the third character of their codes."""
    return tuple(sorted(path.stem[2] for path in FOLDER.glob("errors/af?xx.md")))


def page_of(code: str) -> str:
    """Return the section of the manual about a code, as Markdown.

    Raises:
        KeyError: no code has this name.
    """
    return _read(code[2:3])[code][0]


def all_codes() -> dict[str, Entry]:
    """Return all entries by their code, in order."""
    return {code: entry for hundred in hundreds() for code, (_, entry) in _read(hundred).items()}


def entry_of(code: str) -> Entry | None:
    """Return the entry of a code, or None if no code has this name."""
    hundred = code[2:3]
    _, entry = _read(hundred).get(code, ("", None)) if hundred in hundreds() else ("", None)
    return entry


@cache
def _read(hundred: str) -> dict[str, tuple[str, Entry]]:
    """Return each code of a page with its Markdown and its entry, in order."""
    text = (FOLDER / f"errors/af{hundred}xx.md").read_text(encoding="utf-8")
    found = sorted(_ENTRY.finditer(text), key=lambda match: match["code"])
    return {
        match["code"]: (match[0], Entry(match["meaning"], match["example"], match["remedy"]))
        for match in found
    }
