"""The folders and files of a bundle on this machine, below `<work_root>/bundles/<id>`."""

from __future__ import annotations

import re
from pathlib import Path

from aetherflow.file_access import FileAccess
from aetherflow.working_directory import absolute

_SNAPSHOT = re.compile(r"[0-9a-f]{32}(-[0-9a-f]{8})?")


class BundlePaths:
    """The folders and files of one bundle.

    Snapshots are named by the fingerprint of all their files; a name with a suffix is a second copy, made
    because the first one had been damaged. `active` is a symbolic link to one of them.

    Attributes:
        cache: the folder of downloaded file contents and their index.
        objects: the folder of file contents, each named by its sha256.
        index: the file that maps files of the source to objects.
        snapshots: the folder of complete snapshots; a run may use any of them.
        active: the link to the snapshot that new runs get.
        lock: the lock file of the process that syncs.
        report: the report of the last sync.
        owner: the file that names the manifest that the folder belongs to.
        access: who may read and write all of them.
    """

    def __init__(self, root: Path, access: FileAccess = "private") -> None:
        self.root = root
        self.access = access
        self.cache = root / "cache"
        self.objects = self.cache / "objects"
        self.index = self.cache / "index.json"
        self.snapshots = root / "snapshots"
        self.active = root / "active"
        self.lock = root / "lock"
        self.report = root / "last_sync.json"
        self.owner = root / "manifest.json"


def bundle_paths(work_root: Path, bundle_id: str, access: FileAccess = "private") -> BundlePaths:
    """Return the paths of a bundle."""
    return BundlePaths(absolute(work_root) / "bundles" / bundle_id, access)


def is_snapshot(name: str) -> bool:
    """Whether a name in `snapshots` is that of a complete snapshot."""
    return _SNAPSHOT.fullmatch(name) is not None


def fingerprint_of(name: str) -> str:
    """Return the fingerprint in the name of a snapshot."""
    return name.partition("-")[0]
