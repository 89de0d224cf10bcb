"""Uploads: names, what is left, what is sent again; over files in memory and `file:local`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.step import StepResult
from aetherflow.testing import FakeRun, run_step
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.shipped_steps import (
    sftp_delete_files,
    sftp_download_files,
    sftp_list_files,
    sftp_upload_files,
)
from tests.transfer.memory_files import MemoryFiles


def write(folder: Path, **content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


async def upload(run: FakeRun, **inputs: Any) -> StepResult:
    return await run_step(sftp_upload_files, {"resource": "box", "remote_dir": "/in", **inputs}, run)


def entries(result: StepResult) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(Path(result.outputs["manifest"]).read_text())
    return listed


def run_of(place: Path, files: MemoryFiles | LocalFiles) -> FakeRun:
    return FakeRun(place / "run", connectors={"box": files})


@pytest.mark.asyncio
async def test_items_of_the_original_are_sent_and_listed_in_its_manifest(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="aa", b_csv="b", c_csv=""), MemoryFiles()
    items = [
        str(folder / "a.csv"),
        {"file": str(folder / "b.csv"), "id": "second", "remote_name": "B/x.csv"},
        {"path": str(folder / "c.csv"), "rel_path": "sub/c.csv", "size": 0, "is_dir": False},
    ]
    run = run_of(tmp_path, files)
    result = await upload(run, items=items, parallelism={"workers": 8, "fail_fast": True})

    assert files.files == {"/in/a.csv": b"aa", "/in/B/x.csv": b"b", "/in/sub/c.csv": b""}
    assert {"/in", "/in/B", "/in/sub"} <= files.folders
    assert (result.outputs["count"], result.outputs["bytes"], result.outputs["skipped"]) == (3, 3, 0)
    manifest = Path(result.outputs["manifest"])
    assert manifest.name == "step.manifest.json"
    assert manifest.parent.name == "manifests"
    listed = entries(result)
    assert [(one["id"], one["remote_path"], one["status"]) for one in listed] == [
        ("a.csv", "/in/a.csv", "done"),
        ("second", "/in/B/x.csv", "done"),
        ("sub/c.csv", "/in/sub/c.csv", "done"),
    ]
    assert listed[0]["file"] == str(folder / "a.csv")
    assert listed[0]["sha256"] == hashlib.sha256(b"aa").hexdigest()
    assert [key for *_, key in run.effects] == [
        "upload /in/a.csv",
        "upload /in/B/x.csv",
        "upload /in/sub/c.csv",
    ]


@pytest.mark.asyncio
async def test_local_files_are_paths_and_patterns(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="aa", b_csv="b", n_txt="n"), MemoryFiles()
    given = [str(folder / "*.csv"), str(folder / "n.txt")]
    result = await upload(run_of(tmp_path, files), local_files=given, dir="/in")
    assert result.outputs["uploaded"] == [str(folder / name) for name in ("a.csv", "b.csv", "n.txt")]
    assert result.outputs["remote_dir"] == "/in"
    assert sorted(files.files) == ["/in/a.csv", "/in/b.csv", "/in/n.txt"]

    run = run_of(tmp_path, files)
    (run.context().artifacts / "own.csv").write_text("x")
    result = await upload(run, local_files="own.csv")
    assert result.outputs["remote_files"] == ["/in/own.csv"]


@pytest.mark.asyncio
async def test_nothing_to_send_is_a_success_or_skipped_as_it_was_asked_for(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out"), MemoryFiles()
    result = await upload(run_of(tmp_path, files), items=[])
    assert (result.status, result.outputs["count"]) == ("SUCCESS", 0)
    assert entries(result) == []
    result = await upload(run_of(tmp_path, files), items=None)
    assert (result.status, result.outputs["count"]) == ("SUCCESS", 0)
    result = await upload(run_of(tmp_path, files), local_files=[str(folder / "*.csv")])
    assert (result.status, result.reason) == (
        "SKIPPED",
        f"0 files in {folder}/*.csv, fewer than min_count 1",
    )
    result = await upload(run_of(tmp_path, files), src_dir=str(folder))
    assert result.status == "SKIPPED"


@pytest.mark.asyncio
async def test_a_folder_is_sent_with_a_selection_and_new_names(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="aa", b_csv="b", n_txt="n"), MemoryFiles()
    write(folder / "deep", c_csv="c")
    os.utime(folder / "a.csv", (0, 0))
    result = await upload(
        run_of(tmp_path, files),
        src_dir=str(folder),
        pattern="*.csv",
        recursive=True,
        rename="{index:2}_{stem}_{mtime:%Y}{suffix}",
        sort="name",
        preserve_mtime=True,
    )
    assert result.outputs["remote_files"][0] == "/in/01_a_1970.csv"
    assert [path.rpartition("_")[0] for path in sorted(files.files)] == [
        "/in/01_a",
        "/in/02_b",
        "/in/deep/03_c",
    ]
    assert 0 in files.times.values()


@pytest.mark.asyncio
async def test_what_is_there_is_replaced_left_or_an_error(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="new", b_csv="b")
    for overwrite, content, counts in (
        ("always", b"new", (2, 0)),
        ("never", b"old!", (1, 1)),
        ("if_newer", b"new", (2, 0)),
        ("if_different", b"new", (2, 0)),
    ):
        files = MemoryFiles({"/in/a.csv": b"old!"})
        result = await upload(run_of(tmp_path, files), src_dir=str(folder), overwrite=overwrite)
        assert files.files == {"/in/a.csv": content, "/in/b.csv": b"b"}
        assert (result.outputs["count"], result.outputs["skipped"]) == counts
    files = MemoryFiles({"/in/a.csv": b"old!"})
    with pytest.raises(StepError, match=r"/in/a.csv exists, and overwrite") as failed:
        await upload(run_of(tmp_path, files), items=[str(folder / "a.csv")], overwrite="fail")
    assert failed.value.code == "AF315"
    assert files.files == {"/in/a.csv": b"old!"}


class Losing(MemoryFiles):
    """A server that accepts everything and loses the last byte."""

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        await super().write(path, content, offset=offset)
        self.files[path] = self.files[path][:-1]


class Garbling(MemoryFiles):
    """A server that stores other bytes."""

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        await super().write(path, content, offset=offset)
        if not path.endswith(".sha256"):
            self.files[path] = b"x" * len(self.files[path])


class Computing(MemoryFiles):
    """A server that computes checksums."""

    async def sha256(self, path: str) -> str:
        return hashlib.sha256(self.files[path]).hexdigest()


@pytest.mark.asyncio
async def test_what_did_not_arrive_as_it_was_sent_never_gets_its_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="abc")
    for files, verify in ((Losing(), "size"), (Losing(), "checksum"), (Garbling(), "checksum")):
        with pytest.raises(StepError, match=r"/in/a.csv did not arrive as it was sent") as failed:
            await upload(run_of(tmp_path, files), items=[str(folder / "a.csv")], verify=verify)
        assert (failed.value.code, failed.value.kind) == ("AF318", "connection")
        assert files.files == {}
    files = Losing()
    await upload(run_of(tmp_path, files), items=[str(folder / "a.csv")], verify="none")
    assert files.files == {"/in/a.csv": b"ab"}


@pytest.mark.asyncio
async def test_a_checksum_is_compared_on_the_server_or_lies_beside_the_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    for files, beside in ((MemoryFiles(), True), (Computing(), False)):
        await upload(run_of(tmp_path, files), items=[str(folder / "a.csv")], verify="checksum")
        assert files.files.pop("/in/a.csv") == b"abc"
        assert files.files == ({"/in/a.csv.sha256": f"{digest}  a.csv\n".encode()} if beside else {})


class Refusing(MemoryFiles):
    """A server that refuses some names."""

    refused: ClassVar[tuple[str, ...]] = ("a.csv", "c.csv")

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        if new.endswith(self.refused):
            raise StepError(f"no rights to write {new}", hint="ask for them")
        await super().rename(path, new, replace=replace)


@pytest.mark.asyncio
async def test_one_failure_ends_the_step_or_the_others_are_still_tried(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="a", b_csv="b", c_csv="c", d_csv="d")
    files = Refusing()
    with pytest.raises(StepError, match=r"no rights to write /in/a.csv"):
        await upload(run_of(tmp_path, files), src_dir=str(folder), parallel=1)
    assert [path for path in files.files if not path.endswith(".part")] == []

    files = Refusing()
    run = run_of(tmp_path, files)
    with pytest.raises(StepError, match=r"2 files failed \(a.csv, c.csv\); the first: no rights") as failed:
        await upload(run, src_dir=str(folder), parallelism={"enabled": False, "fail_fast": False})
    assert failed.value.code == "AF320"
    assert [path for path in files.files if not path.endswith(".part")] == ["/in/b.csv", "/in/d.csv"]

    files.refused = ()  # type: ignore[misc]  # of this server only
    result = await upload(run, src_dir=str(folder))
    assert sorted(files.files) == ["/in/a.csv", "/in/b.csv", "/in/c.csv", "/in/d.csv"]
    assert result.outputs["count"] == 4


@pytest.mark.asyncio
async def test_a_source_that_is_missing_a_folder_or_changes_is_an_error(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="a"), MemoryFiles()
    with pytest.raises(StepError, match=r"cannot upload .*gone.csv: No such file"):
        await upload(run_of(tmp_path, files), items=[str(folder / "gone.csv")])
    with pytest.raises(StepError, match=r"cannot upload .*out: it is no file"):
        await upload(run_of(tmp_path, files), items=[str(folder)])
    same = [{"file": str(folder / "a.csv"), "id": "x"}, {"file": str(folder / "b.csv"), "id": "x"}]
    with pytest.raises(StepError, match="two items have the id"):
        await upload(run_of(tmp_path, files), items=same)

    class Slow(MemoryFiles):
        async def make_folder(self, path: str) -> None:
            await super().make_folder(path)
            (folder / "a.csv").write_text("longer")

    with pytest.raises(
        StepError, match="changed after the step had listed it: it had 1 bytes and has 6"
    ) as failed:
        await upload(run_of(tmp_path, Slow()), items=[str(folder / "a.csv")])
    assert failed.value.code == "AF317"


@pytest.mark.asyncio
async def test_many_files_are_one_effect_and_a_second_attempt_sends_none_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", **{f"f{number}": str(number) for number in range(100)})
    files = MemoryFiles()
    run = run_of(tmp_path, files)
    await upload(run, src_dir=str(folder))
    assert [key for *_, key in run.effects] == ["upload files to /in"]
    assert len(files.files) == 100

    files.files = {path: content.upper() for path, content in files.files.items()}
    files.files.pop("/in/f7")  # the receiver has taken it
    result = await upload(run, src_dir=str(folder))
    assert result.outputs["count"] == 100
    assert "/in/f7" not in files.files
    assert "1 files that an earlier attempt had sent are not there any more: taken since" in run.logged


@pytest.mark.asyncio
async def test_a_file_that_was_sent_may_be_gone_in_a_second_attempt(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="a", b_csv="b"), MemoryFiles()
    run = run_of(tmp_path, files)
    items = [str(folder / "a.csv"), str(folder / "b.csv")]
    await upload(run, items=items)
    (folder / "a.csv").unlink()
    result = await upload(run, items=items)
    assert result.outputs["remote_files"] == ["/in/b.csv", "/in/a.csv"]


@pytest.mark.asyncio
async def test_what_is_left_of_an_older_version_is_deleted(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="a", b_csv="b"), Refusing()
    run = run_of(tmp_path, files)
    with pytest.raises(StepError, match="no rights"):
        await upload(run, src_dir=str(folder), transactional=True)
    write(folder, a_csv="another")
    assert [path for path in files.files if path.endswith(".part")]
    files.refused = ()  # type: ignore[misc]  # of this server only
    await upload(run, src_dir=str(folder), transactional=True)
    assert files.files == {"/in/a.csv": b"another", "/in/b.csv": b"b"}


@pytest.mark.asyncio
async def test_enterprise_mode_restricts_folders_of_this_machine(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="a")
    for place in (None, tmp_path / "elsewhere"):
        run = run_of(tmp_path, LocalFiles("box", place))
        workspace = msgspec.structs.replace(run.services.workspace, allowed=(folder,))
        run.services = msgspec.structs.replace(run.services, workspace=workspace)
        with pytest.raises(StepError, match="enterprise mode does not allow the path") as refused:
            await upload(run, items=[str(folder / "a.csv")], remote_dir=str(tmp_path / "elsewhere"))
        assert refused.value.code == "AF870"


NULLS = (
    *("pattern", "exclude", "recursive", "min_count", "max_count", "min_size", "max_size", "modified_after"),
    *(
        "modified_before",
        "min_age_seconds",
        "stable_for_seconds",
        "done_file",
        "zero_byte",
        "sort",
        "reverse",
    ),
    *("overwrite", "rename", "preserve_mtime", "verify", "transactional", "parallel", "parallelism"),
    *("fail_fast", "bandwidth_limit", "after", "move_to"),
)


@pytest.mark.asyncio
async def test_null_means_the_default_of_every_optional_input(tmp_path: Path) -> None:
    folder, files = write(tmp_path / "out", a_csv="a"), MemoryFiles()
    run, nulls = run_of(tmp_path, files), dict.fromkeys(NULLS)
    assert (await upload(run, src_dir=str(folder), **nulls)).outputs["count"] == 1

    steps = load_steps(run, {"remote_dir": "/in", **nulls})
    assert [(await one).status for one in steps] == ["SUCCESS"] * 3


def load_steps(run: FakeRun, inputs: dict[str, Any]) -> list[Awaitable[StepResult]]:
    selection = {key: value for key, value in inputs.items() if key not in NULLS[15:]}
    given = [
        (sftp_list_files, selection),
        (sftp_download_files, {**inputs, "dest_dir": "in"}),
        (sftp_delete_files, {**selection, "parallel": None}),
    ]
    return [run_step(step, {"resource": "box", **more}, run) for step, more in given]


@pytest.mark.asyncio
async def test_a_transaction_renames_all_or_none(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="a", b_csv="b", c_csv="c", d_csv="d")
    files = Refusing()
    run = run_of(tmp_path, files)
    files.refused = ()  # type: ignore[misc]  # of this server only
    result = await upload(run, src_dir=str(folder), transactional=True)
    assert sorted(files.files) == ["/in/a.csv", "/in/b.csv", "/in/c.csv", "/in/d.csv"]
    assert result.outputs["count"] == 4
    assert {one["status"] for one in entries(result)} == {"done"}


@pytest.mark.asyncio
async def test_a_transaction_that_fails_at_a_name_takes_the_others_back(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="a", b_csv="b", c_csv="c", d_csv="d")
    files = Refusing()
    run = run_of(tmp_path, files)
    files.refused = ("c.csv",)  # type: ignore[misc]  # of this server only
    inputs = {"src_dir": str(folder), "transactional": True, "parallel": 1, "verify": "checksum"}
    with pytest.raises(StepError, match=r"no rights to write /in/c.csv"):
        await upload(run, **inputs)
    assert all(path.endswith(".part") for path in files.files)
    assert len(files.files) == 4

    files.refused = ()  # type: ignore[misc]
    result = await upload(run, **inputs)
    assert sorted(one for one in files.files if not one.endswith(".sha256")) == [
        *("/in/a.csv", "/in/b.csv", "/in/c.csv", "/in/d.csv"),
    ]
    assert result.outputs["count"] == 4


@pytest.mark.asyncio
async def test_a_folder_in_the_way_of_a_transaction_is_found_before_any_name_is_given(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="a", b_csv="b")
    files = MemoryFiles()
    files.folders.add("/in/b.csv")
    with pytest.raises(StepError, match=r"a folder has the name of the file: /in/b.csv") as failed:
        await upload(run_of(tmp_path, files), src_dir=str(folder), transactional=True)
    assert failed.value.code == "AF315"
    assert all(path.endswith(".part") for path in files.files)


@pytest.mark.asyncio
async def test_what_has_replaced_a_file_cannot_be_taken_back_and_is_reported(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", a_csv="new", b_csv="b", c_csv="c")
    files = Refusing({"/in/a.csv": b"old"})
    run = run_of(tmp_path, files)
    files.refused = ("c.csv",)  # type: ignore[misc]
    with pytest.raises(StepError, match="no rights"):
        await upload(run, src_dir=str(folder), transactional=True, parallel=1)
    assert files.files["/in/a.csv"] == b"new"
    assert "/in/b.csv" not in files.files
    assert "1 files have replaced older ones, and stay" in run.logged


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"items": ["a"], "rename": "{x}"}, "no placeholder"),
        ({"items": ["a"], "bandwidth_limit": "fast"}, "no size"),
        ({"items": ["a"], "bandwidth_limit": 0}, "at least 1 byte"),
        ({"items": ["a"], "after": "move"}, "needs a folder: move_to"),
        ({"items": ["a"], "move_to": "x"}, "move_to needs after: move"),
        ({"items": ["a"], "parallel": 2, "parallelism": {}}, "keep one of them"),
        ({"items": ["a"], "src_dir": "x"}, "keep one of them"),
        ({"items": ["a"], "pattern": "*.csv"}, "selects from src_dir"),
        ({"items": ["a"], "dir": "/other"}, "dir and remote_dir"),
        ({"items": [{"id": "x"}]}, "names its file"),
        ({}, "give items, local_files, or src_dir"),
        ({"items": ["a"], "overwrite": "yes"}, "Invalid enum value"),
    ],
)
async def test_inputs_that_contradict_each_other_are_errors(
    tmp_path: Path, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        await upload(run_of(tmp_path, MemoryFiles()), **inputs)
