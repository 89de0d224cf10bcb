"""Where a bundle lives on this machine, below `<work_root>/bundles/<id>`."""

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
        """What was downloaded."""
        return self.root / "cache"

    @property
    def objects(self) -> Path:
        """The content of files, each under its sha256."""
        return self.cache / "objects"

    @property
    def index(self) -> Path:
        """Which file of the source is which object."""
        return self.cache / "index.json"

    @property
    def snapshots(self) -> Path:
        """Whole trees, each of which a run may be using."""
        return self.root / "snapshots"

    @property
    def active(self) -> Path:
        """The link to the snapshot that new runs get."""
        return self.root / "active"

    @property
    def lock(self) -> Path:
        """Held by the process that syncs."""
        return self.root / "lock"

    @property
    def report(self) -> Path:
        """How the last sync ended."""
        return self.root / "last_sync.json"


def bundle_paths(work_root: Path, bundle_id: str) -> BundlePaths:
    """Return the places of a bundle."""
    return BundlePaths(work_root.absolute() / "bundles" / bundle_id)


def is_snapshot(name: str) -> bool:
    """Whether a name in `snapshots` is that of a whole snapshot."""
    return _SNAPSHOT.fullmatch(name) is not None


def fingerprint_of(name: str) -> str:
    """Return the fingerprint that the name of a snapshot tells."""
    return name.partition("-")[0]
