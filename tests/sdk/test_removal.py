"""What is deleted: a folder that AetherFlow made, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.sdk.removal import NotOursError, is_own, make_own, note_of, remove_own, remove_tree
from aetherflow.sdk.workspace import Workspace


def filled(folder: Path) -> Path:
    """Make a folder with a precious file, by somebody else."""
    folder.mkdir(parents=True)
    (folder / "precious").write_text("precious")
    return folder


def test_a_folder_that_was_made_is_deleted_with_its_note(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "own"
    make_own(folder, "private")
    (folder / "x").write_text("x")
    assert is_own(folder)
    remove_own(folder)
    assert list((tmp_path / "deep").iterdir()) == []
    remove_own(folder)  # of nothing: nothing happens


def test_a_folder_of_somebody_else_stays(tmp_path: Path) -> None:
    folder = filled(tmp_path / "other")
    make_own(folder, "private")
    with pytest.raises(NotOursError, match="did not make it"):
        remove_own(folder)
    assert (folder / "precious").read_text() == "precious"
    assert not note_of(folder).exists()


def test_an_empty_folder_has_nothing_to_lose(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make_own(tmp_path / "empty", "private")
    remove_own(tmp_path / "empty")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed_even_with_a_note(tmp_path: Path) -> None:
    folder = filled(tmp_path / "other")
    make_own(tmp_path / "own", "private")
    (tmp_path / "own").rmdir()
    (tmp_path / "own").symlink_to(folder)
    assert not is_own(tmp_path / "own")
    with pytest.raises(NotOursError, match="symbolic link"):
        remove_own(tmp_path / "own")
    assert (folder / "precious").read_text() == "precious"


def test_links_inside_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    precious = filled(tmp_path / "other")
    make_own(tmp_path / "own", "private")
    (tmp_path / "own" / "link").symlink_to(precious)
    (tmp_path / "own" / "hard").hardlink_to(precious / "precious")
    remove_own(tmp_path / "own")
    assert (precious / "precious").read_text() == "precious"


@pytest.mark.parametrize("at", ["own", "own/deep/mount"])
def test_nothing_is_deleted_while_something_is_mounted_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    folder = filled(tmp_path / "with space" / "own")
    point = str(tmp_path / "with space" / at).replace(" ", "\\040")
    (tmp_path / "mounts").write_text(
        "25 1 0:22 / / rw - ext4 /dev/x rw\n" + f"26 25 0:23 / {point} rw - nfs server:/ rw\n"
    )
    monkeypatch.setattr("aetherflow.mounts._MOUNTS", tmp_path / "mounts")
    with pytest.raises(OSError, match=r"something is mounted at .*with space/own"):
        remove_tree(folder)
    assert (folder / "precious").read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a b\n"])
def test_a_folder_of_any_name_can_be_noted(tmp_path: Path, name: str) -> None:
    make_own(tmp_path / name, "private")
    (tmp_path / name / "x").write_text("x")
    remove_own(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# ---- the folders of a run


def test_a_job_folder_that_was_there_before_is_reported_and_stays(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work", "flow", "run-1")
    before = filled(workspace.job_directory("a"))
    workspace.directory("a", "artifacts")
    reason = "AetherFlow did not make it, or an older version did"
    assert workspace.remove(["a"]) == [f"cannot delete {before}: {reason}"]
    assert (before / "precious").read_text() == "precious"


@pytest.mark.parametrize("link", ["flow", "flow/a"])
def test_a_folder_above_that_leads_elsewhere_is_not_followed(tmp_path: Path, link: str) -> None:
    workspace = Workspace(tmp_path / "work", "flow", "run-1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = workspace.root / link
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    (workspace.directory("a", "artifacts") / "x").write_text("x")
    folder = workspace.job_directory("a")
    assert workspace.remove(["a"]) == [f"cannot delete {folder}: {folder.parent} leads out of the workspace"]
    assert (folder / "artifacts" / "x").exists()


def test_a_workspace_that_is_reached_by_a_link_is_cleaned(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    workspace = Workspace(tmp_path / "linked", "flow", "run-1")
    workspace.directory("a", "scratch")
    assert workspace.remove(["a"]) == []
    assert list((tmp_path / "real" / "flow" / "a").iterdir()) == []
