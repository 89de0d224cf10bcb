"""What happens to the sources of a transfer: only once its success is stored, each once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aetherflow import AetherFlowError, StepError
from aetherflow.testing import FlowRun, run_flow
from aetherflow.transfer import after_step
from aetherflow.transfer.local_files import LocalFiles

FLOW = """
version: 1
flow: {id: f}
resources:
  box: {kind: file, driver: local, config: {path: box}}
jobs:
  - id: a
    steps:
      - id: s
        type: %s
        inputs: {resource: box, %s}
"""


def write(folder: Path, **content: str) -> Path:
    for name, text in content.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


async def download(place: Path, inputs: str) -> FlowRun:
    more = f"remote_dir: in, recursive: true, dest_dir: got, {inputs}"
    return await run_flow(FLOW % ("file_download_files", more), place, run_id="r")


@pytest.mark.asyncio
async def test_a_downloaded_file_is_deleted_or_moved_and_others_stay(tmp_path: Path) -> None:
    box = write(tmp_path / "box", in__a_csv="a", in__deep__b_csv="b", in__n_txt="n")
    run = await download(tmp_path, "pattern: '*.csv', after: move, move_to: archive")
    assert run.status == "SUCCESS"
    assert content(box) == {"in/n.txt": "n", "archive/a.csv": "a", "archive/deep/b.csv": "b"}
    assert run.step("a.s.after").outputs["count"] == 2

    write(box, in__a_csv="second")
    await run_flow(
        FLOW % ("file_download_files", "remote_dir: in, dest_dir: got, after: delete"), tmp_path, run_id="q"
    )
    assert content(box) == {"archive/a.csv": "a", "archive/deep/b.csv": "b"}


@pytest.mark.asyncio
async def test_an_archive_replaces_nothing_and_has_no_file_twice(tmp_path: Path) -> None:
    box = write(tmp_path / "box", in__a_csv="new", archive__a_csv="old!", in__b_csv="b", archive__b_csv="b")
    for folder in ("in", "archive"):
        os.utime(box / folder / "b.csv", (1, 1))
    await download(tmp_path, "after: move, move_to: archive")
    assert content(box) == {"archive/a.csv": "old!", "archive/a.1.csv": "new", "archive/b.csv": "b"}


@pytest.mark.asyncio
@pytest.mark.parametrize("move_to", ["./in", "link"])
async def test_a_file_is_not_lost_when_it_is_moved_to_where_it_is(tmp_path: Path, move_to: str) -> None:
    box = write(tmp_path / "box", in__a_csv="a")
    (box / "link").symlink_to(box / "in")
    run = await download(tmp_path, f"after: move, move_to: '{move_to}'")
    error = run.step("a.s.after").error
    assert error is not None
    assert error.code == "AF315"
    assert "that is the folder where it is" in error.message
    assert [one.name for one in (box / "in").iterdir()] == ["a.csv"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("remote_dir: in, dest_dir: got, after: move, move_to: in/", "move_to is the folder that the files"),
        ("remote_dir: in, recursive: true, dest_dir: got, after: move, move_to: in/done", "move_to is below"),
    ],
)
async def test_a_folder_that_keeps_its_files_is_no_place_to_move_to(
    tmp_path: Path, inputs: str, message: str
) -> None:
    write(tmp_path / "box", in__a_csv="a")
    with pytest.raises(AetherFlowError, match=message):
        await run_flow(FLOW % ("file_download_files", inputs), tmp_path, run_id="r")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        ("file_download_files", "remote_dir: in, dest_dir: BOX/in"),
        ("file_upload_files", "remote_dir: in, src_dir: BOX/in"),
    ],
)
async def test_a_file_is_not_moved_onto_itself(tmp_path: Path, step: str, inputs: str) -> None:
    box = write(tmp_path / "box", in__a_csv="a")
    more = f"{inputs.replace('BOX', str(box))}, preserve_mtime: true, after: delete"
    run = await run_flow(FLOW % (step, more), tmp_path, run_id="r")
    error = run.step("a.s").error
    assert error is not None
    assert error.code == "AF312"
    assert content(box) == {"in/a.csv": "a"}


@pytest.mark.asyncio
async def test_the_done_file_of_a_file_goes_with_it(tmp_path: Path) -> None:
    box = write(tmp_path / "box", in__a_csv="a", in__a_csv_done="", in__b_csv="b")
    await download(tmp_path, "done_file: '{name}.done', after: delete")
    assert content(box) == {"in/b.csv": "b"}


@pytest.mark.asyncio
async def test_uploaded_files_are_moved_away(tmp_path: Path) -> None:
    out = write(tmp_path / "out", a_csv="a", b_csv="b")
    more = f"remote_dir: in, src_dir: '{out}', after: move, move_to: '{tmp_path / 'sent'}'"
    run = await run_flow(FLOW % ("file_upload_files", more), write(tmp_path, box__x="x"), run_id="r")
    assert run.status == "SUCCESS"
    assert content(tmp_path / "sent") == {"a.csv": "a", "b.csv": "b"}
    assert content(out) == {}


@pytest.mark.asyncio
async def test_a_failed_archive_is_repeated_alone_and_a_changed_source_stays(tmp_path: Path) -> None:
    box = write(tmp_path / "box", in__a_csv="a", in__b_csv="b", archive="a file is in the way")
    run = await download(tmp_path, "after: move, move_to: archive")
    assert run.status == "FAILED"
    assert run.step("a.s").status == "SUCCESS"
    assert sorted(content(box)) == ["archive", "in/a.csv", "in/b.csv"]

    (box / "archive").unlink()
    write(box, in__b_csv="changed since")
    again = await download(tmp_path, "after: move, move_to: archive")
    assert again.status == "SUCCESS"
    assert content(box) == {"archive/a.csv": "a", "in/b.csv": "changed since"}
    assert [one for one in again.logged if "changed since the transfer" in one]


class Flaky(LocalFiles):
    """A place whose connection breaks once, before or after the second rename into the archive."""

    renames = 0
    breaks_after = False

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        Flaky.renames += "archive" in new
        breaks = Flaky.renames == 2
        if not breaks or Flaky.breaks_after:
            await super().rename(path, new, replace=replace)
        if breaks:
            raise StepError("the connection is lost", kind="connection")


@pytest.mark.asyncio
@pytest.mark.parametrize("most_effects", [2, 9])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_second_attempt_moves_the_rest_and_reports_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_effects: int, moment: str
) -> None:
    monkeypatch.setattr(after_step, "MOST_EFFECTS", most_effects)
    monkeypatch.setattr(Flaky, "renames", 0)
    monkeypatch.setattr(Flaky, "breaks_after", moment == "after")
    names = [f"{number:03}.csv" for number in range(3)]
    box = write(tmp_path / "box", x="x")
    (box / "in").mkdir()
    for name in names:
        (box / "in" / name).write_text(name)
    text = FLOW % ("file_download_files", "remote_dir: in, dest_dir: got, after: move, move_to: archive")
    text = text.replace("driver: local", "driver: flaky").rstrip() + "\n        retry: {max_attempts: 2}\n"

    run = await run_flow(text, tmp_path, run_id="r", connectors={"file:flaky": Flaky})

    assert sorted(content(box / "archive")) == names
    outputs = run.step("a.s.after").outputs
    assert (run.status, outputs["count"], outputs["missing"]) == ("SUCCESS", 3, 0)
    assert most_effects < 3 or outputs["moved_to"] == {f"{box}/in/{n}": f"archive/{n}" for n in names}
