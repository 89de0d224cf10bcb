"""The result list of a transfer, on the disk while it grows."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import anyio
import msgspec
import pytest

from aetherflow import files
from aetherflow.errors import StepError
from aetherflow.transfer.manifest import Entry, Manifest, read_manifest


async def opened(path: Path, *, is_resumed: bool = True) -> Manifest:
    manifest = Manifest(path, files.atomic_write, "private")
    await manifest.open(is_resumed=is_resumed)
    return manifest


@pytest.mark.asyncio
async def test_the_list_has_the_files_in_order_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "send.manifest.json"
    manifest = await opened(path)
    await manifest.add(Entry("b", status="done", size=2))
    manifest.note(Entry("a", status="skipped", skipped=True, reason="exists"))
    await manifest.finish(["a", "b"])

    listed = json.loads(path.read_text())
    assert [(one["id"], one["status"], one["skipped"]) for one in listed] == [
        ("a", "skipped", True),
        ("b", "done", False),
    ]
    assert {"id", "file", "remote_path", "path", "size", "sha256", "mtime", "status"} <= listed[0].keys()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_suffix(".lines").exists()


@pytest.mark.asyncio
async def test_what_was_added_survives_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    first = await opened(path)
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(first.add, Entry(str(number), status="whole"))
    first.note(Entry("lost"))  # written with the next one, which never comes
    await first.commit()
    await first.add(Entry("3", status="done"))
    with path.with_suffix(".lines").open("ab") as lines:
        lines.write(b'{"id": "half')
    first.close()

    second = await opened(path)
    assert len(second.entries) == 51
    assert second.entries["3"].status == "done"
    assert second.committed == {str(number) for number in range(50)}
    await second.finish([])
    assert path.with_suffix(".lines").exists()  # files are whole that have no name yet


@pytest.mark.asyncio
async def test_a_step_that_is_run_from_its_beginning_forgets_the_list(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    first = await opened(path)
    await first.add(Entry("a"))
    await first.finish(["a"])
    for is_resumed, entries in ((True, {"a": Entry("a")}), (False, {})):
        manifest = await opened(path, is_resumed=is_resumed)
        assert manifest.entries == entries
        manifest.close()
    assert not path.exists()


@pytest.mark.asyncio
async def test_a_list_of_aetherflow_0_is_read_and_another_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('[{"id": "a", "file": "/a", "remote_path": "/in/a"}, {"id": "b", "skipped": true}]')
    assert [one.id for one in read_manifest(path)] == ["a", "b"]
    path.write_text("{}")
    with pytest.raises(StepError, match="is no manifest") as failed:
        await opened(path)
    assert failed.value.code == "AF316"


@pytest.mark.asyncio
async def test_a_full_disk_fails_all_that_wait(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    manifest = await opened(path)
    manifest.close()
    manifest._lines = open("/dev/full", "wb", buffering=0)  # noqa: ASYNC230, PTH123, SIM115 - never blocks
    failures: list[str] = []

    async def add(number: int) -> None:
        try:
            await manifest.add(Entry(str(number)))
        except StepError as error:
            failures.append(error.message)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(add, number)
    assert len(failures) == 5
    assert "No space left on device" in failures[0]
    manifest.close()


def test_an_entry_is_what_the_outputs_say() -> None:
    assert msgspec.to_builtins(Entry("a"))["status"] == "done"
    assert Entry("a", status="same").has_arrived
    assert not Entry("a", status="whole").has_arrived


@pytest.mark.asyncio
async def test_a_line_that_was_cut_by_a_full_disk_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.json"
    first = await opened(path)
    whole = Manifest._write

    def cut(self: Manifest, data: bytes) -> None:
        whole(self, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Manifest, "_write", cut)
    with pytest.raises(StepError, match="No space left"):
        await first.add(Entry("a", status="done", size=1))
    monkeypatch.setattr(Manifest, "_write", whole)
    await first.add(Entry("b", status="done", size=2))
    first.close()

    second = await opened(path)
    assert {one.id: one.size for one in second.entries.values()} == {"a": 1, "b": 2}
    second.close()
