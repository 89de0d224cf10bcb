"""Build, activate, hold and remove snapshots: complete, read-only copies of the files of a bundle.

A new snapshot gets its final name when all of it is on the disk; an old one is renamed before its files are
removed. So after a kill at any moment, a folder with the name of a snapshot is complete.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from pathlib import Path
from typing import Self

import msgspec

from aetherflow.bundle.bundle_paths import BundlePaths, is_snapshot
from aetherflow.bundle.object_store import object_mode
from aetherflow.bundle.sync_index import Index
from aetherflow.errors import BundleError
from aetherflow.file_access import FileAccess, make_folder, open_file, set_mode
from aetherflow.sdk.removal import remove_tree

OLD_SNAPSHOTS = 2
"""How many unused snapshots are kept beside the active one."""

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_TREE = re.compile(r"\.[0-9a-f]+")
"""The name of a tree that is being built or removed. Files of others may begin with a dot, too."""

_OURS = re.compile(r"\.active\.[0-9a-f]+|\.(last_sync|index|manifest)\.json\.[0-9a-f]+\.part")
"""The names of files that a killed sync leaves. Files of others may begin with a dot, too."""

_FOLDERS: dict[FileAccess, int] = {"private": 0o500, "group": 0o2770}
"""The modes of a folder in a snapshot. Of a group, each member may remove what another one synced."""

_BUILDING = 0o700


class Hold(msgspec.Struct, frozen=True):
    """The use of a snapshot: until it is closed, or its process dies, the snapshot is not removed."""

    path: Path
    descriptor: int

    def close(self) -> None:
        """Release the snapshot."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def active_snapshot(paths: BundlePaths) -> str:
    """Return the name of the active snapshot; an empty text if there is none."""
    try:
        target = paths.active.readlink()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        is_other = error.errno == errno.EINVAL
        what = "is not the link that a sync makes" if is_other else "cannot be read"
        raise BundleError(
            f"{paths.active} {what}: {error.strerror or error}",
            hint="remove it, and sync again" if is_other else "correct the permissions",
            code="AF859",
        ) from None
    name = target.name
    return name if is_snapshot(name) and (paths.snapshots / name).is_dir() else ""


def hold(paths: BundlePaths, name: str) -> Hold | None:
    """Start to use a snapshot; None if it does not exist."""
    path = paths.snapshots / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return Hold(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass  # it is being removed
    os.close(descriptor)
    return None


def hold_active(paths: BundlePaths) -> Hold | None:
    """Start to use the active snapshot; None if there is none."""
    while name := active_snapshot(paths):
        if (held := hold(paths, name)) is not None:
            return held
    return None


def build(paths: BundlePaths, index: Index) -> str:
    """Build the snapshot of an index from its objects, unless it exists, and return its name.

    Raises:
        OSError: a file or folder cannot be written.
    """
    fingerprint = index.fingerprint()
    names = [path.name for path in paths.snapshots.iterdir() if path.name.startswith(fingerprint)]
    for name in sorted(filter(is_snapshot, names)):
        if is_intact(paths.snapshots / name, index):
            return name
    name = f"{fingerprint}-{secrets.token_hex(4)}" if fingerprint in names else fingerprint
    temporary = paths.snapshots / f".{secrets.token_hex(8)}"
    make_folder(temporary, paths.access)
    folders = {temporary}
    for path, entry in index.entries.items():
        target = temporary / path
        if target.parent not in folders:
            make_folder(target.parent, paths.access)
            folders.update(p for p in target.parents if p.is_relative_to(temporary))
        _link(paths.objects / entry.object, target, paths.access)
    for folder in sorted(folders, reverse=True):  # the inner ones first
        set_mode(folder, _FOLDERS[paths.access])
        sync_folder(folder)
    temporary.rename(paths.snapshots / name)
    sync_folder(paths.snapshots)
    return name


def is_intact(tree: Path, index: Index) -> bool:
    """Whether a snapshot has exactly the files of the index, none of them changed since."""
    found = set()
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            path = Path(folder, name)
            what = path.lstat()
            if stat.S_ISDIR(what.st_mode):
                continue
            entry = index.entries.get(relative := path.relative_to(tree).as_posix())
            if entry is None or not stat.S_ISREG(what.st_mode):
                return False
            if (what.st_size, what.st_mtime_ns) != (entry.listed.size, index.stored[entry.object]):
                return False
            found.add(relative)
    return found == set(index.entries)


def activate(paths: BundlePaths, name: str) -> None:
    """Make a snapshot the active one, in one atomic step.

    Raises:
        BundleError: the file system has no symbolic links.
        OSError: the link cannot be written.
    """
    os.utime(paths.snapshots / name)  # `remove_old` keeps the newest
    if active_snapshot(paths) == name:
        return
    temporary = paths.root / f".active.{secrets.token_hex(8)}"
    try:
        temporary.symlink_to(Path(paths.snapshots.name, name))
    except (NotImplementedError, OSError) as error:
        if getattr(error, "errno", errno.ENOSYS) not in _NO_LINKS:
            raise
        raise BundleError(
            f"{paths.root} is on a file system without symbolic links, which the switch of a bundle needs",
            hint="give AETHERFLOW_WORK_ROOT a place on another file system",
            code="AF863",
        ) from None
    temporary.replace(paths.active)
    sync_folder(paths.root)


def remove_old(paths: BundlePaths, keep: str) -> list[str]:
    """Remove unused snapshots except the newest few; return their names."""
    names = [
        path.name
        for path in paths.snapshots.iterdir()
        if is_snapshot(path.name) and path.name != keep and path.is_dir() and not path.is_symlink()
    ]
    names.sort(key=lambda name: (paths.snapshots / name).stat().st_mtime_ns, reverse=True)
    return [name for name in names[OLD_SNAPSHOTS:] if _remove_if_unused(paths, name)]


def remove_leftovers(paths: BundlePaths) -> None:
    """Remove leftovers of killed syncs; the caller holds the lock, so no sync uses them."""
    for folder in (paths.root, paths.cache):
        for path in folder.glob(".*"):
            if _OURS.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
                path.unlink()
    for path in paths.snapshots.glob(".*"):
        if _TREE.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            _remove_tree(path)


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_unused(paths: BundlePaths, name: str) -> bool:
    path, doomed = paths.snapshots / name, paths.snapshots / f".{secrets.token_hex(8)}"
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.rename(doomed)
    except BlockingIOError:
        return False  # in use
    finally:
        os.close(descriptor)
    _remove_tree(doomed)
    return True


def _remove_tree(tree: Path) -> None:
    for folder, _, _ in os.walk(tree):
        if not os.access(folder, os.W_OK):
            Path(folder).chmod(_BUILDING)
    remove_tree(tree)


def _link(source: Path, target: Path, access: FileAccess) -> None:
    """Link an object into the tree, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EXDEV):
            raise
        with source.open("rb") as content, open_file(target, "xb", access) as copy:
            shutil.copyfileobj(content, copy)
            copy.flush()
            set_mode(target, object_mode(access, executable=bool(source.suffix)))
            found = source.stat()
            os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))
            os.fsync(copy.fileno())
