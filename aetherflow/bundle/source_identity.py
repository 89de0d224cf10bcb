"""Which source a bundle comes from: what is remembered of one says nothing about another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.bundle.bundle_paths import BundlePaths
from aetherflow.bundle.snapshot import Hold, hold_active
from aetherflow.bundle.sync_index import read_index
from aetherflow.spec.manifest import SourceSpec


def origin_of(source: SourceSpec, directory: Path, resource: Mapping[str, Any]) -> str:
    """Return what tells a source from every other one.

    Args:
        source: `bundle.source` of the manifest.
        directory: the folder of the manifest.
        resource: what the source's connector is opened with, its secrets masked: whoever rotates a password
            still has the same source.
    """
    told = msgspec.to_builtins(source)
    del told["strict_fingerprint"]  # how files are compared, not where they come from
    if source.type == "filesystem":
        # pathlib has no such thing that leaves an unknown `~user` and symbolic links as they are
        told["base_path"] = os.path.abspath(directory / os.path.expanduser(source.base_path or ""))  # noqa: PTH100, PTH111
    whole = json.dumps([told, dict(resource)], sort_keys=True, default=str)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def hold_last(places: BundlePaths, origin: str) -> Hold | None:
    """Begin to use the active snapshot; None if there is none, or it is not known to be of this source."""
    held = hold_active(places)
    if held is None or read_index(places.index).snapshots.get(held.path.name) == origin:
        return held
    held.close()
    return None
