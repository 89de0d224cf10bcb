"""Compute the identity of a bundle's source, so that files of two sources are never compared."""

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
from aetherflow.written_path import written_path


def origin_of(source: SourceSpec, directory: Path, resource: Mapping[str, Any]) -> str:
    """Return a text that is different for every source.

    Args:
        source: `bundle.source` of the manifest.
        directory: the folder of the manifest.
        resource: the config of the source's connector with secrets masked, as a new password does not make
            it another source.
    """
    identity = msgspec.to_builtins(source)
    del identity["strict_fingerprint"]  # how files are compared, not where they come from
    if source.type == "filesystem":
        identity["base_path"] = os.path.normpath(written_path(source.base_path or "", directory))
    whole = json.dumps([identity, dict(resource)], sort_keys=True, default=str)
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def hold_last(paths: BundlePaths, origin: str) -> Hold | None:
    """Start to use the active snapshot; None if there is none, or it may come from another source."""
    held = hold_active(paths)
    if held is None or read_index(paths.index).snapshots.get(held.path.name) == origin:
        return held
    held.close()
    return None
