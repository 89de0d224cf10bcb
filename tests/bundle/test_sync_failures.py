"""A source that fails, lies or changes: what was active stays, and the error says why."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import anyio
import msgspec
import pytest

from aetherflow.bundle import checked_source
from aetherflow.bundle.source import BundleFile, BundleSource
from aetherflow.bundle.sync import FETCHES, sync
from aetherflow.bundle.sync_report import read_report
from aetherflow.errors import BundleError, StepError
from aetherflow.spec.manifest import LayoutSpec
from tests.bundle.bundle_parts import MemorySource, NoWaiting, Place

pytestmark = pytest.mark.asyncio
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
"""The sha256 of `hello`."""


async def from_memory(place: Place, source: MemorySource, *, strict: bool = False) -> None:
    spec = place.spec(strict_fingerprint=strict)
    (await sync(spec, place.paths, source.opened, NoWaiting(), origin="memory")).hold.close()


async def refused(place: Place, code: str, source: MemorySource | None = None) -> BundleError:
    """Sync, and check that it is refused, that nothing changed and that it is remembered."""
    before = place.active
    with pytest.raises(BundleError) as caught:
        await (from_memory(place, source) if source else place.sync())
    assert caught.value.code == code, caught.value
    assert place.active == before
    report = read_report(place.paths.report)
    assert report is not None
    assert (report.code, report.error) == (code, caught.value.message)
    assert place.snapshots() == ({before} if before else set())
    assert [name for name in place.objects() if name.startswith(".")] == []
    return caught.value


async def test_a_file_that_changes_once_is_read_again(place: Place) -> None:
    changes = iter(["changed meanwhile"])

    def change(file: BundleFile) -> None:
        if file.path == "flows/hello.yaml" and (text := next(changes, "")):
            place.write(file.path, text)

    await place.sync(on_read=change)

    assert place.reads.count("flows/hello.yaml") == 2
    assert place.tree()["flows/hello.yaml"] == "changed meanwhile"


async def test_a_file_that_changes_after_it_was_read_is_noticed(place: Place) -> None:
    """Files that belong together must be of one moment, as far as a source can know."""

    def change(file: BundleFile) -> None:
        if file.path == "run.sh" and place.reads.count("run.sh") == 1:
            place.write("flows/hello.yaml", "the other half of the change")

    place.write("run.sh", "one half of the change", mode=0o755)
    await place.sync(on_read=change)

    assert place.tree() == place.in_source()


async def test_a_file_that_comes_while_others_are_read_is_there(place: Place) -> None:
    def come(_: BundleFile) -> None:
        if not (place.source / "late.txt").exists():
            place.write("late.txt", "late")

    await place.sync(on_read=come)

    assert place.tree()["late.txt"] == "late"


async def test_a_file_that_goes_away_while_it_is_read_is_not_there(place: Place) -> None:
    await place.sync(on_read=lambda _: (place.source / "run.sh").unlink(missing_ok=True))

    assert "run.sh" not in place.tree()
    assert len(place.tree()) == 2


async def test_a_source_that_never_rests_is_refused(place: Place) -> None:
    await place.sync()
    before = place.active
    place.write("run.sh", "x")
    counter = iter(range(100))

    def change(file: BundleFile) -> None:
        place.write(file.path, "y" * next(counter))

    with pytest.raises(BundleError, match="the source keeps changing") as caught:
        await place.sync(on_read=change)

    assert caught.value.code == "AF857"
    assert place.active == before


async def test_a_file_that_becomes_a_link_is_refused_and_not_followed(place: Place) -> None:
    secret = place.folder / "secret"
    secret.write_text("#!/bin/sh")

    def swap(_: BundleFile) -> None:
        (place.source / "run.sh").unlink(missing_ok=True)
        (place.source / "run.sh").symlink_to(secret)

    with pytest.raises(BundleError) as caught:
        await place.sync(on_read=swap)

    assert caught.value.code == "AF855"
    assert place.active == ""


async def test_a_folder_that_becomes_a_link_is_refused_and_not_followed(place: Place) -> None:
    outside = place.folder / "outside"
    outside.mkdir()
    (outside / "hello.yaml").write_text("hello")

    def swap(file: BundleFile) -> None:
        if file.path == "flows/hello.yaml" and not (place.source / "flows").is_symlink():
            (place.source / "flows").rename(place.folder / "moved")
            (place.source / "flows").symlink_to(outside)

    with pytest.raises(BundleError) as caught:
        await place.sync(on_read=swap)

    assert caught.value.code == "AF855"


async def test_a_sha256_that_the_source_knows_is_checked(place: Place) -> None:
    right = MemorySource((BundleFile("a", 5, sha256=HELLO), b"hello"))
    await from_memory(place, right)
    assert place.tree() == {"a": "hello"}
    assert right.closed == 1

    wrong = MemorySource((BundleFile("a", 5, sha256=HELLO[:-1] + "0"), b"hello"))
    error = await refused(place, "AF858", wrong)
    assert "a: the source says sha256 2cf2" in error.message
    assert wrong.closed == 1


async def test_a_known_sha256_spares_the_reading_even_when_strict(place: Place) -> None:
    source = MemorySource((BundleFile("a", 5, mtime_ns=1, sha256=HELLO), b"hello"))
    await from_memory(place, source, strict=True)
    source.files["a"] = (BundleFile("a", 5, mtime_ns=2, sha256=HELLO), b"hello")

    await from_memory(place, source, strict=True)

    assert source.reads == ["a"]


async def test_without_sha256_and_time_a_file_is_always_read(place: Place) -> None:
    source = MemorySource((BundleFile("a", 5), b"hello"))
    await from_memory(place, source)
    await from_memory(place, source)

    assert source.reads == ["a", "a"]


@pytest.mark.parametrize("content", [b"hell", b"hello!", b""])
async def test_another_size_than_listed_is_refused(place: Place, content: bytes) -> None:
    await refused(place, "AF857", MemorySource((BundleFile("a", 5, mtime_ns=1), content)))


async def test_a_source_that_breaks_in_the_middle_changes_nothing(place: Place) -> None:
    await place.sync()
    source = MemorySource(*((BundleFile(f"f{n}", 5, mtime_ns=n), b"hello") for n in range(20)))
    source.failure = OSError(errno.ECONNRESET, "Connection reset by peer")

    error = await refused(place, "AF856", source)

    assert "cannot be read from the source: connection reset by peer" in error.message
    source.failure = None
    await from_memory(place, source)
    assert len(place.tree()) == 20


async def test_a_connector_that_fails_is_reported_as_in_a_run(place: Place) -> None:
    source = MemorySource((BundleFile("a", 5), b"hello"))
    source.failure = StepError("the server hung up", hint="ask its owner", kind="connection", code="AF704")

    error = await refused(place, "AF704", source)

    assert error.message == "the source: the server hung up"


async def test_what_was_read_before_a_failure_is_not_read_again(place: Place) -> None:
    source = MemorySource(*((BundleFile(f"f{n}", 5, mtime_ns=n), b"hello") for n in range(9)))
    source.files["f8"] = (BundleFile("f8", 5, sha256="0" * 64), b"hello")
    await refused(place, "AF858", source)
    first = set(source.reads)
    source.files["f8"] = (BundleFile("f8", 5, sha256=HELLO), b"hello")
    source.reads.clear()

    await from_memory(place, source)

    # a few are read at a time: those that were half read at the failure are read again, and no others
    assert "f8" in source.reads
    assert len(set(source.reads)) <= FETCHES
    assert first | set(source.reads) == set(source.files)


async def test_a_source_that_was_emptied_is_refused(place: Place) -> None:
    await place.sync()
    for path in place.source.iterdir():
        path.rename(place.folder / path.name)

    error = await refused(place, "AF864")

    assert error.message == "the source has no files"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"entry_flow": "hell.yaml"}, "no flows/hell.yaml, which entry_flow of"),
        ({"layout": LayoutSpec(profiles_file="places.yaml")}, "no places.yaml, which profiles_file of"),
    ],
)
async def test_a_source_without_what_the_manifest_names_is_refused(
    place: Place, more: dict[str, Any], words: str
) -> None:
    await place.sync()
    before = place.active
    place.write("new", "new")

    with pytest.raises(BundleError, match=words) as caught:
        await place.sync(msgspec.structs.replace(place.spec(), **more))

    assert caught.value.code == "AF864"
    assert (place.active, place.reads) == (before, [])


@pytest.mark.parametrize("entry", ["hello.yaml", "sub/deep.yaml", "./flows/hello.yaml", "flows//hello.yaml"])
async def test_the_entry_flow_is_looked_for_as_a_run_does(place: Place, entry: str) -> None:
    await place.sync(msgspec.structs.replace(place.spec(), entry_flow=entry))

    assert place.active


class _Broken(MemorySource):
    """A source whose author made a mistake in one place."""

    wrong = ""

    async def opened(self) -> BundleSource:
        self._meet("open")
        return self

    async def list(self) -> AsyncIterator[BundleFile]:
        self._meet("list")
        if self.wrong == "listed":
            yield cast("BundleFile", {"path": "a"})
        async for file in super().list():
            yield file

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        self._meet("read")
        yield cast("bytes", "text") if self.wrong == "chunk" else self.files[file.path][1]

    async def aclose(self) -> None:
        await super().aclose()
        self._meet("close")

    def _meet(self, place: str) -> None:
        if self.wrong == place:
            raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("open", "the source (type filesystem) cannot be opened: ValueError: no such thing"),
        ("list", "the source (type filesystem) cannot be listed: ValueError: no such thing"),
        ("listed", "cannot be listed: TypeError: list() yielded dict, not BundleFile"),
        ("read", "a (type filesystem) cannot be read from the source: ValueError: no such thing"),
        ("chunk", "cannot be read from the source: TypeError: read() yielded str, not bytes"),
        ("close", "the source (type filesystem) cannot be closed: ValueError: no such thing"),
    ],
)
async def test_a_mistake_in_the_code_of_a_source_is_reported_as_its_own(
    place: Place, wrong: str, words: str
) -> None:
    await place.sync()
    source = _Broken((BundleFile("a", 5), b"hello"))
    source.wrong = wrong

    error = await refused(place, "AF860", source)

    assert words in error.message
    assert ("raised at " + __file__ in error.hint) == ("ValueError" in words)
    assert source.closed == (wrong != "open")


async def test_a_source_that_never_closes_does_not_hold_a_sync(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(MemorySource):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(checked_source, "CLOSE_SECONDS", 0.05)
    await place.sync()

    error = await refused(place, "AF856", Hanging((BundleFile("a", 5), b"hello")))

    assert error.message == "the source cannot be closed: it took longer than 0.05 s"


async def test_a_source_that_also_fails_to_close_shows_what_went_wrong_first(place: Place) -> None:
    source = _Broken((BundleFile("a", 6), b"hello"))
    source.wrong = "close"

    await refused(place, "AF857", source)


@pytest.mark.parametrize("where", ["objects", "snapshots"])
async def test_a_place_that_cannot_be_written_is_named(place: Place, where: str) -> None:
    await place.sync()
    before = place.active
    folder = place.paths.objects if where == "objects" else place.paths.snapshots
    folder.rename(folder.with_name("aside"))
    folder.write_text("not a folder")
    place.write("new", "new")

    with pytest.raises(BundleError) as caught:
        await place.sync()

    assert caught.value.code == "AF859"
    assert str(folder) in caught.value.message
    folder.unlink()
    folder.with_name("aside").rename(folder)
    assert place.active == before


async def test_an_active_that_is_no_link_is_reported(place: Place) -> None:
    place.paths.active.mkdir(parents=True)

    with pytest.raises(BundleError, match="is not the link that a sync makes") as caught:
        await place.sync()

    assert caught.value.code == "AF859"


async def test_a_file_system_without_links_is_reported(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))  # what vfat says

    monkeypatch.setattr(Path, "symlink_to", no_links)

    error = await refused_without_links(place)

    assert "file system without symbolic links" in error.message


async def refused_without_links(place: Place) -> BundleError:
    with pytest.raises(BundleError) as caught:
        await place.sync()
    assert caught.value.code == "AF863"
    return caught.value


async def test_without_hard_links_files_are_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    await place.sync()
    assert place.tree() == place.in_source()
    assert os.access(place.paths.active / "run.sh", os.X_OK)

    again = (await place.sync()).report

    assert (again.fetched, again.switched) == (0, False)
    assert place.objects() == place.expected_objects()
