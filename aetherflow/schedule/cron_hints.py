"""Say what to write instead of a cron expression that has more, or fewer, than the fields of a time. Pure."""

from __future__ import annotations

import re

_FIELDS = "write [SECOND] MINUTE HOUR DAY-OF-MONTH MONTH DAY-OF-WEEK, as in '30 2 * * mon-fri'"
_PROGRAM = "only the times belong here; what to run is a flow: flow_yaml: FILE"
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
_DURATION = re.compile(r"(?:@?every\s+)?(\d+)\s*(s|m|min|mins|minutes?|h|hours?)", re.IGNORECASE)
_COMPOSED = re.compile(r"(?:@?every\s+)?((?:\d+[wdhms])+)", re.IGNORECASE)
_ISO_DURATION = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", re.IGNORECASE)
_ZONE_AT_END = re.compile(r"((?:\S+\s+){4,5}\S+)\s+(UTC|GMT|Z|[A-Z][A-Za-z]+/[A-Za-z_/+-]+)", re.DOTALL)
_RATE = re.compile(r"rate\(\s*(\d+)\s+(minutes?|hours?|days?)\s*\)", re.IGNORECASE)
_AWS = re.compile(r"cron\((.*)\)", re.IGNORECASE)
_WORD = re.compile(r"(?:OnCalendar=)?(hourly|daily|weekly|monthly|yearly|annually|midnight)", re.IGNORECASE)
_SYSTEMD = re.compile(r"OnCalendar=|[*\d]-[*\d]+-[*\d]|\d:\d\d")
_SYSTEMD_DAILY = re.compile(
    r"(?:OnCalendar=)?(?:([a-z]{3})[a-z]*\s+)?(?:\*-\*-\*\s+)?(\d\d?):(\d\d)(?::00)?", re.IGNORECASE
)
_QUARTZ = 7


def cron_hint(text: str) -> str:
    """Return what to write instead of an expression with the wrong number of fields."""
    if found := _ZONE.fullmatch(text.strip()):
        return f"a zone has a key of its own: timezone: {found[1]}, and cron: '{found[2]}'"
    if text.strip().isdecimal():
        return f"every {text.strip()} seconds is interval_seconds: {text.strip()}; else {_FIELDS}"
    if interval := _interval(text.strip()):
        return f"write interval_seconds: {interval} instead of cron"
    if found := _WORD.fullmatch(text.strip()):
        return f"write cron: '@{found[1].lower()}'"
    if _SYSTEMD.search(text):
        return _systemd_hint(text)
    words = text.split()
    has_year = len(words) == _QUARTZ and re.fullmatch(r"\*|\d{4}[\d,/-]*", words[-1])
    if has_year and "?" not in words and set(words) != {"*"}:
        return f"leave out the last field, the year: '{' '.join(words[:-1])}'"
    if len(words) == _QUARTZ and re.fullmatch(r"[\d*,/-]+", words[-1]) and "?" in words:
        six = " ".join(words[:-1]).replace("?", "*")
        return f"leave out the last field, the year, and write * for ?: '{six}'"
    return extra_hint(text) or _FIELDS


def _interval(text: str) -> str:
    """Return the duration that a text is, as `interval_seconds` has it; empty if it is none."""
    if (found := _ISO_DURATION.fullmatch(text)) and any(found.groups()):
        return "".join(
            f"{number}{unit}" for number, unit in zip(found.groups(), "dhms", strict=True) if number
        )
    if found := _DURATION.fullmatch(text):
        return f"{found[1]}{found[2][0].lower()}"
    found = _COMPOSED.fullmatch(text)
    return found[1].lower() if found else ""


def _systemd_hint(text: str) -> str:
    """Return the expression of a time of day of systemd, else the order of the fields."""
    found = _SYSTEMD_DAILY.fullmatch(text.strip())
    if found is None:
        return f"this is systemd's OnCalendar; {_FIELDS}"
    weekday = (found[1] or "*").lower()
    return f"this is systemd's OnCalendar: write '{int(found[3])} {int(found[2])} * * {weekday}'"


def extra_hint(text: str) -> str:
    """Return what to do about the text of an expression that is no times at all, or an empty text."""
    if _ZONE.fullmatch(text.strip()):
        return cron_hint(text)
    if found := _ZONE_AT_END.fullmatch(text.strip()):
        return f"a zone has a key of its own: timezone: {found[2]}, and cron: '{found[1]}'"
    if found := _RATE.fullmatch(text.strip()):
        return f"write interval_seconds: {found[1]}{found[2][0].lower()} instead of cron"
    if found := _AWS.fullmatch(text.strip()):
        times = " ".join(found[1].split()[:5]).replace("?", "*")
        return f"write the times alone, without the year, and * for ?; Sunday is 0, not 1: '{times}'"
    if any(word.startswith(("/", "./", "~/")) for word in text.split()):
        return _PROGRAM
    return ""
