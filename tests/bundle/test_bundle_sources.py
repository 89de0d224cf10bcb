"""What every bundle source does, over the one that ships and one that is written for the tests."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aetherflow.bundle.filesystem_source import FilesystemSource
from aetherflow.bundle.source import CHUNK_BYTES, BundleFile, BundleSource, SourceChanged, SourceRequest
from aetherflow.errors import BundleError
from aetherflow.sdk.connector import Connector
from aetherflow.spec.manifest import SourceSpec
from tests.bundle.zip_source import ZipSource

pytestmark = pytest.mark.asyncio

Files = dict[str, bytes]
Fill = Callable[[Path, Files], None]


def fill_folder(place: Path, files: Files) -> None:
    """Make a folder hold exactly these files; those that end in .sh are executable."""
    for old in [path for path in place.rglob("*") if path.is_file()]:
        old.unlink()
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name.endswith(".sh") else 0o644)
        time = path.stat().st_mtime_ns + len(content) * 1_000_000_000  # two writes may fall into one tick
        os.utime(path, ns=(time, time))
    place.mkdir(exist_ok=True)


def fill_archive(place: Path, files: Files) -> None:
    """Make an archive hold exactly these files."""
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            archive.writestr(member, content)


@pytest.fixture(
    params=[(FilesystemSource, fill_folder), (ZipSource, fill_archive)], ids=["filesystem", "zip"]
)
def kind(request: pytest.FixtureRequest) -> tuple[type[BundleSource], Fill]:
    made: tuple[type[BundleSource], Fill] = request.param
    return made


async def no_connector() -> Connector:
    raise AssertionError("these sources need no connector")


async def opened(kind: tuple[type[BundleSource], Fill], folder: Path, files: Files) -> BundleSource:
    kind[1](folder / "place", files)
    spec = SourceSpec(type="filesystem", base_path="place")
    return await kind[0].open(SourceRequest("demo", spec, folder, no_connector))


async def listed(source: BundleSource) -> dict[str, BundleFile]:
    found = [file async for file in source.list()]
    assert len({file.path for file in found}) == len(found)
    return {file.path: file for file in found}


async def content(source: BundleSource, file: BundleFile) -> bytes:
    pieces = [piece async for piece in source.read(file)]
    assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)
    return b"".join(pieces)


FILES: Files = {"flows/a.yaml": b"a", "flows/deep/b.yaml": b"bb", "run.sh": b"#!/bin/sh\n", "empty.txt": b""}


async def test_every_file_is_listed_once_with_its_size_and_its_mode(
    kind: tuple[type[BundleSource], Fill], tmp_path: Path
) -> None:
    source = await opened(kind, tmp_path, FILES)
    found = await listed(source)
    assert {path: file.size for path, file in found.items()} == {n: len(c) for n, c in FILES.items()}
    assert [path for path, file in found.items() if file.executable] == ["run.sh"]
    assert await listed(source) == found
    await source.aclose()


async def test_the_content_arrives_in_bounded_pieces(
    kind: tuple[type[BundleSource], Fill], tmp_path: Path
) -> None:
    files = {**FILES, "large.bin": os.urandom(2 * CHUNK_BYTES + 17)}
    source = await opened(kind, tmp_path, files)
    for path, file in (await listed(source)).items():
        assert await content(source, file) == files[path]
    await source.aclose()


async def test_a_file_that_changed_has_another_fingerprint(
    kind: tuple[type[BundleSource], Fill], tmp_path: Path
) -> None:
    source = await opened(kind, tmp_path, FILES)
    before = await listed(source)
    kind[1](tmp_path / "place", {**FILES, "flows/a.yaml": b"changed"})
    after = await listed(source)
    changed = {path for path in before if before[path] != after[path]}
    assert "flows/a.yaml" in changed
    assert await content(source, after["flows/a.yaml"]) == b"changed"
    await source.aclose()


@pytest.mark.parametrize("now", [{"flows/a.yaml": b"longer than before"}, {}], ids=["changed", "removed"])
async def test_a_file_that_is_not_as_listed_is_never_read_as_if_it_were(
    kind: tuple[type[BundleSource], Fill], tmp_path: Path, now: Files
) -> None:
    source = await opened(kind, tmp_path, FILES)
    file = (await listed(source))["flows/a.yaml"]
    others = {name: data for name, data in FILES.items() if name != "flows/a.yaml"}
    kind[1](tmp_path / "place", {**others, **now})
    with pytest.raises(SourceChanged, match=r"flows/a\.yaml"):
        await content(source, file)
    await source.aclose()


async def test_an_empty_source_lists_nothing(kind: tuple[type[BundleSource], Fill], tmp_path: Path) -> None:
    source = await opened(kind, tmp_path, {})
    assert await listed(source) == {}
    await source.aclose()


async def test_a_source_that_is_not_there_is_an_error_that_names_it(
    kind: tuple[type[BundleSource], Fill], tmp_path: Path
) -> None:
    spec = SourceSpec(type="filesystem", base_path="nowhere")
    with pytest.raises(BundleError, match="nowhere"):
        await kind[0].open(SourceRequest("demo", spec, tmp_path, no_connector))
