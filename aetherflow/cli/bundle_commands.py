"""`aetherflow bundle sync|status`: copy a bundle of flows to this machine, and show its status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer
from msgspec.structs import asdict

from aetherflow.bundle.bundle_paths import BundlePaths
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import failure_as_json, print_report
from aetherflow.runs.bundle_sync import BundleStatus, bundle_status, sync_bundle

Manifest = Annotated[Path, typer.Option("--bundle-manifest", metavar="FILE", help="The manifest (YAML).")]


def sync(*, bundle_manifest: Manifest, json: Json = False) -> int:
    """Copy what changed in the source, and activate it."""
    with failure_as_json("bundle.sync", str(bundle_manifest), as_json=json):
        synced = anyio.run(sync_bundle, bundle_manifest, os.environ)
    report = synced.report
    if json:
        keys = {"changed": report.switched, "fetched_files": report.fetched, **asdict(report)}
        return print_report("bundle.sync", keys | _places(bundle_manifest, synced.paths))
    what = "is now" if report.switched else "is still"
    print_text(
        f"active {what} {report.fingerprint}: {_files(report.files)}, {report.size:,} bytes; "
        f"fetched {_files(report.fetched)}, {report.fetched_bytes:,} bytes"
        f"{'; the source differs from that of the previous sync' if report.other_source else ''}"
    )
    return 0


def status(*, bundle_manifest: Manifest, json: Json = False) -> int:
    """Show which snapshot is active. How the last sync ended, and whether the source has changed since."""
    with failure_as_json("bundle.status", str(bundle_manifest), as_json=json):
        found = anyio.run(bundle_status, bundle_manifest, os.environ)
    if json:
        root = Path(found.root)
        keys = {
            **asdict(found),
            "bundle_id": found.id,
            "fingerprint": found.active,
            "has_active": bool(found.active),
            "work_root": root.parent.parent,
            "bundle_root": root,
        }
        return print_report("bundle.status", keys | _places(bundle_manifest, BundlePaths(root)))
    for line in _lines(found):
        print_text(line)
    return 0


def _places(manifest: Path, paths: BundlePaths) -> dict[str, Any]:
    """Return the paths of a bundle by the names that both reports have had since AetherFlow 0.0."""
    return {
        "bundle_manifest": manifest,
        "local_root": paths.active,
        "active_dir": paths.active,
        "cache_dir": paths.cache,
        "fingerprints_dir": paths.snapshots,
    }


def _lines(found: BundleStatus) -> Iterator[str]:
    yield f"bundle     {found.id} in {found.root}"
    if found.same_id:
        yield f"           a folder of its own: {found.same_id} has the same id and another source"
    yield f"active     {found.active or 'none'}{', of another source' if found.of_other_source else ''}"
    last = found.last_sync
    if last is None:
        yield "last sync  none"
    elif last.error:
        yield f"last sync  {last.at}: failed: [{last.code}] {last.error}"
    else:
        yield f"last sync  {last.at}: {_files(last.files)}, {last.size:,} bytes"
    if found.source is None:
        yield f"source     cannot be read: {found.source_error}"
    elif found.source:
        difference = found.source
        yield f"source     {difference.added} new, {difference.changed} changed, {difference.removed} removed"
    else:
        yield "source     unchanged since the last sync"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
