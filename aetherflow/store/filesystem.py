"""Look at the file system of a state database, and refuse one on a network.

SQLite's write-ahead log needs memory that all its processes share, which two hosts do not have, and locks
over a network are unreliable: the database would be damaged without any error (https://sqlite.org/wal.html,
https://sqlite.org/howtocorrupt.html).
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Literal

from aetherflow.errors import StateUnusable
from aetherflow.mounts import mount_of

NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs"}
    | {"nfs4", "orangefs", "pvfs2", "smb2", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("ceph-fuse", "cephfs", "davfs2", "gcsfuse", "glusterfs", "goofys")}
    | {f"fuse.{name}" for name in ("juicefs", "mount-s3", "rclone", "s3fs", "smbnetfs", "sshfs")}
)
"""Their names as Linux gives them."""

FULL_BYTES = 1 << 20
"""A disk with less room than this may be full for a transaction."""

FileId = tuple[int, int]
"""Device and inode."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def beside(path: Path, end: Literal["-wal", "-shm"]) -> Path:
    """Return the path of a database's log or index: beside the real file, whatever link leads there."""
    return Path(os.path.realpath(path) + end)


def logs_beside(state: Path) -> Path:
    """Return the folder of the step logs that belong to a state database."""
    return state.with_name(f"{state.stem}.logs")


def is_missing(path: Path) -> bool:
    """Whether a file does not exist; one without permission exists, and opening it reports the reason."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def refuse_no_file(path: Path) -> None:
    """Refuse a state database that is a folder, a pipe, a socket or a device: SQLite would blame the disk.

    Raises:
        StateUnusable: it exists and is no file.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # a file that is missing is made, and of another one SQLite says why it cannot be opened
    if not stat.S_ISREG(mode):
        raise StateUnusable(
            f"the state database {path} cannot be used: it is {_KINDS.get(stat.S_IFMT(mode), 'no file')}",
            hint="give --state or flow.state.path the path of a file",
        )


def file_id(path: str | Path) -> FileId | None:
    """Return the id of a file; None if it cannot be found."""
    try:
        found = os.stat(path)  # noqa: PTH116 - at every commit, and a Path costs twice as much
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def free_bytes(path: Path) -> int | None:
    """Return how much room the file system of a file has for this user; None if it cannot be found out."""
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None


def refuse_network(path: Path) -> None:
    """Refuse a state database on a network file system, where the platform shows its mounts.

    Raises:
        StateUnusable: the file is, or would be, on one.
    """
    kind = mount_of(path).kind
    if kind in NETWORK_FILE_SYSTEMS:
        raise StateUnusable(
            f"it is on a network file system ({kind}), where SQLite cannot keep its write-ahead log: the "
            "processes that use it must share one host's memory",
            hint="give flow.state.path or AETHERFLOW_STATE_ROOT a place on a local disk",
            code="AF606",
        )
