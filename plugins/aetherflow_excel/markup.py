"""Change single attributes and elements in XML text and leave every other character as it is; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from html import unescape

_PREFIX = r"(?:[\w.-]+:)?"
_INSIDE = r"""(?:[^<>"']|"[^"]*"|'[^']*')*"""
"""A start tag: its local name, and what follows the name."""

Change = Callable[[str], str]


@lru_cache(maxsize=64)
def element(*names: str) -> re.Pattern[str]:
    """Return a pattern for elements with one of these local names, which are not inside of each other.

    Groups: 1 the start tag, 2 the local name, 3 the content, 4 the end tag; 3 and 4 are None for `<a/>`.
    """
    choice = "|".join(names)
    return re.compile(
        rf"(<{_PREFIX}({choice})(?=[\s/>]){_INSIDE}(?:(?<=/)>|(?<!/)>(?=(.*?)(</{_PREFIX}\2\s*>))))"
        rf"(?:(?<=/>)|\3\4)",
        re.DOTALL,
    )


@lru_cache(maxsize=64)
def _attribute(name: str) -> re.Pattern[str]:
    return re.compile(rf"""(\s{name}\s*=\s*)("[^"]*"|'[^']*')""")


def attribute(tag: str, name: str) -> str | None:
    """Return the value of an attribute of a start tag, or None."""
    found = _attribute(name).search(tag)
    return unescape(found[2][1:-1]) if found else None


def with_attribute(tag: str, name: str, value: str | None) -> str:
    """Return a start tag with this value of an attribute; None removes it."""
    found = _attribute(name).search(tag)
    if found is None and value is None:
        return tag
    if value is None and found is not None:
        return tag[: found.start()] + tag[found.end() :]
    quoted = '"' + escaped(value or "").replace('"', "&quot;") + '"'
    if found is not None:
        return tag[: found.start(2)] + quoted + tag[found.end(2) :]
    end = len(tag) - (2 if tag.endswith("/>") else 1)
    return f"{tag[:end].rstrip()} {name}={quoted}{tag[end:]}"


def changed_attributes(text: str, changes: Mapping[tuple[str, str], Change]) -> str:
    """Return the text with attributes changed, by the local name of the element and the attribute's name.

    Attributes that stay as they are keep their spelling.
    """
    names = "|".join(sorted({name for name, _ in changes}))
    pattern = re.compile(rf"<{_PREFIX}({names})(?=[\s/>]){_INSIDE}>")

    def one(found: re.Match[str]) -> str:
        tag = found[0]
        for (name, key), change in changes.items():
            if name == found[1] and (old := attribute(tag, key)) is not None and (new := change(old)) != old:
                tag = with_attribute(tag, key, new)
        return tag

    return pattern.sub(one, text)


def changed_content(text: str, names: tuple[str, ...], change: Change) -> str:
    """Return the text with the text of some elements changed; these elements must have no others inside."""
    pattern = re.compile(rf"(<{_PREFIX}({'|'.join(names)})(?=[\s>]){_INSIDE}(?<!/)>)([^<]*)(?=</)")

    def one(found: re.Match[str]) -> str:
        old = unescape(found[3])
        new = change(old)
        return found[0] if new == old else found[1] + escaped(new)

    return pattern.sub(one, text)


def escaped(text: str) -> str:
    """Return a text as the content of an element."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def prefix_of(text: str, root: str) -> str:
    """Return the prefix of the names in a part with this root element; empty or such as `x:`."""
    found = re.search(rf"<((?:[\w.-]+:)?){root}(?=[\s/>])", text)
    return found[1] if found else ""
