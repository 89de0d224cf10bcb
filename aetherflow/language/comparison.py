"""Compare values in conditions by one rule, the table on the manual page `conditions`.

- A text that looks like a number compares as a number with numbers, and is ordered as one among such texts.
- Two texts are equal if they are the same text; lists and mappings if their content is equal by this rule.
- True and false equal the texts `true` and `false` in any case, and the numbers 1 and 0; null equals null.
- Only two numbers or two texts have an order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FALSE_TEXTS = frozenset({"false", "0", "", "no"})
_NUMBER = re.compile(
    r"\s*[+-]?(?:[0-9]+(?P<point>\.[0-9]*)?|(?P<bare>\.[0-9]+))(?P<power>[eE][+-]?[0-9]+)?\s*"
)
_LONGEST_NUMBER = 400


def truth(value: Any) -> bool:
    """Return the truth of a value; the texts `false`, `0`, `no` (in any case) and the empty one are false."""
    return value.lower() not in FALSE_TEXTS if isinstance(value, str) else bool(value)


def number(value: Any) -> int | float | None:
    """Return a number, or the number that a text looks like (spaces around it are fine), or None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return None
    found = _NUMBER.fullmatch(value)
    if found is None:
        return None
    is_float = found["point"] is not None or found["bare"] or found["power"]
    return float(value) if is_float else int(value)


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal; values of unlike kinds are not.

    Raises:
        RecursionError: they are lists in lists, hundreds of levels deep.
    """
    if isinstance(left, bool):
        return _equals_bool(left, right)
    if isinstance(right, bool):
        return _equals_bool(right, left)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if left is None or right is None:
        return left is right
    one, other = number(left), number(right)
    return one is not None and other is not None and one == other


def ordered(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Return the two values as numbers, or else as texts, that have an order; None when they have none."""
    one, other = number(left), number(right)
    if one is not None and other is not None:
        return (one, other) if one == one and other == other else None  # noqa: PLR0124 - NaN has no order
    return (left, right) if isinstance(left, str) and isinstance(right, str) else None


def contains(box: Any, value: Any) -> bool | None:
    """Return whether a list has the item, a mapping the key, a text the part; None for all else."""
    if isinstance(box, str):
        return value in box if isinstance(value, str) else None
    if isinstance(box, Mapping | list | tuple):
        return any(equal(value, item) for item in box)
    return None


def _equals_bool(flag: bool, other: Any) -> bool:  # noqa: FBT001 - a value, not a switch
    if isinstance(other, bool):
        return flag is other
    if isinstance(other, str) and other.strip().lower() in ("true", "false"):
        return flag is (other.strip().lower() == "true")
    known = number(other)
    return known is not None and known == flag
