"""Downloads: names, what is left, what is brought again; over files in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.step import StepResult
from aetherflow.testing import FakeRun, run_step
from aetherflow.transfer.local_target import MOST_STORED_SINGLY, LocalTarget
from aetherflow.transfer.shipped_steps import smb_download_files
from aetherflow.transfer.sidecar import checksum_in
from tests.transfer.memory_files import MemoryFiles

FILES = {"/in/a.csv": b"aa", "/in/b.csv": b"b", "/in/deep/c.csv": b""}


async def download(run: FakeRun, **inputs: Any) -> StepResult:
    return await run_step(smb_download_files, {"resource": "box", "dest_dir": "got", **inputs}, run)


def entries(result: StepResult) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(Path(result.outputs["manifest"]).read_text())
    return listed


def run_of(place: Path, files: MemoryFiles) -> FakeRun:
    return FakeRun(place / "run", connectors={"box": files})


def content(folder: str | Path) -> dict[str, bytes]:
    top = Path(folder)
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


@pytest.mark.asyncio
async def test_files_are_brought_to_their_relative_paths(tmp_path: Path) -> None:
    run = run_of(tmp_path, MemoryFiles(FILES))
    listed = [
        {"path": "/in/a.csv", "rel_path": "a.csv", "name": "a.csv", "size": 2, "other": 1},
        {"path": "/in/deep/c.csv", "rel_path": "deep/c.csv"},
        "/in/b.csv",
    ]
    result = await download(run, files=listed)
    folder = run.context().artifacts / "got"
    assert result.outputs["local_files"] == [str(folder / one) for one in ("a.csv", "deep/c.csv", "b.csv")]
    assert result.outputs["dest_dir"] == str(folder)
    assert content(folder) == {"a.csv": b"aa", "b.csv": b"b", "deep/c.csv": b""}
    assert (folder / "a.csv").stat().st_mode & 0o777 == 0o600
    entry = entries(result)[0]
    assert (entry["remote_path"], entry["path"]) == ("/in/a.csv", str(folder / "a.csv"))
    assert entry["sha256"] == hashlib.sha256(b"aa").hexdigest()
    assert [key for *_, key in run.effects][:1] == ["download /in/a.csv"]


@pytest.mark.asyncio
async def test_a_folder_is_brought_with_a_selection_to_an_absolute_place(tmp_path: Path) -> None:
    run = run_of(tmp_path, MemoryFiles(FILES))
    result = await download(
        run,
        remote_dir="/in",
        recursive=True,
        pattern="*.csv",
        zero_byte="skip",
        dest_dir=str(tmp_path / "abs"),
        rename="{stem}.{mtime:%Y}{suffix}",
        preserve_mtime=True,
    )
    assert content(tmp_path / "abs") == {"a.2001.csv": b"aa", "b.2001.csv": b"b"}
    assert os.stat(tmp_path / "abs/a.2001.csv").st_mtime == 1e9  # noqa: PTH116 - never blocks
    assert (result.outputs["count"], result.outputs["bytes"]) == (2, 3)

    result = await download(run_of(tmp_path, MemoryFiles(FILES)), remote_dir="/in", pattern="*.x")
    assert (result.status, result.reason) == ("SKIPPED", "0 matching files in /in, fewer than min_count 1")
    result = await download(run_of(tmp_path, MemoryFiles(FILES)), files=None)
    assert (result.status, result.outputs["local_files"]) == ("SUCCESS", [])


@pytest.mark.asyncio
async def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    for rel_path in ("../x", "/x", "C:x", "a/../../x"):
        with pytest.raises(StepError, match="is no safe name"):
            await download(
                run_of(tmp_path, MemoryFiles(FILES)), files=[{"path": "/in/a.csv", "rel_path": rel_path}]
            )
    run = run_of(tmp_path, MemoryFiles(FILES))
    folder = run.context().artifacts / "got"
    folder.mkdir()
    (folder / "deep").symlink_to(tmp_path)
    with pytest.raises(StepError, match="would leave") as refused:
        await download(run, files=[{"path": "/in/b.csv", "rel_path": "deep/x/b.csv"}])
    assert refused.value.code == "AF313"
    assert not (tmp_path / "x").exists()


@pytest.mark.asyncio
async def test_what_is_there_is_replaced_left_or_an_error(tmp_path: Path) -> None:
    for overwrite, expected, counts in (
        ("always", b"aa", (1, 0)),
        ("never", b"mine", (0, 1)),
        ("if_newer", b"mine", (0, 1)),
        ("if_different", b"aa", (1, 0)),
    ):
        run = run_of(tmp_path, MemoryFiles(FILES))
        (run.context().artifacts / "got").mkdir(exist_ok=True)
        (run.context().artifacts / "got/a.csv").write_bytes(b"mine")
        result = await download(run, files=["/in/a.csv"], overwrite=overwrite)
        assert content(result.outputs["dest_dir"]) == {"a.csv": expected}
        assert (result.outputs["count"], result.outputs["skipped"]) == counts
        assert len(result.outputs["local_files"]) == counts[0]
    with pytest.raises(StepError, match=r"a.csv exists") as failed:
        await download(run_of(tmp_path, MemoryFiles(FILES)), files=["/in/a.csv"], overwrite="fail")
    assert failed.value.code == "AF315"


class Cutting(MemoryFiles):
    """A server that sends one byte less than there is."""

    @asynccontextmanager
    async def read(self, path: str, *, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        async with super().read(path, offset=offset) as blocks:

            async def shorter() -> AsyncIterator[bytes]:
                async for block in blocks:
                    yield block[:-1] if path.endswith(".csv") else block

            yield shorter()


@pytest.mark.asyncio
async def test_a_part_of_a_file_never_gets_its_name(tmp_path: Path) -> None:
    run = run_of(tmp_path, Cutting(FILES))
    with pytest.raises(StepError, match=r"1 of its 2 bytes arrived") as failed:
        await download(run, files=["/in/a.csv"])
    assert (failed.value.code, failed.value.kind) == ("AF318", "connection")
    assert content(run.context().artifacts) == {}


@pytest.mark.asyncio
async def test_a_checksum_comes_from_the_listing_the_server_or_a_file_beside(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"aa").hexdigest()
    beside = FILES | {"/in/a.csv.sha256": f"{digest} *a.csv\n".encode()}
    wrong = FILES | {"/in/a.csv.sha256": b"0" * 64}
    await download(run_of(tmp_path, MemoryFiles(beside)), files=["/in/a.csv"], verify="checksum")
    with pytest.raises(StepError, match="is not the expected one"):
        await download(run_of(tmp_path, MemoryFiles(wrong)), files=["/in/a.csv"], verify="checksum")
    listed = [{"path": "/in/a.csv", "size": 2, "sha256": "0" * 64}]
    with pytest.raises(StepError, match="is not the expected one"):
        await download(run_of(tmp_path, MemoryFiles(FILES)), files=listed)
    with pytest.raises(StepError, match=r"there is no checksum of /in/a\.csv") as failed:
        await download(run_of(tmp_path, MemoryFiles(FILES)), files=["/in/a.csv"], verify="checksum")
    assert failed.value.code == "AF319"


def test_the_checksum_of_a_file_is_found_in_the_text_of_sha256sum() -> None:
    one, two = "1" * 64, "A" * 64
    assert checksum_in(one, "a") == one
    assert checksum_in(f"{one}  ./b\n{two} *x/a\n", "a") == two
    assert checksum_in(f"{one}  b\n", "a") is None
    assert checksum_in("no checksum", "a") is None


@pytest.mark.asyncio
async def test_a_source_that_is_gone_or_grows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot download /in/gone: there is no such file") as failed:
        await download(run_of(tmp_path, MemoryFiles(FILES)), files=["/in/gone"])
    assert failed.value.code == "AF317"
    with pytest.raises(StepError, match="cannot download /in: it is a folder"):
        await download(run_of(tmp_path, MemoryFiles(FILES)), files=["/in"])
    with pytest.raises(StepError, match="it had 1 bytes and has 2"):
        await download(run_of(tmp_path, MemoryFiles(FILES)), files=[{"path": "/in/a.csv", "size": 1}])
    files = MemoryFiles(FILES)
    await download(run_of(tmp_path, files), files=[{"path": "/in/a.csv", "size": 1}], verify="none")


@pytest.mark.asyncio
async def test_a_second_attempt_brings_only_what_is_missing(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    run = run_of(tmp_path, files)
    result = await download(run, remote_dir="/in", recursive=True)
    folder = Path(result.outputs["dest_dir"])
    files.files = {path: data.upper() for path, data in files.files.items()}
    (folder / "b.csv").unlink()
    again = await download(run, remote_dir="/in", recursive=True)
    assert content(folder) == {"a.csv": b"aa", "b.csv": b"B", "deep/c.csv": b""}
    assert again.outputs["local_files"] == result.outputs["local_files"]


@pytest.mark.asyncio
async def test_a_file_that_was_brought_may_be_gone_in_a_second_attempt(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    run = run_of(tmp_path, files)
    first = await download(run, files=["/in/a.csv", "/in/b.csv"])
    files.files = {}
    again = await download(run, files=["/in/a.csv", "/in/b.csv"])
    assert again.outputs == first.outputs


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [1, MOST_STORED_SINGLY])
async def test_files_of_an_attempt_that_failed_are_durable_before_the_step_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    files = MemoryFiles({f"/in/{number}": b"a" for number in range(count)})
    run = run_of(tmp_path, files)
    wanted = [{"path": path, "size": 1} for path in (*files.files, "/in/late")]
    with pytest.raises(StepError):
        await download(run, files=wanted, parallel=1)
    files.files["/in/late"] = b"b"
    stored: list[str] = []
    monkeypatch.setattr(LocalTarget, "store", lambda _target, paths: stored.extend(paths))
    result = await download(run, files=wanted)
    assert stored == result.outputs["local_files"]
    assert len(stored) == count + 1


def test_durable_are_the_files_their_folders_and_the_name_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = LocalTarget(tmp_path / "got", None)
    path = str(tmp_path / "got/deep/a")
    target.write(path, b"a")
    stored: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda number: stored.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    target.store([path, str(tmp_path / "got/taken-away")])
    assert stored == [path, str(tmp_path), str(tmp_path / "got"), str(tmp_path / "got/deep")]


@pytest.mark.asyncio
async def test_neither_files_nor_a_folder_is_an_error(tmp_path: Path) -> None:
    for inputs in ({}, {"files": [], "remote_dir": "/in"}, {"files": [], "pattern": "*.csv"}):
        with pytest.raises(StepError, match="remote_dir"):
            await download(run_of(tmp_path, MemoryFiles(FILES)), **inputs)


@pytest.mark.asyncio
async def test_a_transaction_that_fails_at_a_name_takes_the_others_back(tmp_path: Path) -> None:
    files = MemoryFiles({"/in/a": b"1", "/in/b": b"2", "/in/c": b"3"})
    run = run_of(tmp_path, files)
    inputs = {"remote_dir": "/in", "transactional": True, "dest_dir": str(tmp_path / "here"), "parallel": 1}
    (tmp_path / "here" / "c").mkdir(parents=True)
    with pytest.raises(StepError, match="a folder has the name of the file"):
        await download(run, **inputs)
    assert [one.name for one in (tmp_path / "here").iterdir() if not one.name.endswith(".part")] == ["c"]

    (tmp_path / "here" / "c").rmdir()
    result = await download(run, **inputs)
    assert sorted(one.name for one in (tmp_path / "here").iterdir()) == ["a", "b", "c"]
    assert result.outputs["count"] == 3
