"""Sync a bundle: fetch the changed files and activate a new snapshot, or change nothing on an error."""

from __future__ import annotations

import os
from contextlib import aclosing, suppress

import anyio
import msgspec

from aetherflow.bundle.bundle_owner import Owner, claim
from aetherflow.bundle.bundle_paths import BundlePaths, fingerprint_of
from aetherflow.bundle.checked_source import OpenedSource, OpenSource, opened
from aetherflow.bundle.limits import Limits
from aetherflow.bundle.listing import Difference, check_complete, difference
from aetherflow.bundle.object_store import ObjectStore, ObjectWriter, remove_unused
from aetherflow.bundle.snapshot import Hold, activate, build, hold, remove_leftovers, remove_old, sync_folder
from aetherflow.bundle.source import BundleFile, SourceChanged, SourceInterrupted
from aetherflow.bundle.sync_index import Entry, Index, is_same, read_index, write_index
from aetherflow.bundle.sync_lock import exclusive
from aetherflow.bundle.sync_report import SyncReport, write_report
from aetherflow.clock import Clock
from aetherflow.errors import BundleError
from aetherflow.file_access import make_folder
from aetherflow.spec.manifest import BundleSpec
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("bundles", 16)

ATTEMPTS = 3
"""How often a source that keeps changing is listed and read before the sync gives up."""

AGAIN_SECONDS = 0.5
LOCK_WAIT_SECONDS = 60.0
FETCHES = 4
"""Files that are read at the same time."""


class Synced(msgspec.Struct, frozen=True):
    """A sync that ended well; `hold` keeps its snapshot in use."""

    report: SyncReport
    hold: Hold


