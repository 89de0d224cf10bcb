"""A real folder as a source, a real folder for the bundle, and sources that misbehave on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

from aetherflow.bundle.bundle_paths import BundlePaths, bundle_paths
from aetherflow.bundle.filesystem_source import FilesystemSource
from aetherflow.bundle.limits import Limits
from aetherflow.bundle.snapshot import active_snapshot
from aetherflow.bundle.source import BundleFile, BundleSource, SourceRequest
from aetherflow.bundle.source_identity import origin_of
from aetherflow.bundle.sync import Synced, sync
from aetherflow.bundle.sync_index import read_index
from aetherflow.clock import SystemClock
from aetherflow.sdk.connector import Connector
from aetherflow.spec.manifest import BundleSpec, SourceSpec


class NoWaiting(SystemClock):
    """The system's clock, but nobody sleeps."""

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - it is not slept
        """Only yield."""
        await super().sleep(0)


async def _no_connector() -> Connector:
    raise AssertionError("this source needs no connector")


class Place:
    """A source folder and the bundle made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source"
        self.source.mkdir()
        self.paths: BundlePaths = bundle_paths(folder / "work", "demo")
        self.reads: list[str] = []

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        """Write a file into the source."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def spec(self, **source: Any) -> BundleSpec:
        """Return `bundle` of a manifest; `fetch_policy` is not of the source."""
        policy = source.pop("fetch_policy", "cache_check")
        made = SourceSpec(**{"type": "filesystem", "base_path": "source", **source})
        return BundleSpec(id="demo", source=made, fetch_policy=policy)

    async def sync(
        self,
        spec: BundleSpec | None = None,
        *,
        limits: Limits | None = None,
        on_read: Callable[[BundleFile], None] = lambda _: None,
        wait_seconds: float = 10,
    ) -> Synced:
        """Sync, note what is read, and keep nothing in use."""
        spec = spec or self.spec()
        place = self

        class Noting(FilesystemSource):
            def read(self, file: BundleFile) -> AsyncIterator[bytes]:
                place.reads.append(file.path)
                on_read(file)
                return super().read(file)

        self.reads.clear()
        request = SourceRequest("demo", spec.source, self.folder, _no_connector)
        synced = await sync(
            spec,
            self.paths,
            partial(Noting.open, request),
            NoWaiting(),
            origin=origin_of(spec.source, self.folder, {}),
            limits=limits,
            wait_seconds=wait_seconds,
        )
        synced.hold.close()
        return synced

    @property
    def active(self) -> str:
        """The name of the active snapshot."""
        return active_snapshot(self.paths)

    def tree(self) -> dict[str, str]:
        """Return the files of the active snapshot."""
        root = self.paths.active.resolve()
        return {
            path.relative_to(root).as_posix(): path.read_text()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def in_source(self) -> dict[str, str]:
        """Return the files of the source."""
        return {
            path.relative_to(self.source).as_posix(): path.read_text()
            for path in sorted(self.source.rglob("*"))
            if path.is_file()
        }

    def snapshots(self) -> set[str]:
        """Return the names below `snapshots`, leftovers too."""
        return {path.name for path in self.paths.snapshots.iterdir()}

    def objects(self) -> set[str]:
        """Return the names in the cache, leftovers too."""
        return {path.name for path in self.paths.objects.iterdir()}

    def expected_objects(self) -> set[str]:
        """Return the objects that the index names."""
        return {entry.object for entry in read_index(self.paths.index).entries.values()}


class MemorySource(BundleSource):
    """A source of a type of its own: files in memory, with whatever fingerprints a test wants."""

    files: dict[str, tuple[BundleFile, bytes]]

    def __init__(self, *files: tuple[BundleFile, bytes]) -> None:
        self.files = {file.path: (file, content) for file, content in files}
        self.reads: list[str] = []
        self.closed = 0
        self.failure: Exception | None = None

    @classmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Not used: the tests make it themselves."""
        raise NotImplementedError(request)

    async def opened(self) -> BundleSource:
        """Return it, as opened."""
        return self

    async def list(self) -> AsyncIterator[BundleFile]:
        """Yield the files."""
        for file, _ in list(self.files.values()):
            yield file

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content in pieces of 4 bytes, then fail if a test wants so."""
        self.reads.append(file.path)
        content = self.files[file.path][1]
        for start in range(0, len(content), 4):
            yield content[start : start + 4]
        if self.failure is not None:
            raise self.failure

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1
