"""Find which file systems are mounted where, as Linux lists them; elsewhere none is known.

Imports nothing of AetherFlow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted file system: its device (`8:1`) and its type; both empty if unknown."""

    device: str = ""
    kind: str = ""


def mount_of(path: Path) -> Mount:
    """Return the mount that a file is on, as far as the platform shows its mounts."""
    return find_mount(os.path.realpath(path), _listed())


def find_mount(path: str, mounts: str) -> Mount:
    """Return the mount that an absolute path is on; of two at the same point the later one hides the earlier.

    `mounts` is the text of /proc/self/mountinfo.
    """
    found, longest = Mount(), -1
    for point, mount in _parsed(mounts):
        depth = len(PurePosixPath(point).parts)
        if depth >= longest and PurePosixPath(path).is_relative_to(point):
            found, longest = mount, depth
    return found


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points at or below a folder, as far as the platform shows its mounts."""
    real = os.path.realpath(folder)
    return [point for point, _ in _parsed(_listed()) if point == real or point.startswith(f"{real}/")]


def _listed() -> str:
    try:
        return _MOUNTS.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _parsed(mounts: str) -> Iterator[tuple[str, Mount]]:
    """Yield each mount and its mount point (proc_pid_mountinfo(5)).

    The device is field 3, the mount point is field 5, and the type follows the separator ` - `.
    """
    for line in mounts.split("\n"):
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 4:  # noqa: PLR2004 - the number of fields before the mount point
            point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[4])
            yield point, Mount(fields[2], after.partition(" ")[0])
