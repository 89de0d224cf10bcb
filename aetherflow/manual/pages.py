"""Read the manual: its pages, the sections of a page, and a search over all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent
"""Where the pages are: `TOPIC.md`, and `errors/` with the codes."""

CONTENTS = "index"
"""The topic of the page that lists the others."""

_COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^ *```")


class Section(msgspec.Struct, frozen=True):
    """A heading with its text, up to the next heading of the same level or above.

    Attributes:
        topic: the page it is on.
        title: the heading, as plain text.
        text: the heading and what follows, as Markdown.
    """

    topic: str
    title: str
    text: str


@cache
def topics() -> tuple[str, ...]:
    """Return the names of all pages, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.md")))


@cache
def page(topic: str) -> str:
    """Return a page as Markdown, without its comments.

    Raises:
        FileNotFoundError: there is no such page; `topics` names them all.
    """
    return _COMMENT.sub("", (FOLDER / f"{topic}.md").read_text(encoding="utf-8"))


def sections(topic: str) -> Iterator[Section]:
    """Return the sections of a page in order; a section contains the deeper ones below it."""
    lines = page(topic).splitlines()
    headings = list(_headings(lines))
    for position, (start, level, title) in enumerate(headings):
        ends = (line for line, other, _ in headings[position + 1 :] if other <= level)
        text = "\n".join(lines[start : next(ends, len(lines))]).strip()
        yield Section(topic, title, text)


def sections_named(name: str) -> list[Section]:
    """Return the first section of this heading, else all whose heading begins with these words.

    If there is none, return the tables of keys of this name: `params` finds `Keys of params`. Case, and
    `aetherflow` before the heading, do not count: `runs` finds the commands `aetherflow runs ...`.
    """
    wanted = re.escape(_plain(name))
    everything = [section for topic in topics() for section in sections(topic)]
    exact = [section for section in everything if re.fullmatch(wanted, _plain(section.title))]
    beginning: list[Section] = []
    for section in everything:
        is_inside = any(section.text in found.text for found in beginning)
        if re.match(f"{wanted}[ :,]", _plain(section.title)) and not is_inside:
            beginning.append(section)
    keys = [
        section for section in everything if re.fullmatch(f"keys of (an? )?{wanted}", _plain(section.title))
    ]
    return exact[:1] or beginning or keys


def titles() -> list[str]:
    """Return every heading of every page, as `sections_named` compares them."""
    return [_plain(section.title) for topic in topics() for section in sections(topic)]


def search(words: str) -> list[tuple[Section, str]]:
    """Return the innermost sections that contain all words, each with its first line that has one of them.

    Those that have all words in their heading are first.
    """
    wanted = words.lower().split()
    found = []
    for topic in topics():
        for section in sections(topic):
            own = _own_text(section.text)
            if wanted and all(word in own.lower() for word in wanted):
                lines = (line for line in own.splitlines() if any(word in line.lower() for word in wanted))
                found.append((section, next(lines, "").strip()))
    return sorted(found, key=lambda hit: not all(word in hit[0].title.lower() for word in wanted))


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Return the line, level and title of each heading; what looks like one in a code block is none."""
    in_code = False
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            in_code = not in_code
        elif not in_code and (match := re.match(r"(#+) (.+)", line)):
            yield number, len(match[1]), match[2].replace("`", "").strip()


def _own_text(text: str) -> str:
    """Return the heading and the text of a section, without the sections below it."""
    lines = text.splitlines()
    following = [number for number, _, _ in _headings(lines) if number]
    return "\n".join(lines[: following[0]] if following else lines)


def _plain(title: str) -> str:
    return title.replace("`", "").lower().removeprefix("aetherflow ").strip()
