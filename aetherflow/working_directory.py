"""What a relative path means: below the folder in which the process was started, by the name it had then.

The folder may be renamed, replaced or removed while a server runs (a release switch). A relative path still
means the same name, as the absolute path does that one could have written. Imports only the errors.
"""

from __future__ import annotations

import os
from pathlib import Path

from aetherflow.errors import ConfigError

OS_REFUSED = "AF003"
"""The operating system refuses what a command needs."""

_names: dict[tuple[int, int], Path] = {}
"""The name of each working directory of this process when it was first needed, by device and inode."""


def working_directory() -> Path:
    """Return the working directory by the name that it had when the process came there.

    Raises:
        FileNotFoundError: it was removed before its name was known.
    """
    try:
        folder = os.stat(".")  # noqa: PTH116 - cheap; it also works in a folder that was removed
    except PermissionError:  # a folder that may not be entered still has a name
        return Path.cwd()
    here = folder.st_dev, folder.st_ino
    if here not in _names:
        _names[here] = Path.cwd()
    return _names[here]


def working_directory_name() -> str:
    """Return the name of the working directory; empty if it was removed before its name was known."""
    try:
        return str(working_directory())
    except FileNotFoundError:
        return ""


def absolute(path: Path) -> Path:
    """Return the absolute path that a relative one means; `..` at its beginning is resolved.

    So a path that leads out of the working directory needs it no more. The name of that folder has no links.

    Raises:
        ConfigError: the path is relative, and the working directory was removed before its name was known.
    """
    if path.is_absolute():
        return path
    try:
        folder = working_directory()
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is relative to the working directory{_removed_name()}, which does not exist any more",
            hint="cd to a folder that exists, or give an absolute path",
            code=OS_REFUSED,
        ) from None
    parts = path.parts
    while parts and parts[0] == "..":
        folder, parts = folder.parent, parts[1:]
    return Path(folder, *parts)


def _removed_name() -> str:
    """Return the name that Linux remembers of a removed working directory, after a space."""
    try:
        name = os.readlink("/proc/self/cwd")  # noqa: PTH115 - of a file of the system, once
    except OSError:
        return ""
    return f" {name.removesuffix(' (deleted)')}"
