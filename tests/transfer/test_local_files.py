"""`file:local`: folders of this machine as a place for files, which nothing may leave."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from aetherflow.errors import ConfigError, StepError
from aetherflow.sdk.connector import Resource
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.local_files import LocalFiles


async def opened(**config: str) -> LocalFiles:
    return await LocalFiles.open(Resource("files", "file", "local", config))


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


async def whole(files: LocalFiles, path: str, offset: int = 0) -> bytes:
    async with files.read(path, offset=offset) as blocks:
        return b"".join([block async for block in blocks])


@pytest.mark.asyncio
async def test_a_file_is_written_continued_read_described_renamed_and_removed(tmp_path: Path) -> None:
    files = await opened(path=str(tmp_path))
    await files.make_folder("in/new")
    await files.write("in/new/a", pieces(b"one ", b"two"))
    await files.write("in/new/a", pieces(b"2"), offset=4)
    assert await whole(files, "in/new/a") == b"one 2"
    assert await whole(files, "in/new/a", offset=4) == b"2"
    assert await files.sha256("in/new/a") == hashlib.sha256(b"one 2").hexdigest()
    assert await files.set_mtime("in/new/a", 1000.5)
    await files.rename("in/new/a", "in/b", replace=False)
    found = await files.stat("in/b")
    assert found is not None
    assert (found.path, found.size, found.mtime, found.is_dir) == ("in/b", 5, 1000.5, False)
    assert await files.stat("in/new/a") is None
    assert await files.stat("in/b/c") is None
    assert [await files.remove("in/b"), await files.remove("in/b")] == [True, False]


@pytest.mark.asyncio
async def test_a_listing_has_files_folders_and_links_to_them_and_nothing_that_leaves(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"abc")
    (tmp_path / "outside").write_bytes(b"secret")
    os.mkfifo(folder / "pipe")
    for name, target in {
        "link": "a.csv",
        "down": "sub",
        "out": "../outside",
        "nothing": "gone",
        "circle": "circle",
    }.items():
        (folder / name).symlink_to(target)

    files = await opened(root=str(folder))
    found = {entry.path: entry async for entry in files.scan("")}

    assert sorted(found) == [str(folder / name) for name in ("a.csv", "down", "link", "sub")]
    shown = {Path(path).name: (one.size, one.is_dir, one.is_link) for path, one in found.items()}
    assert shown == {
        "a.csv": (3, False, False),
        "link": (3, False, True),
        "sub": (0, True, False),
        "down": (0, True, True),
    }
    assert await whole(files, str(folder / "a.csv")) == b"abc"


OUTSIDE = ["../outside", "/etc/hostname", "out", "up/outside", "a\0b", "sub/../../outside"]


@pytest.mark.asyncio
@pytest.mark.parametrize("path", OUTSIDE)
async def test_nothing_leaves_the_folder(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "outside").write_bytes(b"secret")
    (folder / "inside").write_bytes(b"inside")
    (folder / "out").symlink_to("../outside")
    (folder / "up").symlink_to("..")
    files = await opened(path=str(folder))

    for attempt in (
        lambda: whole(files, path),
        lambda: files.write(path, pieces(b"x")),
        lambda: files.stat(path),
        lambda: files.set_mtime(path, 0),
        lambda: files.make_folder(f"{path}/x"),
    ):
        with pytest.raises(StepError) as refused:
            await attempt()
        assert refused.value.code == "AF310"
    assert (tmp_path / "outside").read_bytes() == b"secret"

    await files.remove("out")  # the link itself is in the folder
    assert (tmp_path / "outside").exists()


@pytest.mark.asyncio
async def test_without_a_folder_paths_are_absolute(tmp_path: Path) -> None:
    files = await opened()
    await files.write(str(tmp_path / "a"), pieces(b"x"))
    with pytest.raises(StepError, match="is no absolute path"):
        await files.stat("a")


@pytest.mark.asyncio
async def test_a_file_is_renamed_to_a_free_name_only_unless_it_may_replace(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    files = await opened(path=str(tmp_path))

    with pytest.raises(StepError, match="cannot rename a: b exists") as refused:
        await files.rename("a", "b", replace=False)
    assert refused.value.code == "AF312"
    assert (tmp_path / "b").read_text() == "old"
    await files.rename("a", "b", replace=True)
    assert (tmp_path / "b").read_text() == "new"


async def listed(files: LocalFiles, folder: str) -> list[str]:
    return [entry.path async for entry in files.scan(folder)]


FAILURES: dict[str, tuple[Callable[[LocalFiles], Awaitable[object]], str]] = {
    "a folder": (lambda files: whole(files, "sub"), "cannot read sub: it is no regular file"),
    "a pipe": (lambda files: whole(files, "pipe"), "cannot read pipe: it is no regular file"),
    "nothing": (lambda files: listed(files, "gone"), "cannot list gone: No such file or directory"),
    "no file to continue": (lambda files: files.write("no", pieces(), offset=5), "cannot write no: No such"),
    "a folder to delete": (lambda files: files.remove("sub"), "cannot delete sub: Is a directory"),
    "a file for a folder": (lambda files: files.make_folder("f/x"), "cannot make the folder f/x: Not a dir"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", FAILURES)
async def test_what_the_system_refuses_is_a_sentence(tmp_path: Path, case: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "f").touch()
    os.mkfifo(tmp_path / "pipe")
    attempt, message = FAILURES[case]

    with pytest.raises(StepError, match=message) as failed:
        await attempt(await opened(path=str(tmp_path)))
    assert failed.value.code == "AF311"
    assert failed.value.hint


@pytest.mark.asyncio
async def test_a_full_disk_is_a_sentence() -> None:
    with pytest.raises(StepError, match="cannot write /dev/full: No space left on device"):
        await (await opened()).write("/dev/full", pieces(b"x"))


def test_a_share_that_does_not_answer_is_worth_another_attempt() -> None:
    assert local_failure(OSError(errno.ESTALE, "Stale file handle"), "read", "/mnt/a").kind == "connection"
    assert local_failure(OSError(errno.EACCES, "Permission denied"), "read", "/mnt/a").kind == "other"


@pytest.mark.asyncio
async def test_a_wrong_folder_is_an_error_when_it_opens(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"cannot list .*gone: No such file"):
        await opened(path=str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="path and root"):
        await opened(path="/a", root="/b")


@pytest.mark.asyncio
async def test_the_folder_is_checked(tmp_path: Path) -> None:
    results = await (await opened(path=str(tmp_path))).check()
    assert [(one.subject, one.state) for one in results] == [("access", "ok"), ("free space", "ok")]
