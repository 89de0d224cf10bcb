"""The sentences for what the file system of this machine refuses: which path, why, and what to do. Pure."""

from __future__ import annotations

import errno

from aetherflow.errors import StepError

_CONNECTION = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN}
"""What a mounted share reports when its server does not answer; a later attempt may succeed."""

_RIGHTS = "check the permissions of the file and of its folders"
_ROOM = "make room there, then run again: what has arrived is not sent again"
_HINTS = {
    errno.ENOENT: "check the path and, if it is a share, that it is mounted",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "the file system, or a limit of this process, does not take files of this size",
    errno.EROFS: "the file system is mounted read-only: mount it for writing, or name another place",
    errno.ENAMETOOLONG: "shorten the name",
    errno.EISDIR: "a folder is in its place: remove it, or choose another name",
    errno.EEXIST: "a file is where a folder should be: remove it, or choose another path",
    errno.ENOTDIR: "a file is where a folder should be: remove it, or choose another path",
    errno.ELOOP: "the links on the way lead in a circle: remove one of them",
}


def local_failure(error: OSError, doing: str, path: str) -> StepError:
    """Return the error for a path of this machine, such as `cannot write /data/a.csv: ...` (AF311).

    Args:
        error: what the operating system reported.
        doing: the verb: read, write, list, rename, delete ...
        path: as the flow or the listing names it.
    """
    return StepError(
        f"cannot {doing} {path}: {error.strerror or error}",
        hint=_HINTS.get(error.errno or 0, "check the path, its permissions and its file system"),
        kind="connection" if error.errno in _CONNECTION else "other",
        code="AF311",
        detail={"path": path},
    )
