"""Files of several blocks: cut and continued, cancelled, slowed down, on a full disk, reported."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.errors import StepError
from aetherflow.events.run_events import StepProgress
from aetherflow.testing import FakeClock, FakeRun, run_step
from aetherflow.transfer.local_errors import local_failure
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.local_io import LocalFile
from aetherflow.transfer.shipped_steps import file_download_files, file_upload_files

MB = 2**20
SIZE = 12 * MB + 345


class Cut(LocalFiles):
    """A server whose connection is cut after some bytes of one file, counted in the pieces that are moved."""

    left: int | None = None
    moved = 0
    stuck: anyio.Event | None = None
    """Set when three pieces have been moved; then nothing more is."""

    async def _pieces(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for block in blocks:
            for start in range(0, len(block), MB):
                if self.stuck is not None and self.moved == 3:
                    self.stuck.set()
                    await anyio.sleep_forever()
                self.moved += 1
                if self.left is not None:
                    self.left -= 1
                    if self.left < 0:
                        raise StepError("the connection is lost", kind="connection")
                yield block[start : start + MB]

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        async with super().read(path, offset=offset) as blocks:
            yield self._pieces(blocks)

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        await super().write(path, self._pieces(content), offset=offset)


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    data = os.urandom(SIZE)
    for folder in ("out", "box"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.bin").write_bytes(data)
    (tmp_path / "out/b.bin").write_bytes(data[:MB])
    return data


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


async def download(run: FakeRun, **inputs: Any) -> None:
    await run_step(
        file_download_files, {"resource": "box", "remote_dir": "/", "dest_dir": "got"} | inputs, run
    )


async def upload(run: FakeRun, folder: Path, **inputs: Any) -> None:
    more = {"resource": "box", "remote_dir": "in", "src_dir": str(folder)}
    await run_step(file_upload_files, more | inputs, run)


async def transfer(move: str, run: FakeRun, place: Path) -> None:
    if move == "upload":
        await upload(run, place / "out", pattern="a.bin")
    else:
        await download(run, remote_dir=str(place / "box"))


@pytest.mark.asyncio
async def test_a_download_continues_after_a_cut_where_it_was(tmp_path: Path, content: bytes) -> None:
    far = Cut("box", tmp_path / "box")
    run = FakeRun(tmp_path, connectors={"box": far})
    got = run.context().artifacts / "got"
    far.left = 7
    with pytest.raises(StepError, match="the connection is lost"):
        await download(run, remote_dir=str(tmp_path / "box"))
    assert names(got) == []
    assert [path.stat().st_size for path in got.iterdir()] == [7 * MB]
    far.left = 7
    await download(run, remote_dir=str(tmp_path / "box"))
    assert (got / "a.bin").read_bytes() == content
    assert [path.name for path in got.iterdir()] == ["a.bin"]
    assert any(f"continued at {7 * MB:,} of {SIZE:,} bytes" in line for line in run.logged)


@pytest.mark.asyncio
@pytest.mark.parametrize("change", ["tail", "source"])
async def test_what_is_not_the_beginning_of_its_source_is_not_continued(
    tmp_path: Path, content: bytes, change: str
) -> None:
    far = Cut("box", tmp_path / "box")
    run = FakeRun(tmp_path, connectors={"box": far})
    got = run.context().artifacts / "got"
    far.left = 7
    with pytest.raises(StepError, match="the connection is lost"):
        await download(run, remote_dir=str(tmp_path / "box"))
    if change == "tail":
        (part,) = got.iterdir()
        with part.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"x" * 100)
    else:
        content = content[::-1]
        (tmp_path / "box/a.bin").write_bytes(content)
        os.utime(tmp_path / "box/a.bin", (5, 5))
    far.left = None
    await download(run, remote_dir=str(tmp_path / "box"))
    assert (got / "a.bin").read_bytes() == content
    assert not any("continued" in line for line in run.logged)


@pytest.mark.asyncio
async def test_an_upload_continues_after_a_cut(tmp_path: Path, content: bytes) -> None:
    far = Cut("box", tmp_path / "box")
    run = FakeRun(tmp_path, connectors={"box": far})
    far.left = 11
    with pytest.raises(StepError, match="the connection is lost"):
        await upload(run, tmp_path / "out", pattern="a.bin")
    assert names(tmp_path / "box/in") == []
    far.left = 12
    await upload(run, tmp_path / "out", pattern="a.bin")
    assert (tmp_path / "box/in/a.bin").read_bytes() == content
    assert any("continued at" in line for line in run.logged)
    assert [path.name for path in (tmp_path / "box/in").iterdir()] == ["a.bin"]


@pytest.mark.asyncio
async def test_several_large_files_at_once_are_each_whole(tmp_path: Path, content: bytes) -> None:
    for name in "cde":
        (tmp_path / "out" / name).write_bytes(content[ord(name) :])
    run = FakeRun(tmp_path, connectors={"box": Cut("box", tmp_path / "box")})
    await upload(run, tmp_path / "out", parallel=4)
    await run_step(
        file_download_files,
        {"resource": "box", "remote_dir": str(tmp_path / "box/in"), "dest_dir": "got", "parallel": 4},
        run.context(step_id="down"),
    )
    for path in (tmp_path / "out").iterdir():
        assert (run.context().artifacts / "got" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.asyncio
@pytest.mark.parametrize("move", ["upload", "download"])
async def test_a_cancelled_transfer_leaves_no_half_file_under_a_name(
    tmp_path: Path, content: bytes, move: str
) -> None:
    far = Cut("box", tmp_path / "box")
    far.stuck = anyio.Event()
    run = FakeRun(tmp_path, connectors={"box": far})
    target = tmp_path / "box/in" if move == "upload" else run.context().artifacts / "got"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transfer, move, run, tmp_path)
        with anyio.fail_after(60):
            await far.stuck.wait()
        tasks.cancel_scope.cancel()
    assert names(target) == []
    far.stuck = None
    await transfer(move, run, tmp_path)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a.bin": content}


def full_after(count: int) -> Callable[[LocalFile, bytes], None]:
    """Return a `write` of a disk that takes so many blocks."""
    whole, left = LocalFile.write, count

    def write(self: LocalFile, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        whole(self, data)

    return write


@pytest.mark.asyncio
@pytest.mark.parametrize("move", ["upload", "download"])
async def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, content: bytes, move: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert content
    run = FakeRun(tmp_path, connectors={"box": LocalFiles("box", tmp_path / "box")})
    target = tmp_path / "box/in" if move == "upload" else run.context().artifacts / "got"
    monkeypatch.setattr(LocalFile, "write", full_after(2))
    with pytest.raises(StepError, match="No space left on device") as failed:
        await transfer(move, run, tmp_path)
    assert failed.value.hint == local_failure(OSError(28, ""), "", "").hint
    assert list(target.iterdir()) == []


@pytest.mark.asyncio
async def test_a_bandwidth_limit_is_for_the_step_as_a_whole(tmp_path: Path, content: bytes) -> None:
    clock = FakeClock()
    run = FakeRun(tmp_path, connectors={"box": LocalFiles("box", tmp_path / "box")}, clock=clock)
    began = clock.monotonic()
    await upload(run, tmp_path / "out", bandwidth_limit="2MB/s", parallel=2)
    assert clock.monotonic() - began == pytest.approx((len(content) + MB) / 2_000_000, rel=0.05)


@pytest.mark.asyncio
async def test_progress_has_files_bytes_rate_and_what_is_left(tmp_path: Path, content: bytes) -> None:
    clock = FakeClock()
    run = FakeRun(tmp_path, connectors={"box": LocalFiles("box", tmp_path / "box")}, clock=clock)
    await upload(run, tmp_path / "out", bandwidth_limit="2MB/s", parallel=1)
    shown = run.of(StepProgress)
    assert shown[0].total == len(content) + MB
    assert shown[0].unit == "bytes"
    assert any("0 of 2 files, 2.0 MB/s, " in one.note and one.note.endswith(" s left") for one in shown)
    assert (shown[-1].done, shown[-1].note) == (len(content) + MB, "2 of 2 files, 2.0 MB/s")
    assert [one.done for one in shown] == sorted(one.done for one in shown)
