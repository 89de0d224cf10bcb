"""Read and write an instant as people do: a date, or a date and a time, on the clocks of a zone. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from aetherflow.errors import UsageError
from aetherflow.schedule.zone import EPOCH, LAST_YEAR, instant, load_zone, seconds


def parse_instant(
    text: str, zone: ZoneInfo, forms: str = "write 2026-12-31, or 2026-12-31T18:00"
) -> datetime:
    """Read a date, or a date and a time; without an offset it is on the clocks of the zone.

    `forms` says in an error how it is written.

    Raises:
        UsageError: it is neither.
    """
    try:
        if len(text) == len("2026-12-31"):
            day = date.fromisoformat(text)
            read = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - on the clocks of the zone
        else:
            read = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date and no instant", hint=forms) from None
    if not EPOCH.year < read.year < LAST_YEAR:
        raise UsageError(
            f"{text!r}: the year is not in a scheduler's time",
            hint=f"give one from {EPOCH.year + 1} to {LAST_YEAR - 1}",
        )
    return read.astimezone(UTC) if read.tzinfo else on_clocks(read, zone)


def on_clocks(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the clocks of a zone show a time, in UTC.

    Of a time that they show twice it is the first; of one that they skip it is the end of the gap, at which
    the tick of an item of that time is too.
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == local.replace(fold=0):
        return first
    return instant(load_zone(zone.key).period(seconds(first)).start)


def parse_past(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Read an instant, an age (`36h`, `7d`), `today` or `yesterday`: the beginning of that day in the zone.

    Raises:
        UsageError: it is none of them.
    """
    here = now.astimezone(zone)
    if text in ("today", "yesterday"):
        day = here.date() - timedelta(days=text == "yesterday")
        return on_clocks(datetime(day.year, day.month, day.day), zone)  # noqa: DTZ001 - on its clocks
    if found := _AGE.fullmatch(text):
        age = timedelta(seconds=min(int(found[1]) * _SECONDS[found[2]], _LONGEST))
        return max(now - age, EPOCH + timedelta(days=366))
    forms = "write 2026-12-31, 2026-12-31T18:00, yesterday, today, or an age: 36h, 7d"
    return parse_instant(text, zone, forms)


def local_text(at: datetime, zone: str) -> str:
    """Return an instant to the second on the clocks of a zone, with its offset; `Z` for UTC."""
    text = at.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
    return f"{text.removesuffix('+00:00')}Z" if zone == "UTC" else text


def utc_text(at: datetime) -> str:
    """Return an instant in UTC to the second, as RFC 3339 writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


_AGE = re.compile(r"(\d{1,9}) ?([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = 50 * 366 * 86_400
