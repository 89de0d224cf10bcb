"""The steps that list and delete files elsewhere, over any connector with files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aetherflow import StepError, transfer_steps
from aetherflow.testing import FakeRun, run_step
from aetherflow.transfer.shipped_steps import sftp_delete_files, sftp_list_files
from tests.transfer.memory_files import MemoryFiles

FILES = {"/in/b.csv": b"bb", "/in/a.csv": b"a", "/in/old/c.csv": b"ccc"}


class Unreliable(MemoryFiles):
    """Files whose server is gone after a number of deletions, the last one done but not reported."""

    def __init__(self, files: dict[str, bytes], deletions: int) -> None:
        super().__init__(files)
        self.left = deletions

    async def remove(self, path: str) -> bool:
        found = await super().remove(path)
        self.left -= 1
        if not self.left:
            raise StepError("the connection is lost", kind="connection")
        return found


def run_of(place: Path, files: MemoryFiles) -> FakeRun:
    return FakeRun(place, connectors={"box": files})


async def outputs(run: FakeRun, **inputs: Any) -> dict[str, Any]:
    result = await run_step(sftp_delete_files, {"resource": "box", **inputs}, run)
    return {"status": result.status, **result.outputs}


@pytest.mark.asyncio
async def test_a_listing_is_as_the_original_gave_it(tmp_path: Path) -> None:
    run = run_of(tmp_path, MemoryFiles(FILES))
    result = await run_step(sftp_list_files, {"resource": "box", "remote_dir": "/in"}, run)
    assert result.outputs["has_data"] is True
    assert (result.outputs["count"], result.outputs["bytes"]) == (3, 3)
    assert result.outputs["files"][0] == {
        "path": "/in/a.csv",
        "name": "a.csv",
        "rel_path": "a.csv",
        "size": 1,
        "mtime": 1_000_000_000,
        "modified": "2001-09-09T01:46:40Z",
        "is_dir": False,
        "sha256": None,
    }
    assert [(one["name"], one["is_dir"]) for one in result.outputs["files"]][-1] == ("old", True)


@pytest.mark.asyncio
async def test_fewer_files_than_wanted_are_a_skip(tmp_path: Path) -> None:
    run = run_of(tmp_path, MemoryFiles(FILES))
    inputs = {"resource": "box", "dir": "/in", "pattern": "*.xml", "min_count": "2"}
    result = await run_step(sftp_list_files, inputs, run)
    assert (result.status, result.reason) == ("SKIPPED", "0 matching files in /in, fewer than min_count 2")
    assert result.outputs == {"has_data": False, "count": 0, "bytes": 0, "files": []}


@pytest.mark.asyncio
async def test_given_files_are_deleted_and_what_is_gone_is_fine(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    run = run_of(tmp_path, files)
    found = await outputs(run, files=["/in/a.csv", {"path": "/in/x.csv", "rel_path": "x.csv"}])
    assert found == {
        "status": "SUCCESS",
        "is_deleted": True,
        "count": 1,
        "missing": 1,
        "files": ["/in/a.csv", "/in/x.csv"],
    }
    assert set(files.files) == {"/in/b.csv", "/in/old/c.csv"}
    assert sorted(key for _, _, key in run.effects) == ["delete /in/a.csv", "delete /in/x.csv"]


@pytest.mark.asyncio
async def test_an_empty_folder_is_deleted_as_the_original_did(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    files.folders = {"/in/empty"}
    listed = [{"path": "/in/empty", "rel_path": "empty", "is_dir": True}, "/in/a.csv"]
    found = await outputs(run_of(tmp_path, files), files=listed)
    assert (found["count"], files.folders) == (2, set())
    with pytest.raises(StepError, match="the folder /in/old is not empty"):
        await outputs(run_of(tmp_path, files), files=["/in/old"])


@pytest.mark.asyncio
@pytest.mark.parametrize("nothing", [None, []])
async def test_no_files_are_a_success(tmp_path: Path, nothing: Any) -> None:
    found = await outputs(run_of(tmp_path, MemoryFiles()), files=nothing)
    assert found == {"status": "SUCCESS", "is_deleted": True, "count": 0, "missing": 0, "files": []}


@pytest.mark.asyncio
async def test_selected_files_are_deleted_and_folders_are_not(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    found = await outputs(run_of(tmp_path, files), remote_dir="/in", recursive=True, exclude="b*")
    assert found["files"] == ["/in/a.csv", "/in/old/c.csv"]
    assert set(files.files) == {"/in/b.csv"}


@pytest.mark.asyncio
async def test_too_few_files_are_not_deleted(tmp_path: Path) -> None:
    files = MemoryFiles(FILES)
    found = await outputs(run_of(tmp_path, files), remote_dir="/in", min_count=3)
    assert (found["status"], found["is_deleted"], len(files.files)) == ("SKIPPED", False, 3)


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [5, 230])
@pytest.mark.parametrize("after", [1, 3, 5])
async def test_a_later_attempt_deletes_the_rest_of_the_same_files(
    tmp_path: Path, count: int, after: int
) -> None:
    names = [f"/in/{number:03}.csv" for number in range(count + 4)]
    files = Unreliable(dict.fromkeys(names, b"x"), after)
    run = run_of(tmp_path, files)
    inputs = {"remote_dir": "/in", "max_count": count, "min_count": count, "parallel": 2}

    with pytest.raises(StepError, match="the connection is lost"):
        await outputs(run, **inputs)
    found = await outputs(run, **inputs)

    assert sorted(found["files"]) == names[:count]
    assert (found["status"], found["count"], found["missing"]) == ("SUCCESS", count, 0)
    assert sorted(files.files) == names[count:]


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [3, 150])
async def test_a_later_attempt_leaves_what_the_flow_does_not_name_any_more(
    tmp_path: Path, count: int
) -> None:
    names = [f"/in/{number:03}.csv" for number in range(count)]
    files = Unreliable(dict.fromkeys(names, b"x"), 1)
    run = run_of(tmp_path, files)
    with pytest.raises(StepError, match="the connection is lost"):
        await outputs(run, remote_dir="/in", parallel=1)
    assert 0 < len(files.files) < count
    precious = min(files.files)

    found = await outputs(run, remote_dir="/in", exclude=precious.removeprefix("/in/"), min_count=count - 1)

    assert (found["count"], list(files.files)) == (count - 1, [precious])


@pytest.mark.asyncio
async def test_a_plugin_gets_its_own_steps_in_one_line(tmp_path: Path) -> None:
    steps = transfer_steps("s3")
    assert [one.name for one in steps] == [
        f"s3_{verb}_files" for verb in ("list", "download", "upload", "delete")
    ]
    run = run_of(tmp_path, MemoryFiles(FILES))
    result = await run_step(steps.list_files, {"resource": "box", "dir": "/in"}, run)
    assert result.outputs["count"] == 3
