"""`aetherflow bundle sync|status`, and the bundle behind `--bundle-manifest` of other commands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import anyio
from msgspec.structs import asdict

from aetherflow.cli.output import diagnostics_of, print_json, print_text, say
from aetherflow.errors import AetherFlowError
from aetherflow.runs.bundle_in_use import OpenBundle
from aetherflow.runs.bundle_sync import BundleStatus, bundle_status, open_bundle, sync_bundle
from aetherflow.runs.start_run import stale_sentence


@contextmanager
def bundle_in_use(manifest: Path, *, allow_stale: bool, tell: bool = True) -> Iterator[OpenBundle]:
    """Sync a bundle and keep its snapshot for the block; `tell` says whether one that is stale is told here.

    Raises:
        AetherFlowError: there is nothing to work with.
    """
    with anyio.run(partial(open_bundle, manifest, os.environ, allow_stale=allow_stale)) as bundle:
        if bundle.stale and tell:
            say(f"warning[AF866]: {stale_sentence(bundle.id, bundle.fingerprint, bundle.stale)}")
        yield bundle


def sync(manifest: Path, *, as_json: bool) -> int:
    """Sync a bundle and say what changed."""
    try:
        report = anyio.run(sync_bundle, manifest, os.environ)
    except AetherFlowError as error:
        if as_json:
            return _print_failure(error, manifest)
        raise
    if as_json:
        print_json(report)
        return 0
    what = "is now" if report.switched else "is still"
    print_text(
        f"active {what} {report.fingerprint}: {_files(report.files)}, {report.size:,} bytes; "
        f"fetched {_files(report.fetched)}, {report.fetched_bytes:,} bytes"
        f"{'; the source is not that of the sync before' if report.other_source else ''}"
    )
    return 0


def status(manifest: Path, *, as_json: bool) -> int:
    """Say what is known of a bundle and whether its source has changed."""
    try:
        found = anyio.run(bundle_status, manifest, os.environ)
    except AetherFlowError as error:
        if as_json:
            return _print_failure(error, manifest)
        raise
    if as_json:
        print_json(found)
        return 0
    for line in _lines(found):
        print_text(line)
    return 0


def _print_failure(error: AetherFlowError, manifest: Path) -> int:
    diagnostics = list(map(asdict, diagnostics_of(error, str(manifest))))
    print_json({"file": str(manifest), "ok": False, "diagnostics": diagnostics})
    return error.exit_code


def _lines(found: BundleStatus) -> Iterator[str]:
    yield f"bundle     {found.id} in {found.root}"
    yield f"active     {found.active or 'none'}{', of another source' if found.of_other_source else ''}"
    last = found.last_sync
    if last is None:
        yield "last sync  none"
    elif last.error:
        yield f"last sync  {last.at}: failed: [{last.code}] {last.error}"
    else:
        yield f"last sync  {last.at}: {_files(last.files)}, {last.size:,} bytes"
    if found.source is None:
        yield f"source     cannot be asked: {found.source_error}"
    elif found.source:
        difference = found.source
        yield f"source     {difference.added} new, {difference.changed} changed, {difference.removed} removed"
    else:
        yield "source     as it was synced"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