async def sync(
    bundle: BundleSpec,
    paths: BundlePaths,
    open_source: OpenSource,
    clock: Clock,
    *,
    origin: str,
    owner: Owner | None = None,
    limits: Limits | None = None,
    wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Synced:
    """Make the files of the source the active snapshot.

    `origin` identifies the source (`origin_of`): entries read from another source are ignored. `owner` is
    noted as the one whose folder it is.

    Raises:
        FolderTaken: the folder is that of another manifest.
        BundleError: the sync failed; the active snapshot has not changed.
        HeldByAnother: another process was syncing for the whole wait.
    """
    at = clock.now().isoformat(timespec="seconds")
    try:
        async with exclusive(paths.lock, f"the bundle {bundle.id!r}", clock, wait_seconds, paths.access):
            if owner is not None:
                await _threads.run(claim, paths, owner)
            work = _Sync(bundle, paths, clock, origin, limits or Limits())
            try:
                return await work.run(open_source, at)
            except BundleError as error:
                failed = SyncReport(at=at, code=error.code, error=error.message)
                with suppress(OSError):  # the error itself is raised anyway
                    await _threads.run(write_report, paths.report, failed, paths.access)
                raise
    except OSError as error:
        raise _unwritable(paths, error) from None


async def compare(
    bundle: BundleSpec, paths: BundlePaths, open_source: OpenSource, *, origin: str
) -> Difference:
    """Return what a sync would change; nothing is changed.

    Raises:
        BundleError: the source cannot be listed.
    """
    known = await _threads.run(read_index, paths.index)
    async with opened(bundle.source.type, open_source) as source:
        listed = await source.list_files(Limits())
    entries = known.of_source(_origin_of_entries(origin, source))
    return difference(entries, listed, strict=bundle.source.strict_fingerprint)


class _Sync:
    """One sync, by the holder of the lock."""

    def __init__(
        self, bundle: BundleSpec, paths: BundlePaths, clock: Clock, origin: str, limits: Limits
    ) -> None:
        self.bundle = bundle
        self.paths = paths
        self.clock = clock
        self.origin = origin
        self.limits = limits
        self.known = Index()
        self.source = ""
        self.strict = bundle.source.strict_fingerprint
        self.always = bundle.fetch_policy == "always"
        self.entries: dict[str, Entry] = {}
        self.objects = ObjectStore(paths.objects, {}, paths.access)
        self.fetched: dict[str, int] = {}

    async def run(self, open_source: OpenSource, at: str) -> Synced:
        """Fetch the missing files, build the snapshot and activate it.

        Raises:
            BundleError: the source does not deliver what it lists, or the files cannot be stored.
        """
        try:
            await _threads.run(_prepare, self.paths)
            async with opened(self.bundle.source.type, open_source) as source:
                await self._fetch_all(source)
            return await _threads.run(self._build_and_activate, at)
        except OSError as error:
            raise _unwritable(self.paths, error) from None

    async def _fetch_all(self, source: OpenedSource) -> None:
        """Read the missing files; start again, a few times, if the source changed or was interrupted."""
        self.known = known = await _threads.run(read_index, self.paths.index)
        self.objects = await _threads.run(ObjectStore, self.paths.objects, known.stored, self.paths.access)
        self.source = _origin_of_entries(self.origin, source)
        self.entries = {} if self.always else known.of_source(self.source)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._fetch_once(source)
            except SourceChanged as change:
                if attempt == ATTEMPTS:
                    message = f"the source keeps changing: {change.message}"
                    hint = "sync when nothing writes to it"
                    raise BundleError(message, hint=hint, code=change.code) from None
                await self.clock.sleep(AGAIN_SECONDS * attempt)
            except SourceInterrupted:
                if attempt == ATTEMPTS:
                    raise
                await self.clock.sleep(AGAIN_SECONDS * attempt)
            else:
                return
            finally:
                with anyio.CancelScope(shield=True):  # the next sync need not read these files again
                    await _threads.run(
                        write_index, self.paths.index, self._index(known.snapshots), self.paths.access
                    )

    async def _fetch_once(self, source: OpenedSource) -> None:
        listed = await source.list_files(self.limits)
        check_complete(self.bundle, listed)
        missing = [file for file in listed.values() if not self._is_cached(file)]
        await self._fetch(source, missing)
        if missing and await source.list_files(self.limits) != listed:
            raise SourceChanged("files came, went or changed while others were read")
        self.entries = {path: Entry(file, self.entries[path].sha256) for path, file in listed.items()}

    def _is_cached(self, file: BundleFile) -> bool:
        entry = self.entries.get(file.path)
        if entry is None or entry.object not in self.objects.stored:
            return False
        # within one sync, time and size are enough: the content was read a moment ago
        return is_same(entry.listed, file, strict=self.strict and file.path not in self.fetched)

    async def _fetch(self, source: OpenedSource, files: list[BundleFile]) -> None:
        """Read files, a few at a time, and stop at the first that fails."""
        waiting = iter(files)
        failures: list[Exception] = []

        async def work() -> None:
            for file in waiting:
                try:
                    await self._read(source, file)
                except (BundleError, OSError) as error:
                    failures.append(error)
                    fetching.cancel_scope.cancel()
                    return

        async with anyio.create_task_group() as fetching:
            for _ in range(FETCHES):
                fetching.start_soon(work)
        if failures:
            raise failures[0]

    async def _read(self, source: OpenedSource, file: BundleFile) -> None:
        writer = await _threads.run(ObjectWriter, self.objects, file)
        try:
            async with aclosing(source.read(file)) as chunks:
                async for chunk in chunks:
                    await _threads.run(writer.write, chunk)
            self.entries[file.path] = await _threads.run(writer.finish)
            self.fetched[file.path] = file.size
        finally:
            with anyio.CancelScope(shield=True):
                await _threads.run(writer.close)

    def _build_and_activate(self, at: str) -> Synced:
        """Build the snapshot, make it active, and remove what is no longer needed."""
        paths, index = self.paths, self._index(self.known.snapshots)
        sync_folder(paths.objects)
        name = build(paths, index)
        # before the switch: after a kill at any moment, the source of the active snapshot is known
        snapshots = self._existing_snapshots() | {name: self.origin}
        write_index(paths.index, self._index(snapshots), paths.access)
        was_active = os.path.realpath(paths.active)
        activate(paths, name)
        held = hold(paths, name)
        if held is None:
            raise BundleError(f"{paths.snapshots / name} went away", hint="sync again", code="AF859")
        try:
            remove_old(paths, name)
            remove_unused(self.objects, {entry.object for entry in self.entries.values()})
            report = SyncReport(
                at=at,
                fingerprint=fingerprint_of(name),
                files=len(self.entries),
                size=index.size,
                fetched=len(self.fetched),
                fetched_bytes=sum(self.fetched.values()),
                switched=was_active != os.path.realpath(paths.active),
                other_source=self.known.source not in ("", self.source),
            )
            write_report(paths.report, report, paths.access)
        except BaseException:
            held.close()
            raise
        return Synced(report, held)

    def _index(self, snapshots: dict[str, str]) -> Index:
        return Index(self.entries, self.objects.stored, self.source, snapshots)

    def _existing_snapshots(self) -> dict[str, str]:
        there = self.known.snapshots.items()
        return {name: origin for name, origin in there if (self.paths.snapshots / name).is_dir()}


def _origin_of_entries(origin: str, source: OpenedSource) -> str:
    """Identify the place that the entries of an index were read from."""
    return f"{origin} {source.place}"


def _prepare(paths: BundlePaths) -> None:
    make_folder(paths.objects, paths.access)
    make_folder(paths.snapshots, paths.access)
    remove_leftovers(paths)


def _unwritable(paths: BundlePaths, error: OSError) -> BundleError:
    where = error.filename or paths.root
    return BundleError(
        f"the bundle cannot be stored: {where}: {(error.strerror or type(error).__name__).lower()}",
        hint="look at the free space and the rights of AETHERFLOW_WORK_ROOT",
        code="AF859",
    )
