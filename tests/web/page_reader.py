"""Read a page as a browser would, as far as the tests need it: elements, texts, links, what it would load."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "input", "br", "wbr", "col", "img", "hr"})
LOADS = ("src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href", "ping")


class PageReader(HTMLParser):
    """A page that was read.

    Attributes:
        wrong: what is not well formed.
        ids: the ids of elements, in order.
        links: where `href` leads.
        loads: attributes that make a browser load something, and handlers of events.
        texts: the texts by element name.
    """

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.metas: dict[str, str] = {}
        self.elements: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()
        self.wrong += [f"<{name}> is not closed" for name in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.elements.append(tag)
        if len(given) != len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        if "id" in given:
            self.ids.append(given["id"] or "")
        if "href" in given:
            self.links.append(given["href"] or "")
        self.loads += [
            f"{tag} {name}" for name in given if name in LOADS or name.startswith("on") or name == "style"
        ]
        if tag == "meta":
            name = given.get("name") or given.get("http-equiv") or "charset"
            self.metas[name] = given.get("content") or given.get("charset") or ""
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            self.wrong.append(f"</{tag}> closes {self._open[-1] if self._open else 'nothing'}")
        elif self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for name in set(self._open):
            self.texts.setdefault(name, []).append(data)

    def text(self, element: str = "body") -> str:
        """Return all text in elements of a name."""
        return "".join(self.texts.get(element, ()))


def problems(page: str) -> list[str]:
    """Return what is wrong with a page that must need nothing but itself."""
    read = PageReader(page)
    found = list(read.wrong)
    found += [f"the id {name} is there twice" for name in read.ids if read.ids.count(name) > 1]
    found += [f"{link} leads nowhere" for link in read.links if link[:1] != "#" or link[1:] not in read.ids]
    found += [f"it loads something: {one}" for one in read.loads]
    found += [
        f"a <{name}>"
        for name in ("link", "iframe", "object", "embed", "base", "img")
        if name in read.elements
    ]
    policy = read.metas["Content-Security-Policy"]
    for name in ("style", "script"):
        (inside,) = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        if f"{name}-src 'sha256-{digest}'" not in policy:
            found.append(f"the policy does not know the {name}")
        if re.search(r"@import|https?:|url\((?!#)", inside):
            found.append(f"the {name} names something outside")
    if not policy.startswith("default-src 'none'; ") or "unsafe" in policy:
        found.append(f"the policy allows more than it must: {policy}")
    found += [
        f"the character {letter!r}"
        for letter in sorted(
            set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe]", page))
        )
    ]
    return found
