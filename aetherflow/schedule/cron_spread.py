"""Replace `H` in a cron expression by numbers that are spread over items and always the same for one item.

`H` is Jenkins's: a number of the field that a hash of the item's id chooses, so that many items with
`H H * * *` do not all start at midnight. The id is that of the scheduler and the item, so it is the same on
every server and after every restart.

    H        any number of the field (day of month: 1 to 28, so that every month has it)
    H(0-5)   one of these
    H/15     every 15, from a number below 15; it counts as a wildcard like */15
    H(0-29)/10
"""

from __future__ import annotations

import re
from hashlib import blake2b

from aetherflow.schedule.fields import DAY_OF_MONTH, DAY_OF_WEEK, Field, number, refused

_ITEM = re.compile(r"H(?:\((?P<first>\w+)-(?P<last>\w+)\))?(?:/(?P<step>\d{1,4}))?")
_HAS_H = re.compile(r"(?:^|,)[Hh](?:$|[,(/])")
_SHORTEST_MONTH = 28
_LAST_WEEKDAY = 6


def has_spread(text: str) -> bool:
    """Whether a field holds an `H`, alone or in a list."""
    return _HAS_H.search(text) is not None


def follows_time(text: str) -> bool:
    """Whether a field is a wildcard: it begins with `*`, or with an `H` of steps over all its numbers."""
    return text.startswith(("*", "H/"))


def spread(field: Field, text: str, offset: int, item: str) -> str:
    """Return a field with each `H` replaced.

    Raises:
        ScheduleProblem: an `H` is not understood, or there is no item to choose for.
    """
    if not has_spread(text):
        return text
    if not item:
        raise refused(field, "'H' needs the id of an item", offset)
    return ",".join(_spread(field, part, offset, item) for part in text.split(","))


def _spread(field: Field, text: str, offset: int, item: str) -> str:
    if not has_spread(text):
        return text
    found = _ITEM.fullmatch(text)
    if found is None:
        raise refused(field, f"{text!r} is not understood", offset, "write H, H(0-5), H/15 or H(0-29)/10")
    low, high = (
        field.low,
        {DAY_OF_MONTH.name: _SHORTEST_MONTH, DAY_OF_WEEK.name: _LAST_WEEKDAY}.get(field.name, field.high),
    )
    if found["first"]:
        low, high = number(field, found["first"], offset), number(field, found["last"], offset)
        if high < low:
            raise refused(field, f"the range {low}-{high} runs backwards", offset)
    step = int(found["step"] or 0)
    if found["step"] and not 1 <= step <= high - low + 1:
        message = f"the step of {text!r} is not between 1 and {high - low + 1}"
        raise refused(field, message, offset, field.beyond)
    digest = int.from_bytes(blake2b(f"{field.name} {item}".encode(), digest_size=8).digest())
    if not step:
        return str(low + digest % (high - low + 1))
    return f"{low + digest % step}-{high}/{step}"
