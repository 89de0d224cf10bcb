"""Build HTML and SVG from text that nobody trusts: every text is escaped, attributes are always quoted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)
"""Matches control characters, half characters, and those that change the order of others or are not seen."""

_VOID = frozenset({"meta", "link", "input", "br", "rect", "path", "line", "circle", "use", "wbr", "col"})


class Markup(str):
    """A text that is markup already, hence not escaped again."""

    __slots__ = ()


Content = str | Iterable[str]
"""Texts are escaped, Markup is not."""

NOTHING = Markup("")


def plain(text: str) -> str:
    r"""Return a text with what cannot be seen as escapes: `\x00`, `\u202e`. Line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def text(value: str) -> Markup:
    """Return a text as markup; a Markup as it is."""
    return value if isinstance(value, Markup) else Markup(escape(plain(value)))


def joined(parts: Iterable[str]) -> Markup:
    """Return texts and markup one after the other, as markup."""
    return Markup("".join(map(text, parts)))


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        content: what is in it.
        attributes: `class_` is `class`, `data_level` is `data-level`; None and False are left out,
            True has no value.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID and not content:
        return Markup(f"<{name}{given}/>")
    inner = "".join(text(one) if isinstance(one, str) else joined(one) for one in content)
    return Markup(f"<{name}{given}>{inner}</{name}>")


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001 - an attribute may be one
    if value is None or value is False:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value is True:
        return f" {name}"
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{escape(plain(shown), quote=True)}"'
