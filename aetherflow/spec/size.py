"""Read sizes of files: `1500`, `10kB`, `1.5MB`, `1MiB`. Pure.

kB, MB, GB and TB count in thousands, KiB, MiB, GiB and TiB in 1024 (IEC 80000-13); `k`, `M` and `G` alone are
thousands. Upper and lower case of the units do not matter.
"""

from __future__ import annotations

import re

ACCEPTED = "bytes (1500), or a number with a unit: 10kB, 1.5MB, 1MiB"
"""What a size may be, for messages and descriptions."""

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BYTES |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}

PATTERN = r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmMgGtT]?[iI]?)[bB]?\s*$"
"""A regular expression for the texts that are sizes, also for a JSON schema."""

_SIZE = re.compile(PATTERN)


def parse_size(text: str) -> int:
    """Return the bytes of a size; a part of a byte is rounded.

    Raises:
        ValueError: the text is no size; the message shows what is accepted.
    """
    found = _SIZE.match(text)
    unit = found[2].lower() if found else ""
    factor = _BYTES.get(unit)
    if found is None or factor is None:
        raise ValueError(f"{text!r} is no size: write {ACCEPTED}")
    return round(float(found[1]) * factor) if "." in found[1] else int(found[1]) * factor
