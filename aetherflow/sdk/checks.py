"""The results of `Connector.check` and of `doctor`, and checks that several connectors share.

May import nothing of aetherflow.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import msgspec

CheckState = Literal["ok", "warning", "error"]

LOW_SPACE_BYTES = 100 * 2**20


class CheckResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at, and how it is.

    Attributes:
        subject: what it was, in a word or two: login, read, write, free space, certificate.
        state: "error" for what will make a run fail, "warning" for what may.
        message: how it is, in a sentence without a secret.
        hint: what to do about it; may be empty.
    """

    subject: str
    state: CheckState
    message: str
    hint: str = ""


def free_space_check(free_bytes: int, where: str, *, least: int = LOW_SPACE_BYTES) -> CheckResult:
    """Return the check for the free space of a place; less than `least` bytes is a warning."""
    message = f"{_size(free_bytes)} free {where}"
    if free_bytes >= least:
        return CheckResult("free space", "ok", message)
    return CheckResult("free space", "warning", message, "delete what is not needed, or choose another place")


def access_check(path: Path) -> CheckResult:
    """Return the check whether a local file or folder can be read and written; blocking.

    That a file can only be read is no error: whether a flow writes to it is not known here.
    """
    if not path.exists():
        return CheckResult("access", "error", f"{path} does not exist", "check the path")
    if not os.access(path, os.R_OK):
        return CheckResult("access", "error", f"{path} cannot be read", "give this user the right to read it")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        return CheckResult("access", "ok", f"{path} can only be read")
    return CheckResult("access", "ok", f"{path} can be read and written")


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - what a unit is of the one before
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
