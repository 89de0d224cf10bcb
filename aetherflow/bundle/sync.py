"""Sync a bundle: fetch the changed files and activate a new snapshot, or change nothing on an error."""

from __future__ import annotations

import os
from contextlib import aclosing, suppress

import anyio
import msgspec

from aetherflow.bundle.bundle_paths import BundlePaths, fingerprint_of
from aetherflow.bundle.checked_source import OpenedSource, OpenSource, opened
from aetherflow.bundle.limits import Limits
from aetherflow.bundle.listing import Difference, check_whole, difference
from aetherflow.bundle.object_store import Objects, Sink, remove_others
from aetherflow.bundle.snapshot import (
    Hold,
    activate,
    build,
    hold,
    remove_leftovers,
    remove_old,
    sync_folder,
)
from aetherflow.bundle.source import BundleFile, SourceChanged
from aetherflow.bundle.sync_index import Entry, Index, is_same, read_index, write_index
from aetherflow.bundle.sync_lock import exclusive
from aetherflow.bundle.sync_report import SyncReport, write_report
from aetherflow.clock import Clock
from aetherflow.errors import BundleError
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
    places: BundlePaths,
    open_source: OpenSource,
    clock: Clock,
    *,
    origin: str,
    limits: Limits | None = None,
    wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Synced:
    """Make the files of the source the active snapshot.

    `origin` identifies the source (`origin_of`): what was read from another source is ignored.

    Raises:
        BundleError: it could not be done; what was active still is.
        HeldByAnother: another process was syncing for the whole wait.
    """
    at = clock.now().isoformat(timespec="seconds")
    try:
        async with exclusive(places.lock, f"the bundle {bundle.id!r}", clock, wait_seconds):
            work = _Sync(bundle, places, clock, origin, limits or Limits())
            try:
                return await work.whole(open_source, at)
            except BundleError as error:
                failed = SyncReport(at=at, code=error.code, error=error.message)
                with suppress(OSError):  # where nothing can be stored, the error itself has to do
                    await _threads.run(write_report, places.report, failed)
                raise
    except OSError as error:
        raise _unwritable(places, error) from None


async def compare(
    bundle: BundleSpec, places: BundlePaths, open_source: OpenSource, *, origin: str
) -> Difference:
    """Return what a sync would change; nothing is changed.

    Raises:
        BundleError: the source cannot be listed.
    """
    known = await _threads.run(read_index, places.index)
    async with opened(bundle.source.type, open_source) as source:
        listed = await source.list_files(Limits())
    entries = known.of_source(_told(origin, source))
    return difference(entries, listed, strict=bundle.source.strict_fingerprint)


class _Sync:
    """One sync, by the holder of the lock."""

    def __init__(
        self, bundle: BundleSpec, places: BundlePaths, clock: Clock, origin: str, limits: Limits
    ) -> None:
        self.bundle = bundle
        self.places = places
        self.clock = clock
        self.origin = origin
        self.limits = limits
        self.known = Index()
        self.source = ""
        self.strict = bundle.source.strict_fingerprint
        self.always = bundle.fetch_policy == "always"
        self.entries: dict[str, Entry] = {}
        self.objects = Objects(places.objects, {})
        self.fetched: dict[str, int] = {}

    async def whole(self, open_source: OpenSource, at: str) -> Synced:
        """Fetch, build and switch.

        Raises:
            BundleError: the source does not give what it lists, or nothing can be stored.
        """
        try:
            await _threads.run(_prepare, self.places)
            async with opened(self.bundle.source.type, open_source) as source:
                await self._fetch_all(source)
            return await _threads.run(self._switch, at)
        except OSError as error:
            raise _unwritable(self.places, error) from None

    async def _fetch_all(self, source: OpenedSource) -> None:
        """Read what is missing, until the source did not change meanwhile."""
        self.known = known = await _threads.run(read_index, self.places.index)
        self.objects = await _threads.run(Objects, self.places.objects, known.stored)
        self.source = _told(self.origin, source)
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
            else:
                return
            finally:
                with anyio.CancelScope(shield=True):  # what was read need not be read again
                    await _threads.run(write_index, self.places.index, self._index(known.snapshots))

    async def _fetch_once(self, source: OpenedSource) -> None:
        listed = await source.list_files(self.limits)
        check_whole(self.bundle, listed)
        missing = [file for file in listed.values() if not self._is_here(file)]
        await self._fetch(source, missing)
        if missing and await source.list_files(self.limits) != listed:
            raise SourceChanged("files came, went or changed while others were read")
        self.entries = {path: Entry(file, self.entries[path].sha256) for path, file in listed.items()}

    def _is_here(self, file: BundleFile) -> bool:
        entry = self.entries.get(file.path)
        if entry is None or entry.object not in self.objects.stored:
            return False
        # within one sync, times and sizes show what was read a moment ago
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
        sink = await _threads.run(Sink, self.objects, file)
        try:
            async with aclosing(source.read(file)) as chunks:
                async for chunk in chunks:
                    await _threads.run(sink.write, chunk)
            self.entries[file.path] = await _threads.run(sink.finish)
            self.fetched[file.path] = file.size
        finally:
            with anyio.CancelScope(shield=True):
                await _threads.run(sink.close)

    def _switch(self, at: str) -> Synced:
        """Build the snapshot, make it active, and remove what is no longer needed."""
        places, index = self.places, self._index(self.known.snapshots)
        sync_folder(places.objects)
        name = build(places, index)
        # before the switch: whatever is killed when, what is active is known to be of its source
        write_index(places.index, self._index(self._kept_snapshots() | {name: self.origin}))
        was_active = os.path.realpath(places.active)
        activate(places, name)
        held = hold(places, name)
        if held is None:
            raise BundleError(f"{places.snapshots / name} went away", hint="sync again", code="AF859")
        try:
            remove_old(places, name)
            remove_others(self.objects, {entry.object for entry in self.entries.values()})
            report = SyncReport(
                at=at,
                fingerprint=fingerprint_of(name),
                files=len(self.entries),
                size=index.size,
                fetched=len(self.fetched),
                fetched_bytes=sum(self.fetched.values()),
                switched=was_active != os.path.realpath(places.active),
                other_source=self.known.source not in ("", self.source),
            )
            write_report(places.report, report)
        except BaseException:
            held.close()
            raise
        return Synced(report, held)

    def _index(self, snapshots: dict[str, str]) -> Index:
        return Index(self.entries, self.objects.stored, self.source, snapshots)

    def _kept_snapshots(self) -> dict[str, str]:
        there = self.known.snapshots.items()
        return {name: origin for name, origin in there if (self.places.snapshots / name).is_dir()}


def _told(origin: str, source: OpenedSource) -> str:
    """Return what the entries of an index are known to be of."""
    return f"{origin} {source.place}"


def _prepare(places: BundlePaths) -> None:
    places.objects.mkdir(parents=True, exist_ok=True)
    places.snapshots.mkdir(exist_ok=True)
    remove_leftovers(places)


def _unwritable(places: BundlePaths, error: OSError) -> BundleError:
    where = error.filename or places.root
    return BundleError(
        f"the bundle cannot be stored: {where}: {(error.strerror or type(error).__name__).lower()}",
        hint="look at the free space and the rights of AETHERFLOW_WORK_ROOT",
        code="AF859",
    )
