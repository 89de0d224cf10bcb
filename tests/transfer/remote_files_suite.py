"""What every connector with files must do: checks for one connector and an empty folder of it.

    async with a_server() as files:
        await check_all(files, "/folder")

Each check works in a folder of its own. `check_links` needs the folder as this machine sees it, too.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import anyio
import pytest

from aetherflow import RemoteEntry, RemoteFiles, StepError

Check = Callable[[RemoteFiles, str], Awaitable[None]]

UNUSUAL_NAMES = (
    *("ä b.csv", "it's.csv", "日本語.txt", "-rf", "%41 & #;$x.csv", "~x", "..hidden", " leading.txt"),
    *("cafe\N{COMBINING ACUTE ACCENT}.txt", "UPPER.CSV", "x" * 200, "a,b=c;d!.txt", "[a].csv", "{name}.txt"),
)
BIG = 9 * 2**20 + 7


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for piece in content:
        yield piece


async def put(files: RemoteFiles, path: str, *content: bytes, offset: int = 0) -> str:
    await files.write(path, pieces(*content), offset=offset)
    return path


async def get(files: RemoteFiles, path: str, *, offset: int = 0) -> bytes:
    async with files.read(path, offset=offset) as content:
        return b"".join([piece async for piece in content])


async def scanned(files: RemoteFiles, folder: str) -> dict[str, RemoteEntry]:
    found = [entry async for entry in files.scan(folder)]
    names = {entry.path.replace("\\", "/").rpartition("/")[2]: entry for entry in found}
    assert len(names) == len(found)
    return names


async def fails(what: Awaitable[object], *words: str) -> StepError:
    """Return the error of a call, which names the path and is no matter of the connection."""
    with pytest.raises(StepError) as raised:
        await what
    assert raised.value.kind != "connection"
    for word in words:
        assert word in raised.value.message, raised.value.message
    return raised.value


async def a_folder_is_scanned(files: RemoteFiles, folder: str) -> None:
    began = time.time()
    await put(files, files.join(folder, "a.txt"), b"12345")
    await put(files, files.join(folder, "empty"))
    await put(files, files.join(await made(files, folder, "below"), "deep.txt"), b"1")

    found = await scanned(files, folder)

    assert {name: (one.size, one.is_dir) for name, one in found.items() if not one.is_dir} == {
        "a.txt": (5, False),
        "empty": (0, False),
    }
    assert {name for name, one in found.items() if one.is_dir} == {"below"}
    assert not any(one.is_link for one in found.values())
    changed = found["a.txt"].mtime
    assert changed is None or abs(changed - began) < 60
    for entry in found.values():
        again = await files.stat(entry.path)
        assert again is not None
        assert (again.is_dir, again.size) == (entry.is_dir, entry.size)
    assert await get(files, found["a.txt"].path) == b"12345"
    assert set(await scanned(files, files.join(folder, "below"))) == {"deep.txt"}
    assert set(await scanned(files, files.join(folder, ""))) == set(found)


async def made(files: RemoteFiles, folder: str, name: str) -> str:
    path = files.join(folder, name)
    await files.make_folder(path)
    return path


async def an_empty_folder_has_nothing(files: RemoteFiles, folder: str) -> None:
    assert await scanned(files, folder) == {}
    entry = await files.stat(folder)
    assert entry is not None
    assert entry.is_dir


async def what_is_not_there_is_none_or_an_error(files: RemoteFiles, folder: str) -> None:
    missing = files.join(folder, "missing")
    assert await files.stat(missing) is None
    assert await files.stat(files.join(missing, "x")) is None
    assert await files.stat(files.join(await put(files, files.join(folder, "file"), b"1"), "x")) is None
    assert await files.remove(missing) is False
    await fails(scanned(files, missing), "missing")
    await fails(get(files, missing), "missing")
    await fails(files.rename(missing, files.join(folder, "new"), replace=True), "missing")


async def a_file_is_read_from_an_offset(files: RemoteFiles, folder: str) -> None:
    path = await put(files, files.join(folder, "a"), b"0123456789")
    assert await get(files, path) == b"0123456789"
    assert await get(files, path, offset=4) == b"456789"
    assert await get(files, path, offset=10) == b""
    assert await get(files, await put(files, files.join(folder, "empty"))) == b""


async def a_file_is_written_anew_and_continued(files: RemoteFiles, folder: str) -> None:
    path = files.join(folder, "a")
    await put(files, path, b"a longer text", b" in two pieces")
    await put(files, path, b"short", b"")
    assert await get(files, path) == b"short"
    if files.can_append:
        await put(files, path, b"er", b" still", offset=5)
        assert await get(files, path) == b"shorter still"
    await put(files, path)
    entry = await files.stat(path)
    assert entry is not None
    assert entry.size == 0


async def a_rename_replaces_only_what_it_may(files: RemoteFiles, folder: str) -> None:
    old, new = files.join(folder, "old"), files.join(folder, "new")
    await put(files, old, b"old")
    await put(files, new, b"new")

    await fails(files.rename(old, new, replace=False), "new")
    assert (await get(files, old), await get(files, new)) == (b"old", b"new")

    await files.rename(old, new, replace=True)
    assert set(await scanned(files, folder)) == {"new"}
    assert await get(files, new) == b"old"

    moved = files.join(await made(files, folder, "below"), "moved")
    await files.rename(new, moved, replace=False)
    assert await get(files, moved) == b"old"
    await files.rename(moved, new, replace=True)
    assert await files.stat(moved) is None


async def a_file_is_removed_once_and_a_folder_is_no_file(files: RemoteFiles, folder: str) -> None:
    path = await put(files, files.join(folder, "a"), b"1")
    assert await files.remove(path) is True
    assert await files.remove(path) is False
    assert await scanned(files, folder) == {}
    below = await made(files, folder, "below")
    await fails(files.remove(below), "below")
    await fails(get(files, below), "below")
    await fails(put(files, below, b"1"), "below")
    assert set(await scanned(files, folder)) == {"below"}


async def folders_are_made_with_those_above(files: RemoteFiles, folder: str) -> None:
    deep = files.join(folder, "one/two/three")
    await files.make_folder(deep)
    await files.make_folder(deep)
    await put(files, files.join(deep, "a"), b"1")
    assert set(await scanned(files, deep)) == {"a"}
    blocked = await put(files, files.join(folder, "file"), b"1")
    await fails(files.make_folder(blocked), "file")
    await fails(files.make_folder(files.join(blocked, "below")), "file")
    assert await get(files, blocked) == b"1"


async def unusual_names_are_names(files: RemoteFiles, folder: str) -> None:
    for number, name in enumerate(UNUSUAL_NAMES):
        await put(files, files.join(folder, name), b"x" * number)
    assert {name: one.size for name, one in (await scanned(files, folder)).items()} == {
        name: number for number, name in enumerate(UNUSUAL_NAMES)
    }
    for number, name in enumerate(UNUSUAL_NAMES):
        assert len(await get(files, files.join(folder, name))) == number
        assert await files.remove(files.join(folder, name))


async def upper_and_lower_case_are_as_it_says(files: RemoteFiles, folder: str) -> None:
    await put(files, files.join(folder, "Case.txt"), b"1")
    assert (await files.stat(files.join(folder, "case.TXT")) is not None) == files.ignores_case


async def many_tasks_use_it_at_once(files: RemoteFiles, folder: str) -> None:
    async def work(number: int) -> None:
        path, new = files.join(folder, f"{number}.part"), files.join(folder, f"{number}.txt")
        content = bytes([number]) * 5000
        await put(files, path, content[:1000], content[1000:])
        await files.rename(path, new, replace=False)
        assert await get(files, new, offset=1) == content[1:]
        if number % 2:
            assert await files.remove(new)

    async with anyio.create_task_group() as tasks:
        for number in range(24):
            tasks.start_soon(work, number)
    assert set(await scanned(files, folder)) == {f"{number}.txt" for number in range(0, 24, 2)}


async def a_big_file_arrives_as_it_is(files: RemoteFiles, folder: str) -> None:
    block = bytes(range(256)) * 4096
    content = (block * (BIG // len(block) + 1))[:BIG]
    path = files.join(folder, "big")
    await put(files, path, *(content[start : start + 700_001] for start in range(0, BIG, 700_001)))
    entry = await files.stat(path)
    assert entry is not None
    assert entry.size == BIG
    assert hashlib.sha256(await get(files, path)).digest() == hashlib.sha256(content).digest()
    assert await get(files, path, offset=BIG - 100) == content[-100:]
    assert await files.sha256(path) in (None, hashlib.sha256(content).hexdigest())


async def a_write_that_fails_in_the_middle_fails_with_its_own_error(files: RemoteFiles, folder: str) -> None:
    path = files.join(folder, "half")

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise ValueError("the source is gone")

    with pytest.raises(ValueError, match="the source is gone"):
        await files.write(path, broken())
    await put(files, path, b"whole")
    assert await get(files, path) == b"whole"


async def a_transfer_may_be_left_or_cancelled(files: RemoteFiles, folder: str) -> None:
    path = await put(files, files.join(folder, "a"), b"x" * 3_000_000)
    async with files.read(path) as content:
        async for piece in content:
            assert piece
            break

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await anyio.sleep(0.005)

    began = anyio.current_time()
    with anyio.move_on_after(0.05) as scope:
        await files.write(files.join(folder, "cut"), endless())
    assert scope.cancelled_caught
    assert anyio.current_time() - began < 20
    assert len(await get(files, path)) == 3_000_000


async def a_time_is_set_if_it_can_be(files: RemoteFiles, folder: str) -> None:
    path = await put(files, files.join(folder, "a"), b"1")
    if await files.set_mtime(path, 1_600_000_000):
        entry = await files.stat(path)
        assert entry is not None
        assert entry.mtime is not None
        assert abs(entry.mtime - 1_600_000_000) <= 2
        assert (await scanned(files, folder))["a"].mtime == entry.mtime


CHECKS: tuple[Check, ...] = (
    a_folder_is_scanned,
    an_empty_folder_has_nothing,
    what_is_not_there_is_none_or_an_error,
    a_file_is_read_from_an_offset,
    a_file_is_written_anew_and_continued,
    a_rename_replaces_only_what_it_may,
    a_file_is_removed_once_and_a_folder_is_no_file,
    folders_are_made_with_those_above,
    unusual_names_are_names,
    upper_and_lower_case_are_as_it_says,
    many_tasks_use_it_at_once,
    a_big_file_arrives_as_it_is,
    a_write_that_fails_in_the_middle_fails_with_its_own_error,
    a_transfer_may_be_left_or_cancelled,
    a_time_is_set_if_it_can_be,
)


async def check_all(files: RemoteFiles, folder: str, checks: Iterable[Check] = CHECKS) -> None:
    """Run checks one after the other; the error of one is noted with its name."""
    for check in checks:
        name = getattr(check, "__name__", "check")
        try:
            await check(files, await made(files, folder, name))
        except BaseException as error:
            error.add_note(f"in the check {name}")
            raise


async def check_links(files: RemoteFiles, folder: str, place: Path) -> None:
    """Check links, which are made in `place`: the folder as this machine sees it."""
    (place / "real").mkdir()
    (place / "real" / "a.txt").write_bytes(b"12345")
    (place / "file").symlink_to("real/a.txt")
    (place / "folder").symlink_to("real")
    (place / "loop").symlink_to(".")
    (place / "nowhere").symlink_to("gone")

    found = await scanned(files, folder)

    assert set(found) == {"real", "file", "folder", "loop"}
    assert (found["file"].size, found["file"].is_dir) == (5, False)
    assert found["folder"].is_dir
    assert [found[name].is_link for name in ("real", "folder", "loop")] == [False, True, True]
    assert await get(files, found["file"].path) == b"12345"
    assert await files.remove(files.join(folder, "file"))
    assert (place / "real" / "a.txt").read_bytes() == b"12345"
