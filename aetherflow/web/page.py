"""A page as one HTML file: style and script inside, and a policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from aetherflow.web.markup import Markup, joined, tag

_FOLDER = Path(__file__).parent


class Section(msgspec.Struct, frozen=True):
    """A part of the page with a heading, to which the navigation leads."""

    id: str
    title: str
    content: Markup


def page(
    title: str, described: Mapping[str, str], head: Markup, sections: Sequence[Section], foot: str
) -> Iterator[str]:
    """Yield a page piece by piece; `described` are its `meta` elements."""
    style, script = _own("page.css"), _own("page.js")
    yield "<!DOCTYPE html>\n"
    yield '<html lang="en">\n<head>\n'
    yield tag("meta", charset="utf-8")
    yield from (tag("meta", name=name, content=value) for name, value in described.items())
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield tag("meta", name="color-scheme", content="light dark")
    yield tag("meta", name="referrer", content="no-referrer")
    yield tag("title", title)
    yield f"\n<style>{style}</style>\n</head>\n<body>\n"
    yield tag("a", "skip to the content", href="#content", class_="skip")
    links = (tag("a", section.title, href=f"#{section.id}") for section in sections)
    yield head
    yield tag("nav", joined(links), aria_label="sections of the page")
    yield '\n<main id="content" tabindex="-1">'
    for section in sections:
        yield "\n"
        yield tag("section", tag("h2", section.title), section.content, id=section.id)
    yield "\n</main>\n"
    yield tag("footer", foot)
    yield f"\n<script>{script}</script>\n</body>\n</html>\n"


@cache
def _own(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
