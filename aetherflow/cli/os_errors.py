"""Explain errors of the operating system that users can fix (disk full, no permission): they are no bugs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from aetherflow.errors import AetherFlowError, ConfigError
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.working_directory import OS_REFUSED, working_directory_name

_HINTS = {
    errno.EACCES: "check its permissions and those of the folders above it",
    errno.EPERM: "check who owns it and what this user may do",
    errno.EROFS: "the file system is mounted read-only",
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "the quota is used up: free some space",
    errno.EIO: "look at the system log",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the whole machine has too many open files",
    errno.ENOTDIR: "there is a file where a folder should be",
    errno.EISDIR: "there is a folder where a file should be",
    errno.ELOOP: "its symbolic links form a loop",
    errno.ENAMETOOLONG: "choose a shorter path",
}


def as_sentence(error: OSError) -> AetherFlowError | None:
    """Return an error of the system as one of ours; None if only a bug can have caused it."""
    is_relative = error.filename is None or not Path(os.fsdecode(error.filename)).is_absolute()
    if isinstance(error, FileNotFoundError) and is_relative and not working_directory_name():
        return ConfigError(
            "the working directory does not exist any more",
            hint="cd to a folder that exists",
            code=OS_REFUSED,
        )
    hint = _HINTS.get(error.errno or 0)
    if hint is None:
        return None
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return OutputLostError(f"cannot write the output: {error.strerror}", hint=hint)
    what = "" if error.filename is None else f"{error.filename}: "
    return AetherFlowError(f"{what}{error.strerror}", hint=hint, code=OS_REFUSED)
