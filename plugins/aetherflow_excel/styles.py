"""The cell styles of a workbook: look them up, and add those that dates and headers need."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any

from aetherflow_excel.markup import attribute, element, with_attribute

MINIMAL = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)
"""The styles of a workbook that has none."""

FORMATS = MappingProxyType({date: "yyyy-mm-dd", datetime: "yyyy-mm-dd hh:mm:ss", time: "hh:mm:ss"})
"""The number formats of dates and times in cells whose style has none for dates."""

_DATES_BUILT_IN = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_NO_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h|m|s)[^\]]*\]', re.IGNORECASE)
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_BOLD = object()
_FIRST_OWN = 164
"""Number formats with ids from here on are those of the workbook."""


class CellStyles:
    """The styles part of a workbook. A style is named by its index, as cells do (`s="3"`).

    Attributes:
        is_changed: whether styles were added.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        xfs = element("cellXfs").search(text)
        self._xfs = [found[0] for found in element("xf").finditer(xfs[3] or "")] if xfs else []
        fonts = element("fonts").search(text)
        self._fonts = [found[0] for found in element("font").finditer(fonts[3] or "")] if fonts else []
        formats = element("numFmts").search(text)
        own = [found[1] for found in element("numFmt").finditer(formats[3] or "")] if formats else []
        self._codes = {
            int(attribute(tag, "numFmtId") or 0): attribute(tag, "formatCode") or "" for tag in own
        }
        self._old = (len(self._xfs), len(self._fonts), set(self._codes))
        self._made: dict[tuple[int, object], int] = {}
        self._kinds: dict[int, Any] = {}

    @property
    def is_changed(self) -> bool:
        """Whether styles were added."""
        return len(self._xfs) != self._old[0]

    def for_dates(self, style: int, kind: type) -> int:
        """Return the style as dates or times need it: itself if it has a format for them."""
        if self._has_date_format(style):
            return style
        if (style, kind) not in self._made:
            xf = with_attribute(self._tag(style), "numFmtId", str(self._format(FORMATS[kind])))
            self._add((style, kind), style, with_attribute(xf, "applyNumberFormat", "1"))
        return self._made[style, kind]

    def instead(self, style: int, written: int) -> int:
        """Return the style for a cell that had `style` and gets a value written in the style `written`."""
        kind = self._kinds.get(written)
        if kind is None:
            return style
        return self.bold(style) if kind is _BOLD else self.for_dates(style, kind)

    def bold(self, style: int) -> int:
        """Return the style with a bold font."""
        if (style, _BOLD) not in self._made:
            tag = self._tag(style)
            number = int(attribute(tag, "fontId") or 0)
            font = self._fonts[number] if number < len(self._fonts) else "<font/>"
            if (found := element("font").fullmatch(font)) is not None and found[3] is None:
                font = font[:-2].rstrip() + "></" + _name(font) + ">"
            start = font.index(">") + 1
            prefix = _name(font).rpartition("font")[0]
            if not re.search(rf"<{prefix}b\s*(?:/|val=\"1\")", font):
                self._fonts.append(f"{font[:start]}<{prefix}b/>{font[start:]}")
                number = len(self._fonts) - 1
            xf = with_attribute(with_attribute(tag, "fontId", str(number)), "applyFont", "1")
            self._add((style, _BOLD), style, xf)
        return self._made[style, _BOLD]

    def text(self) -> str:
        """Return the text of the part with what was added."""
        text = self._text
        xfs, fonts, formats = self._old
        own = [i for i in self._codes if i not in formats]
        text = _appended(text, "cellXfs", self._xfs[xfs:], len(self._xfs))
        text = _appended(text, "fonts", self._fonts[fonts:], len(self._fonts))
        if own and element("numFmts").search(text) is None:
            root = element("styleSheet").search(text)
            prefix = _name(root[1]).rpartition("styleSheet")[0] if root else ""
            end = root.end(1) if root else 0
            text = f'{text[:end]}<{prefix}numFmts count="0"></{prefix}numFmts>{text[end:]}'
        found = element("numFmts").search(text)
        prefix = _name(found[1]).rpartition("numFmts")[0] if found else ""
        added = [f'<{prefix}numFmt numFmtId="{i}" formatCode="{self._codes[i]}"/>' for i in own]
        return _appended(text, "numFmts", added, len(self._codes))

    def _tag(self, style: int) -> str:
        found = element("xf").match(self._xfs[style]) if style < len(self._xfs) else None
        return found[1] if found else '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'

    def _add(self, key: tuple[int, object], style: int, tag: str) -> None:
        old = self._xfs[style] if style < len(self._xfs) else tag
        self._xfs.append(old.replace(self._tag(style), tag, 1))
        self._made[key] = len(self._xfs) - 1
        self._kinds[len(self._xfs) - 1] = key[1]

    def _has_date_format(self, style: int) -> bool:
        number = int(attribute(self._tag(style), "numFmtId") or 0)
        return number in _DATES_BUILT_IN or bool(
            _DATE_CODE.search(_NO_CODE.sub("", self._codes.get(number, "")))
        )

    def _format(self, code: str) -> int:
        known = next((number for number, text in self._codes.items() if text == code), None)
        if known is None:
            known = max(_FIRST_OWN, max(self._codes, default=0) + 1)
            self._codes[known] = code
        return known


def _name(tag: str) -> str:
    found = re.match(r"<([\w.:-]+)", tag)
    return found[1] if found else ""


def _appended(text: str, name: str, added: list[str], count: int) -> str:
    """Return the text with elements at the end of a list, and the count that the list says."""
    found = element(name).search(text)
    if not added or found is None:
        return text
    tag, start, end = with_attribute(found[1], "count", str(count)), found.start(), found.end()
    if found[3] is None:
        return f"{text[:start]}{tag[:-2]}>{''.join(added)}</{_name(tag)}>{text[end:]}"
    close = found[4]
    return f"{text[:start]}{tag}{found[3]}{''.join(added)}{close}{text[end:]}"
