"""Compare the files that a source lists with the manifest and with the last sync."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath

import msgspec

from aetherflow.bundle.source import BundleFile
from aetherflow.bundle.sync_index import Entry, is_same
from aetherflow.errors import BundleError
from aetherflow.spec.manifest import BundleSpec


class Difference(msgspec.Struct, frozen=True):
    """How many files a sync would fetch for the first time, fetch again, and drop."""

    added: int
    changed: int
    removed: int

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def check_complete(bundle: BundleSpec, listed: Collection[str]) -> None:
    """Refuse an incomplete source, such as a folder that was emptied or is not mounted.

    Raises:
        BundleError: the source has no files, or lacks the entry flow or profiles file of the manifest.
    """
    if not listed:
        raise BundleError("the source has no files", hint="check whether it is mounted", code="AF864")
    entry, layout = bundle.entry_flow, bundle.layout
    wanted = {
        "entry_flow": (f"{layout.flows_dir}/{entry}", entry) if entry else (),
        "profiles_file": (layout.profiles_file,) if layout.profiles_file else (),
    }
    for key, candidates in wanted.items():
        if candidates and not any(str(PurePosixPath(candidate)) in listed for candidate in candidates):
            raise BundleError(
                f"the source has no {candidates[0]}, which {key} of the manifest names",
                hint="put it there, or correct the manifest",
                code="AF864",
            )


def difference(known: dict[str, Entry], listed: dict[str, BundleFile], *, strict: bool) -> Difference:
    """Compare files by fingerprint; with `strict`, files without a sha256 count as changed."""
    same = sum(
        path in known and is_same(known[path].listed, file, strict=strict) for path, file in listed.items()
    )
    added = len(listed.keys() - known.keys())
    return Difference(added, len(listed) - added - same, len(known.keys() - listed.keys()))
