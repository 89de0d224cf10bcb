"""Read and write durations: `90`, `90s`, `5m`, `1h30m`. Pure.

A number alone is seconds. With units, the larger ones come first and each comes at most once.
"""

from __future__ import annotations

import re

SECONDS = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
"""The seconds of each unit, the largest first."""

ACCEPTED = "seconds (90), or a number with a unit: 90s, 5m, 2h, 1d, 1h30m"
"""What a duration may be, for messages and descriptions."""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PARTS = "".join(rf"(?:({_NUMBER}){unit})?" for unit in SECONDS)
PATTERN = rf"^(?:{_NUMBER}|(?=[0-9]){_PARTS})$"
"""A regular expression for the texts that are durations, also for a JSON schema."""

_DURATION = re.compile(PATTERN)


def parse_duration(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        ValueError: the text is no duration; the message shows what is accepted.
    """
    found = _DURATION.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration: write {ACCEPTED}")
    if not any(found.groups()):
        return float(text)
    parts = zip(found.groups(), SECONDS.values(), strict=True)
    return round(sum(float(number) * seconds for number, seconds in parts if number), 3)


def duration_text(seconds: float) -> str:
    """Return seconds as a duration that `parse_duration` reads: 5400 is `1h30m`; units from days to ms."""
    rest = round(seconds * 1000)
    found = []
    for unit, size in SECONDS.items():
        if unit != "w":
            number, rest = divmod(rest, round(size * 1000))
            found.append(f"{number}{unit}" if number else "")
    return "".join(found) or "0s"
