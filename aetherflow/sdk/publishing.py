"""Give complete files and folders their final names; on a worker of a cluster only if the engine agrees.

The functions block. May import `file_access`, `sdk.files` and `sdk.removal` only.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

from aetherflow.file_access import set_mode
from aetherflow.sdk.files import Way, publisher
from aetherflow.sdk.removal import remove_own

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1


def publish(temporary: str, final: str, way: Way = "replace") -> bool:
    """Give a complete file or folder its final name; return False if the name is not free and must be.

    Raises:
        OSError: it cannot be renamed.
        StepError: the attempt does not count any more.
    """
    by = publisher.get()
    return rename(temporary, final, way) if by is None else by(temporary, final, way)


def rename(temporary: str, final: str, way: Way) -> bool:
    """Give a file or folder its final name in this process; see `publish`.

    Raises:
        OSError: it cannot be renamed.
    """
    match way:
        case "replace":
            Path(temporary).replace(final)
            return True
        case "new":
            return _rename_to_free_name(temporary, final)
        case "folder":
            _swap(Path(temporary), Path(final))
            return True


def is_temporary(name: str) -> bool:
    """Whether a file is called as the incomplete ones are that AetherFlow writes."""
    return name.startswith(".") and (name.endswith(".part") or ".part." in name)


def aside_of(final: Path) -> Path:
    """Return where the old content of a folder is while the new one takes its place."""
    return final.with_name(f".{final.name}.replaced")


def _swap(temporary: Path, final: Path) -> None:
    aside = aside_of(final)
    if os.path.lexists(final):
        set_mode(temporary, stat.S_IMODE(final.stat().st_mode))
        final.rename(aside)
    try:
        temporary.rename(final)
    except OSError:
        if aside.is_dir():
            aside.rename(final)
        raise
    finally:
        remove_own(aside)


def _rename_to_free_name(path: str, new: str) -> bool:
    import ctypes  # noqa: PLC0415 - few runs need it

    if (function := _rename_without_replacing()) is not None:
        if function(_AT_FDCWD, os.fsencode(path), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) == 0:
            return True
        number = ctypes.get_errno()
        if number == errno.EEXIST:
            return False
        if number not in {errno.EINVAL, errno.ENOSYS}:  # not every file system can do it
            raise OSError(number, os.strerror(number), path)
    if os.path.lexists(new):
        return False
    Path(path).rename(new)
    return True


@cache
def _rename_without_replacing() -> Callable[..., int] | None:
    """Return the C function that renames only to a free name, in one operation; None if there is none."""
    import ctypes  # noqa: PLC0415 - as above

    function: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return function
