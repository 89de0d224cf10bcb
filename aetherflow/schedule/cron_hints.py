"""Say what to write instead of a cron expression that has more, or fewer, than the fields of a time. Pure."""

from __future__ import annotations

import re

_FIELDS = "write [SECOND] MINUTE HOUR DAY-OF-MONTH MONTH DAY-OF-WEEK, as in '30 2 * * mon-fri'"
_PROGRAM = "only the times belong here; what to run is a flow: flow_yaml: FILE"
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
_DURATION = re.compile(r"(?:@?every\s+)?(\d+)\s*(s|m|min|mins|minutes?|h|hours?)", re.IGNORECASE)
_QUARTZ = 7


def cron_hint(text: str) -> str:
    """Return what to write instead of an expression with the wrong number of fields."""
    if found := _ZONE.fullmatch(text.strip()):
        return f"a zone has a key of its own: timezone: {found[1]}, and cron: '{found[2]}'"
    if found := _DURATION.fullmatch(text.strip()):
        return f"write interval_seconds: {found[1]}{found[2][0].lower()} instead of cron"
    words = text.split()
    if len(words) == _QUARTZ and re.fullmatch(r"[\d*,/-]+", words[-1]) and "?" in words:
        six = " ".join(words[:-1]).replace("?", "*")
        return f"leave out the last field, the year, and write * for ?: '{six}'"
    return extra_hint(text) or _FIELDS


def extra_hint(text: str) -> str:
    """Return what to do about the text of an expression that is no times at all, or an empty text."""
    if _ZONE.fullmatch(text.strip()):
        return cron_hint(text)
    if any(word.startswith(("/", "./", "~/")) for word in text.split()):
        return _PROGRAM
    return ""
