"""Run one transfer: open its manifest, move its files as effects, and write the manifest at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import anyio
from msgspec.structs import replace

from aetherflow.errors import StepError
from aetherflow.events.lineage import Dataset
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.lineage import MOST_DATASETS
from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.transfer.manifest import Entry, Manifest
from aetherflow.transfer.moving import Moving
from aetherflow.transfer.rate import Meter, RateLimit
from aetherflow.transfer.transfer_keys import TransferSettings
from aetherflow.transfer.way import Item, Way

MOST_EFFECTS = 64
"""So many files have an effect each; more have one for all, and the manifest says which arrived."""

FINISH_SECONDS = 5.0
"""How long a step that failed, or is cancelled, writes its manifest."""


async def move_files(
    context: StepContext,
    items: list[Item],
    settings: TransferSettings,
    make_way: Callable[[Manifest, RateLimit, Meter], Way],
    place: str,
) -> Manifest:
    """Move the files of a step, and write its manifest; return it.

    Up to MOST_EFFECTS files are an effect each. More, or all of a transactional step, are one, whose detail
    names the manifest.

    Args:
        context: of the step.
        items: the files in order.
        settings: how they move.
        make_way: returns the direction.
        place: where they go to, for the effect of all.

    Raises:
        StepError: a file cannot be moved.
    """
    is_resumed = bool(context.earlier_effects)
    path = manifest_path(context)
    manifest = Manifest(path, context.writing, context.access_of(path))
    sizes = [item.size for item in items]
    meter = Meter(context, len(items), None if None in sizes else sum(size or 0 for size in sizes))
    way = make_way(manifest, RateLimit(context.clock, settings.bytes_per_second), meter)
    moving = Moving(context, way, manifest, settings, meter, is_resumed=is_resumed)
    is_one = settings.transactional or len(items) > MOST_EFFECTS
    await manifest.open(is_resumed=is_resumed)
    try:
        async with AsyncExitStack() as stack:
            if is_one:
                detail = {"files": len(items), "manifest": str(path)}
                effect = await stack.enter_async_context(
                    context.effect(f"{way.verb} files to {place}", detail=detail)
                )
                effect.result = detail
            await moving.run(items, has_effects=not is_one)
    except BaseException:
        with anyio.move_on_after(FINISH_SECONDS, shield=True):
            await _write_anyway(context, manifest, items)
        raise
    await manifest.finish(item.id for item in items)
    return manifest


def manifest_path(context: StepContext) -> Path:
    """Return where the manifest of a step is."""
    return context.manifests / f"{context.step_id}.manifest.json"


def note_files(
    context: StepContext, connector: RemoteFiles, entries: Sequence[Entry], way: Literal["from", "to"]
) -> None:
    """Note the files of a transfer as datasets: those here, and those on the far side."""
    few = entries[:MOST_DATASETS]
    here = [Dataset.file(entry.file, size=entry.size) for entry in few if entry.file]
    found = [(connector.dataset(entry.remote_path), entry.size) for entry in few if entry.remote_path]
    there = [replace(one, bytes=size) for one, size in found if one is not None]
    reads, writes = (there, here) if way == "from" else (here, there)
    context.lineage(reads=reads, writes=writes)


async def arrived_earlier(context: StepContext) -> dict[str, Entry]:
    """Return the files that earlier attempts of the step have moved, by id.

    Raises:
        StepError: the manifest cannot be read.
    """
    if not context.earlier_effects:
        return {}
    path = manifest_path(context)
    manifest = Manifest(path, context.writing, context.access_of(path))
    await manifest.open(is_resumed=True)
    manifest.close()
    return {entry.id: entry for entry in manifest.entries.values() if entry.has_arrived}


async def _write_anyway(context: StepContext, manifest: Manifest, items: list[Item]) -> None:
    try:
        await manifest.finish(item.id for item in items)
    except StepError as error:  # the step has failed for another reason
        context.log(error.message, "warning")
