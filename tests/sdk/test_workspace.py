"""Where files live, what a step may name, and files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.files import atomic_write
from aetherflow.sdk.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work", "flow", "run-1")


def test_the_folders_of_a_job_are_where_the_layout_says_and_made_when_asked_for(tmp_path: Path) -> None:
    layout = {"artifacts": "out/files", "scratch": "tmp", "extra": "kept"}
    workspace = Workspace(tmp_path, "flow", "run-1", layout)
    base = tmp_path / "flow" / "job[2]" / "run-1"
    assert workspace.job_directory("job[2]") == base
    assert not (tmp_path / "flow").exists()
    assert workspace.directory("job[2]", "artifacts") == base / "out" / "files"
    assert workspace.directory("job[2]", "scratch") == base / "tmp"
    assert workspace.directory("job[2]", "extra") == base / "kept"
    assert workspace.directory("job[2]", "manifests") == base / "manifests"
    assert sorted(path.name for path in base.iterdir()) == ["kept", "manifests", "out", "tmp"]
    assert workspace.directory("job[2]", "scratch").is_dir()


@pytest.mark.parametrize(
    ("given", "below"),
    [
        ("a.csv", "a.csv"),
        ("deep/er/a.csv", "deep/er/a.csv"),
        ("./x/../a.csv", "a.csv"),
        (".", "."),
        ("", "."),
        ("..a", "..a"),
    ],
)
def test_a_relative_path_is_below_the_artifacts(workspace: Workspace, given: str, below: str) -> None:
    assert workspace.resolve("job", given) == workspace.directory("job", "artifacts") / below


def test_an_absolute_path_stays_as_it_is(workspace: Workspace) -> None:
    assert workspace.resolve("job", "/data/in.csv") == Path("/data/in.csv")
    assert not workspace.root.exists()


@pytest.mark.parametrize("given", ["..", "../scratch/x", "a/../../x", "x/../../../../../etc/passwd"])
def test_a_relative_path_may_not_leave_by_dots(workspace: Workspace, given: str) -> None:
    with pytest.raises(StepError) as raised:
        workspace.resolve("job", given)
    base = workspace.directory("job", "artifacts")
    assert raised.value.code == "AF720"
    assert raised.value.message == f"the path {given!r} leaves the job's artifacts folder {base}"


@pytest.mark.parametrize("given", ["link", "link/file", "link/deeper/file", "sub/link/file"])
def test_a_relative_path_may_not_leave_by_a_symbolic_link(
    workspace: Workspace, tmp_path: Path, given: str
) -> None:
    base = workspace.directory("job", "artifacts")
    (tmp_path / "outside").mkdir()
    (base / "sub").mkdir()
    for link in (base / "link", base / "sub" / "link"):
        link.symlink_to(tmp_path / "outside")
    with pytest.raises(StepError, match="leaves the job's artifacts folder"):
        workspace.resolve("job", given)


def test_a_link_that_stays_inside_may_be_followed(workspace: Workspace) -> None:
    base = workspace.directory("job", "artifacts")
    (base / "real").mkdir()
    (base / "link").symlink_to("real")
    assert workspace.resolve("job", "link/a.csv") == base / "link" / "a.csv"


def test_a_workspace_that_is_itself_reached_by_a_link_works(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to("real")
    workspace = Workspace(tmp_path / "linked", "flow", "run-1")
    assert workspace.resolve("job", "a.csv").parent == workspace.directory("job", "artifacts")


def test_the_folders_of_the_run_are_removed_and_those_of_other_runs_stay(workspace: Workspace) -> None:
    for job in ("a", "b[0]"):
        (workspace.directory(job, "artifacts") / "x").write_text("x")
    other = Workspace(workspace.root, "flow", "run-2").directory("a", "artifacts")
    assert workspace.remove(["a", "b[0]", "never-began"]) == []
    assert not workspace.job_directory("a").exists()
    assert not workspace.job_directory("b[0]").exists()
    assert other.is_dir()


def test_what_cannot_be_removed_is_reported_and_the_others_are_removed(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("keep")
    directory = workspace.job_directory("a")
    directory.parent.mkdir(parents=True)
    directory.symlink_to(tmp_path / "precious")
    workspace.directory("b", "artifacts")
    problems = workspace.remove(["a", "b"])
    assert problems == [f"cannot delete {directory}: it is a symbolic link"]
    assert (tmp_path / "precious" / "file").read_text() == "keep"
    assert not workspace.job_directory("b").exists()


# ---- files that appear whole


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files in a folder."""
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.csv"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "new"
    assert leftovers(path.parent) == []


def test_the_old_content_stays_when_the_block_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as temporary, temporary.open("w") as file:
        file.writelines(["half", "\ud800"])
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_block_that_writes_nothing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert path.read_text() == "old"


def test_a_file_does_not_replace_a_folder_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, ".hidden"])
def test_any_name_that_a_file_may_have_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("x")
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - the names as the system has them


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic_write(path) as one:
        with atomic_write(path) as other:
            assert one != other
            one.write_text("one")
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"
    assert leftovers(tmp_path) == []


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, size, stop = tmp_path / "a", 20_000, threading.Event()
    path.write_bytes(b"0" * size)
    seen: set[tuple[int, int]] = set()

    def read() -> None:
        while not stop.is_set():
            data = path.read_bytes()
            seen.add((len(data), data.count(data[:1])))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 25):
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            for _ in range(10):
                file.write(b"%d" % (number % 10) * (size // 10))
    stop.set()
    reader.join()
    assert seen == {(size, size)}


def test_a_lenient_workspace_lets_a_relative_path_leave_and_knows_that_it_does(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "flow", "run-1", strict=False)
    artifacts = workspace.directory("a", "artifacts")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (artifacts / "link").symlink_to(elsewhere)
    assert workspace.resolve("a", "../../up.txt") == artifacts.parents[1] / "up.txt"
    for text, outside in {
        "../../up.txt": True,
        "link/in.txt": True,
        "in.txt": False,
        "b/../in.txt": False,
    }.items():
        assert workspace.is_outside("a", workspace.resolve("a", text)) is outside, text
    strict = Workspace(tmp_path, "flow", "run-1")
    with pytest.raises(StepError, match="leaves the job's artifacts folder"):
        strict.resolve("a", "link/in.txt")


def test_an_error_of_the_system_that_names_no_file_is_given_its_name(tmp_path: Path) -> None:
    path = tmp_path / "sales.tsv"

    def write(error: OSError) -> None:
        with atomic_write(path) as temporary:
            temporary.touch()
            raise error

    with pytest.raises(OSError, match=r"No space left on device: '.*sales\.tsv'"):
        write(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(PermissionError, match="denied: 'another'"):
        write(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "another"))
