"""What a connector says of the other side: the answer of `Connector.check`, shown by `doctor --connect`."""

from __future__ import annotations

from typing import Literal

import msgspec

CheckState = Literal["ok", "warning", "error"]


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at, and how it is.

    Attributes:
        name: what it was, in a word or two: login, read, write, free space, certificate.
        state: "error" for what will make a run fail, "warning" for what may.
        message: how it is, in a sentence without a secret.
        hint: what to do about it; may be empty.
    """

    name: str
    state: CheckState
    message: str
    hint: str = ""


def free_space_check(free_bytes: int, where: str, *, least: int = 100 * 2**20) -> Check:
    """Return the check for the free space of a place; less than `least` bytes is a warning."""
    message = f"{_size(free_bytes)} free {where}"
    if free_bytes >= least:
        return Check("free space", "ok", message)
    return Check("free space", "warning", message, "delete what is not needed, or choose another place")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - what a unit is of the one before
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
