"""The folders and files of a bundle on this machine, below `<work_root>/bundles/<id>`."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

_SNAPSHOT = re.compile(r"[0-9a-f]{32}(-[0-9a-f]{8})?")


class BundlePaths(msgspec.Struct, frozen=True):
    """The folders and files of one bundle.

    Snapshots are named by the fingerprint of all their files; a name with a suffix is a second copy, made
    because the first one had been damaged. `active` is a symbolic link to one of them.
    """

    root: Path

    @property
    def cache(self) -> Path:
        """The folder of downloaded file contents and their index."""
        return self.root / "cache"

    @property
    def objects(self) -> Path:
        """The folder of file contents, each named by its sha256."""
        return self.cache / "objects"

    @property
    def index(self) -> Path:
        """The file that maps files of the source to objects."""
        return self.cache / "index.json"

    @property
    def snapshots(self) -> Path:
        """The folder of complete snapshots; a run may use any of them."""
        return self.root / "snapshots"

    @property
    def active(self) -> Path:
        """The link to the snapshot that new runs get."""
        return self.root / "active"

    @property
    def lock(self) -> Path:
        """The lock file of the process that syncs."""
        return self.root / "lock"

    @property
    def report(self) -> Path:
        """The report of the last sync."""
        return self.root / "last_sync.json"


def bundle_paths(work_root: Path, bundle_id: str) -> BundlePaths:
    """Return the paths of a bundle."""
    return BundlePaths(work_root.absolute() / "bundles" / bundle_id)


def is_snapshot(name: str) -> bool:
    """Whether a name in `snapshots` is that of a complete snapshot."""
    return _SNAPSHOT.fullmatch(name) is not None


def fingerprint_of(name: str) -> str:
    """Return the fingerprint in the name of a snapshot."""
    return name.partition("-")[0]
