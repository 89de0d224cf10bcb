"""Say what to write instead of a `{{...}}` that is no template. Pure."""

from __future__ import annotations

import re

from aetherflow.language.date_format import DIRECTIVES
from aetherflow.language.dates import UNITS
from aetherflow.language.reference import PATH

_SHOWN = 40
_LONGEST_TOKEN = 120
_QUOTES = "`'\""
_TIGHT = re.compile(rf"\{{\{{\s*({PATH}?)\s*([-+])\s*([0-9]+)\s*(mo|[mhdwy])\s*\}}\}}")
_OFFSET = re.compile(rf"\{{\{{\s*{PATH}\s+[-+/]")
_DEFAULT_FILTER = re.compile(
    rf"\{{\{{\s*({PATH})\s*\|\s*d(?:efault)?\s*\(\s*(['\"]?)([^'\"(){{}}]*)\2\s*\)\s*\}}\}}"
)
FORMAT = re.compile(r"\|\s*format\s*:")
_PIPE = re.compile(rf"\{{\{{\s*{PATH}[^|{{}}:]*\|")


def hint_of(text: str, at: int, end: int, reason: str) -> str:
    """Return the hint about the token `text[at:end]`: what is wrong with it, and what to write."""
    shown = text[at : at + _SHOWN].partition("\n")[0]
    return f"at {shown!r}: {reason}; {_instead(text[at:end])}"


def format_hint(text: str) -> str:
    """Return what to write instead of a format."""
    unquoted = text.strip("'\"")
    return (
        f"write {unquoted}" if unquoted != text and "%" in unquoted else f"a format has these: {DIRECTIVES}"
    )


def spaced_offset(path: str) -> str:
    """Return the hint for a path that was meant as a date and an offset (`run.date-1d`), or nothing.

    A dash may be part of a name, so an offset needs spaces.
    """
    found = re.fullmatch(rf"({PATH}?)-([0-9]+)(mo|[mhdwy])", path)
    return f"an offset has spaces around its sign: {{{{{found[1]} - {found[2]}{found[3]}}}}}" if found else ""


def literal(text: str) -> str:
    """Return the token that gives a text as it is; only of its braces, if it has all the quotes."""
    quote = next((quote for quote in _QUOTES if quote not in text), "")
    if not quote:
        return literal(text[:2])
    return f"{{{{{quote}{text}{quote}}}}}"


def _meant(token: str) -> str:
    """Return what to write for a token of this language, or of one like it; nothing for foreign text."""
    if found := _TIGHT.fullmatch(token):
        path, sign, amount, unit = found.groups()
        return f"an offset has spaces around its sign: {{{{{path} {sign} {amount}{unit}}}}}"
    if found := _DEFAULT_FILTER.fullmatch(token):
        return f"a default is written {{{{{found[1]}:{found[3]}}}}}"
    if FORMAT.search(token):
        return "the format comes last: {{run.date - 1d | format: %Y%m%d}}; a parameter has its own default"
    if _PIPE.match(token):
        return "the only pipe is the format of a date: {{run.date | format: %Y%m%d}}"
    if _OFFSET.match(token):
        return f"an offset of a date is {{{{run.date - 1d}}}}, a cut is {{{{run.date / mo}}}}; units: {UNITS}"
    return ""


def _instead(token: str) -> str:
    if len(token) > _LONGEST_TOKEN:  # the patterns below take their time on hostile text
        return f"to have it as it is, write {literal(token[:2])}"
    if hint := _meant(token):
        return hint
    if not (token.startswith("{{") and token.endswith("}}")):
        return f"to have it as it is, write {literal(token[:2])}"
    if "\n" in token:
        return "to have it as it is, write {{` before it and `}} after it"
    return f"to have it as it is, write {literal(token)}"
