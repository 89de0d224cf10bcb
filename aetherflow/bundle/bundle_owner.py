"""Find the folder of a bundle: manifests with one id and different sources must not share one.

The first manifest that syncs gets `<work root>/bundles/<id>` and is noted there as its owner. Another
manifest with the same id shares the folder if its source is the same. Else its folder is
`<id>@<hash of its path>`, so that neither changes the active snapshot of the other.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from aetherflow.bundle.bundle_paths import BundlePaths, bundle_paths
from aetherflow.bundle.snapshot import active_snapshot
from aetherflow.file_access import FileAccess
from aetherflow.sdk.files import write_whole


class Owner(msgspec.Struct, frozen=True):
    """The manifest that a bundle folder belongs to.

    Attributes:
        manifest: its real path.
        origin: identifies its source (`origin_of`); empty if that is not known.
    """

    manifest: str
    origin: str


class BundleHome(msgspec.Struct, frozen=True):
    """The folder of the bundle of a manifest.

    Attributes:
        paths: what is in it.
        same_id: the manifest that has the folder `<id>`, if this one needs another.
    """

    paths: BundlePaths
    same_id: str = ""


class FolderTaken(Exception):
    """Another manifest has taken the folder since it was found; find another one."""


def owner_of(manifest: Path, origin: str) -> Owner:
    """Return the owner that a manifest with this source is."""
    return Owner(str(manifest.resolve()), origin)


def find_home(work_root: Path, bundle_id: str, access: FileAccess, own: Owner) -> BundleHome:
    """Return the folder of the bundle of a manifest; nothing is changed."""
    paths = bundle_paths(work_root, bundle_id, access)
    owner = _read(paths)
    if owner is None or _may_use(paths, owner, own):
        return BundleHome(paths)
    suffix = hashlib.sha256(own.manifest.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return BundleHome(bundle_paths(work_root, f"{bundle_id}@{suffix}", access), owner.manifest)


def claim(paths: BundlePaths, own: Owner) -> None:
    """Note whose folder it is; the caller holds the lock of the bundle.

    Raises:
        FolderTaken: it is that of another manifest.
        OSError: the note cannot be written.
    """
    owner = _read(paths)
    if owner is not None and not _may_use(paths, owner, own):
        raise FolderTaken(owner.manifest)
    if owner is None or owner.origin != own.origin or not Path(owner.manifest).exists():
        write_whole(paths.owner, msgspec.json.encode(own), paths.access)


def _may_use(paths: BundlePaths, owner: Owner, own: Owner) -> bool:
    """Whether a manifest may use a folder that has an owner, or takes it over."""
    is_same = own.manifest == owner.manifest or (own.origin != "" and own.origin == owner.origin)
    return is_same or not Path(owner.manifest).exists() or not active_snapshot(paths)


_owners = msgspec.json.Decoder(Owner)  # made here: two threads must not meet a type at once


def _read(paths: BundlePaths) -> Owner | None:
    try:
        return _owners.decode(paths.owner.read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
