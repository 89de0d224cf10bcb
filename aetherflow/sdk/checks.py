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
    """The result of one check.

    Attributes:
        subject: what was checked, in a word or two: login, read, write, free space, certificate.
        state: "error" if a run will fail because of it, "warning" if it may.
        message: the result in a sentence, without secrets.
        hint: what to do about it; may be empty.
        excerpt: the line of a file that it is about, with a caret below the column; may be empty.
    """

    subject: str
    state: CheckState
    message: str
    hint: str = ""
    excerpt: str = ""


def free_space_check(free_bytes: int, where: str, *, least: int = LOW_SPACE_BYTES) -> CheckResult:
    """Return the result for free space; less than `least` bytes is a warning. `where` ends the message."""
    message = f"{_size(free_bytes)} free {where}"
    if free_bytes >= least:
        return CheckResult("free space", "ok", message)
    return CheckResult("free space", "warning", message, "delete what is not needed, or choose another place")


def access_check(path: Path) -> CheckResult:
    """Check whether a local file or folder can be read and written; blocking.

    A file that can only be read is no error, as the flow may not write to it.
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
        if size < 1024:  # noqa: PLR2004 - the factor between two units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
