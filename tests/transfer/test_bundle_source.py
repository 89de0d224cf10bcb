"""Bundles from a folder elsewhere: what changed, went away, is a link, or is still being written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aetherflow import Connector, RemoteEntry, Resource
from aetherflow.bundle.bundle_paths import bundle_paths
from aetherflow.bundle.source import SourceRequest
from aetherflow.bundle.sync import sync
from aetherflow.bundle.sync_report import SyncReport
from aetherflow.errors import BundleError
from aetherflow.spec.manifest import BundleSpec, SourceSpec
from aetherflow.transfer.bundle_source import RemoteFolderSource
from aetherflow.transfer.local_files import LocalFiles
from tests.bundle.bundle_parts import NoWaiting

pytestmark = pytest.mark.asyncio

SPEC = SourceSpec(type="sftp", resource="place", base_path="team")


class Growing(LocalFiles):
    """A place where somebody is writing `slow.bin`: each look at it finds more."""

    async def stat(self, path: str) -> RemoteEntry | None:
        if path.endswith("slow.bin") and self.folder:
            with (self.folder / path).open("ab") as file:
                file.write(b"more")
        return await super().stat(path)


class Place:
    """A folder with files and the bundle that is synced from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files" / "team"
        self.files.mkdir(parents=True)
        self.paths = bundle_paths(folder / "work", "team")
        self.kind: type[LocalFiles] = LocalFiles

    def put(self, path: str, content: bytes) -> None:
        """Write a file."""
        file = self.files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    async def sync(self) -> SyncReport:
        """Sync the bundle and return the report."""
        connector = await self.kind.open(
            Resource("place", "file", "local", {"path": str(self.folder / "files")})
        )

        async def connect() -> Connector:
            return connector

        async def opened() -> RemoteFolderSource:
            return await RemoteFolderSource.open(SourceRequest("team", SPEC, self.folder, connect))

        try:
            synced = await sync(
                BundleSpec(id="team", source=SPEC), self.paths, opened, NoWaiting(), origin="o"
            )
        finally:
            await connector.aclose()
        synced.hold.close()
        return synced.report

    def tree(self) -> dict[str, bytes]:
        """Return the active files."""
        root = self.paths.active.resolve()
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_what_changed_is_fetched_and_what_went_away_is_gone(place: Place) -> None:
    place.put("flows/a.yaml", b"a")
    place.put("data/deep/b.bin", b"b" * 3_000_000)
    place.put(".git/config", b"left out")
    place.put("flows/__pycache__/x.pyc", b"left out")

    assert (await place.sync()).fetched == 2
    assert place.tree() == {"flows/a.yaml": b"a", "data/deep/b.bin": b"b" * 3_000_000}
    assert (await place.sync()).fetched == 0

    place.put("flows/a.yaml", b"A")
    os.utime(place.files / "flows/a.yaml", (1, 1))
    (place.files / "data/deep/b.bin").unlink()
    assert (await place.sync()).fetched == 1
    assert place.tree() == {"flows/a.yaml": b"A"}


async def test_a_file_that_is_still_written_leaves_the_last_bundle_active(place: Place) -> None:
    place.put("flows/a.yaml", b"a")
    await place.sync()
    place.put("slow.bin", b"half")
    place.kind = Growing

    with pytest.raises(BundleError, match="the source keeps changing"):
        await place.sync()
    assert place.tree() == {"flows/a.yaml": b"a"}

    place.kind = LocalFiles
    await place.sync()
    assert set(place.tree()) == {"flows/a.yaml", "slow.bin"}


async def test_a_link_is_refused(place: Place) -> None:
    place.put("flows/a.yaml", b"a")
    (place.files / "flows/latest.yaml").symlink_to("a.yaml")

    with pytest.raises(BundleError, match=r"latest\.yaml is a symbolic link"):
        await place.sync()


async def test_a_folder_that_does_not_exist_is_named(place: Place) -> None:
    place.files.rmdir()

    with pytest.raises(BundleError, match="team"):
        await place.sync()


async def test_a_resource_without_files_is_refused(tmp_path: Path) -> None:
    class Other(Connector):
        @classmethod
        async def open(cls, resource: Resource) -> Other:
            del resource
            return cls()

        async def aclose(self) -> None:
            """Nothing is open."""

    async def connect() -> Connector:
        return Other()

    with pytest.raises(BundleError, match="'place' is no place with files"):
        await RemoteFolderSource.open(SourceRequest("team", SPEC, tmp_path, connect))
