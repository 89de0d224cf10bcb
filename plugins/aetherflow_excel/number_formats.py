"""Distinguish dates, times and durations from plain numbers by the formats of cells; read serial numbers."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from enum import Enum

from aetherflow_excel.package import Package, tags

_SECONDS = 86_400
_BLANKED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)


class Meaning(Enum):
    """What a number means."""

    NUMBER = 0
    DATE = 1
    TIME = 2
    DATETIME = 3
    DURATION = 4


_BUILT_IN = {
    **dict.fromkeys((*range(14, 18), *range(27, 37), *range(50, 59)), Meaning.DATE),
    **dict.fromkeys((18, 19, 20, 21, 45, 47), Meaning.TIME),
    22: Meaning.DATETIME,
    46: Meaning.DURATION,
}
"""The formats that files name by number only."""


def meaning_of(code: str) -> Meaning:
    """Return what numbers with this format code mean, such as `dd.mm.yyyy`."""
    text = _BLANKED.sub("", code.partition(";")[0]).lower().replace("am/pm", "h").replace("a/p", "h")
    if "general" in text:
        return Meaning.NUMBER
    if "[" in text:
        return Meaning.DURATION
    has_time = "h" in text or "s" in text
    has_date = "y" in text or "d" in text or ("m" in text and not has_time)
    if has_date:
        return Meaning.DATETIME if has_time else Meaning.DATE
    return Meaning.TIME if has_time else Meaning.NUMBER


def meanings(package: Package) -> list[Meaning]:
    """Return what numbers mean, by the number of the cell's style."""
    parts = [one.target for one in package.relations(package.workbook_part) if one.kind == "/styles"]
    if not parts or package.find(parts[0]) is None:
        return []
    text = package.text(parts[0])
    codes = {one.get("numFmtId", ""): one.get("formatCode", "") for _, one in tags(text, "numFmt")}
    own = re.search(r"<(?:[\w.-]+:)?cellXfs\b.*?</(?:[\w.-]+:)?cellXfs>", text, re.DOTALL)
    found = []
    for _, style in tags(own[0] if own else "", "xf"):
        number = style.get("numFmtId", "0")
        found.append(
            meaning_of(codes[number]) if number in codes else _BUILT_IN.get(int(number), Meaning.NUMBER)
        )
    return found


def moment(serial: float, meaning: Meaning, *, is_1904: bool) -> date | time | datetime | str | float:
    """Return the date, time or duration that a serial number is; a number that is none of Excel's stays."""
    days, seconds = divmod(round(serial * _SECONDS, 3), _SECONDS)
    if meaning is Meaning.DURATION:
        return duration(serial)
    if meaning is Meaning.TIME and 0 <= serial < 1:
        return (datetime(1904, 1, 1) + timedelta(seconds=seconds)).time()  # noqa: DTZ001 - Excel has no zones
    first = date(1904, 1, 1) if is_1904 else date(1899, 12, 30 if days > 60 else 31)  # noqa: PLR2004 - 1900-02-29
    try:
        day = first + timedelta(days=days)
    except OverflowError:
        return serial
    if serial < 0:
        return serial
    if meaning is Meaning.DATE and not seconds:
        return day
    return datetime.combine(day, time()) + timedelta(seconds=seconds)


def duration(serial: float) -> str:
    """Return a duration as Excel shows it: hours, minutes, seconds."""
    seconds = round(abs(serial) * _SECONDS)
    hours, rest = divmod(seconds, 3600)
    return f"{'-' if serial < 0 else ''}{hours}:{rest // 60:02}:{rest % 60:02}"
