"""Sync the bundle of a manifest: open its source and connector, sync, and return the snapshot to use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from pathlib import Path

import anyio
import msgspec

from aetherflow.bundle.bundle_owner import BundleHome, FolderTaken, find_home, owner_of
from aetherflow.bundle.bundle_paths import BundlePaths, fingerprint_of
from aetherflow.bundle.checked_source import OpenSource
from aetherflow.bundle.listing import Difference
from aetherflow.bundle.snapshot import active_snapshot
from aetherflow.bundle.source import SourceRequest
from aetherflow.bundle.source_identity import hold_last, origin_of
from aetherflow.bundle.sync import compare, sync
from aetherflow.bundle.sync_index import read_index
from aetherflow.bundle.sync_report import SyncReport, read_report
from aetherflow.clock import Clock, SystemClock
from aetherflow.config.environment import Environment, load_environment
from aetherflow.config.profiles import configured_profiles
from aetherflow.config.project import project_of
from aetherflow.config.written_resources import written_resources
from aetherflow.errors import AetherFlowError, BundleError, HeldByAnother, InvalidInput
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.redaction import Redactor
from aetherflow.registry import bundle_source, registry_of
from aetherflow.runs.bundle_in_use import OpenBundle
from aetherflow.runs.resolved_resource import resolved_resource
from aetherflow.sdk.connector import Resource
from aetherflow.spec.load_manifest import ManifestDocument, load_manifest
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("configuration of bundles", 16)


class SyncedBundle(msgspec.Struct, frozen=True):
    """A bundle that was synced, and what that changed."""

    paths: BundlePaths
    report: SyncReport


class BundleStatus(msgspec.Struct, frozen=True):
    """The status of a bundle on this machine.

    Attributes:
        active: the fingerprint of the snapshot that new runs get; empty if there is none.
        of_other_source: whether that is not known to come from this manifest's source.
        source: what a sync would change, if the source can be asked.
        source_error: why it cannot.
        same_id: the manifest that has the folder `<id>`, if this one needed another.
    """

    id: str
    root: str
    active: str
    of_other_source: bool = False
    last_sync: SyncReport | None = None
    source: Difference | None = None
    source_error: str = ""
    same_id: str = ""


async def open_bundle(
    manifest: Path,
    process_env: Mapping[str, str],
    *,
    allow_stale: bool = False,
    offer_stale: bool = True,
    clock: Clock | None = None,
) -> OpenBundle:
    """Sync a bundle and begin to use what is active then.

    Args:
        manifest: the path of the manifest.
        process_env: the environment; the source's resource sees it and `AETHERFLOW_ENV_FILES_JSON`.
        allow_stale: use what is active when the sync fails.
        offer_stale: whether the error says that this could be allowed.
        clock: time.

    Raises:
        InvalidInput: the manifest is wrong.
        ConfigError: a setting, the source's resource or its type cannot be used.
        BundleError: the sync failed, and stale files are not allowed or do not exist.
        HeldByAnother: as before, because another process is syncing all the time.
    """
    loaded = await _threads.run(load_manifest, manifest)
    environment = await _threads.run(_environment, manifest, process_env)
    origin, home = "", await _home(loaded, environment, "")
    try:
        async with _source(loaded, environment) as source:
            origin, synced = source.origin, None
            while synced is None:
                home = await _home(loaded, environment, origin)
                with suppress(FolderTaken):  # meanwhile, so this one needs another folder
                    synced = await sync(
                        loaded.spec.bundle,
                        home.paths,
                        source.open_source,
                        clock or SystemClock(),
                        origin=origin,
                        owner=owner_of(loaded.path, origin),
                    )
    except (BundleError, HeldByAnother) as error:
        paths = home.paths
        held = await _threads.run(hold_last, paths, origin)
        if held is not None and allow_stale:
            return OpenBundle(loaded, paths, held, stale=error.message)
        more = ""
        if held is not None:
            held.close()
            if offer_stale:
                more = f"or add --allow-stale-bundle to use {fingerprint_of(held.path.name)[:12]}"
        elif allow_stale and await _threads.run(paths.active.is_symlink):
            more = "what is active here came from another source"
        raise _with_hint(error, more) from error.__cause__
    return OpenBundle(loaded, home.paths, synced.hold)


async def sync_bundle(manifest: Path, process_env: Mapping[str, str]) -> SyncedBundle:
    """Sync a bundle, and say what that changed.

    Raises:
        AetherFlowError: as `open_bundle`.
    """
    with await open_bundle(manifest, process_env, offer_stale=False) as opened:
        report = await _threads.run(read_report, opened.paths.report)
    if report is None:
        raise BundleError(f"{opened.paths.report} went away", hint="sync again", code="AF859")
    return SyncedBundle(opened.paths, report)


async def bundle_status(manifest: Path, process_env: Mapping[str, str]) -> BundleStatus:
    """Return the status of a bundle, and what a sync would change, without changing anything.

    Raises:
        InvalidInput: the manifest is wrong.
        ConfigError: a setting cannot be used.
    """
    loaded = await _threads.run(load_manifest, manifest)
    environment = await _threads.run(_environment, manifest, process_env)
    difference, trouble, origin = None, "", ""
    home = await _home(loaded, environment, "")
    try:
        async with _source(loaded, environment) as source:
            origin = source.origin
            home = await _home(loaded, environment, origin)
            difference = await compare(loaded.spec.bundle, home.paths, source.open_source, origin=origin)
    except AetherFlowError as error:
        trouble = error.message
    paths = home.paths
    active = await _threads.run(active_snapshot, paths)
    known = await _threads.run(read_index, paths.index)
    return BundleStatus(
        id=loaded.spec.bundle.id,
        root=str(paths.root),
        active=fingerprint_of(active),
        of_other_source=bool(active and origin) and known.snapshots.get(active) != origin,
        last_sync=await _threads.run(read_report, paths.report),
        source=difference,
        source_error=trouble,
        same_id=home.same_id,
    )


async def _home(loaded: ManifestDocument, environment: Environment, origin: str) -> BundleHome:
    """Return the folder of the bundle; `origin` is empty as long as its source is not known."""
    settings, own = environment.settings, owner_of(loaded.path, origin)
    return await _threads.run(find_home, settings.work_root, loaded.spec.bundle.id, settings.file_access, own)


def _environment(manifest: Path, process_env: Mapping[str, str]) -> Environment:
    """Return the environment of a sync, with the project of the manifest."""
    return load_environment(process_env, project=project_of(manifest).project)


def _with_hint(error: BundleError | HeldByAnother, more: str) -> AetherFlowError:
    hint = "; ".join(part for part in (error.hint, more) if part)
    return type(error)(error.message, hint=hint, code=error.code)


class _Source(msgspec.Struct, frozen=True):
    """Opens the source of a manifest; its identity distinguishes it from others."""

    open_source: OpenSource
    origin: str


@asynccontextmanager
async def _source(loaded: ManifestDocument, environment: Environment) -> AsyncIterator[_Source]:
    """Give what opens the source; its connector is closed at the end of the block.

    Raises:
        ConfigError: nothing implements sources of this type, or its resource cannot be resolved.
    """
    spec, redactor = loaded.spec, Redactor()
    redactor.add_named(environment.variables)
    source_class = await _threads.run(bundle_source, spec.bundle.source.type)

    registry = registry_of(environment.settings, own=environment.steps_folders)

    @cache
    def resolve(name: str) -> Resource:
        resources = written_resources(
            {name: loaded.resources[name]}, registry.connector_shapes, loaded.document.written
        )
        profiles = configured_profiles(environment.settings, resources.values(), registry.connector_shapes)
        return resolved_resource(
            name,
            resources[name],
            environment,
            profiles,
            redactor,
            connector_class=registry.connector_class,
        )

    pool = ConnectorPool(resolve, registry.connector_class)
    request = SourceRequest(
        bundle_id=spec.bundle.id,
        spec=spec.bundle.source,
        directory=loaded.directory,
        connect=partial(pool.get, spec.bundle.source.resource or ""),
    )

    def origin() -> str:
        name = spec.bundle.source.resource
        resource = resolve(name) if name else None
        where = (
            {"kind": resource.kind, "driver": resource.driver, "config": resource.config} if resource else {}
        )
        return origin_of(spec.bundle.source, loaded.directory, redactor.value(where))

    try:
        # a secrets provider may ask a vault: not on the loop
        found = await _threads.run(origin, abandon_on_cancel=True)
        yield _Source(partial(source_class.open, request), found)
    except AetherFlowError as error:
        if not isinstance(error, InvalidInput):
            error.message = redactor.text(error.message)
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await pool.aclose()
