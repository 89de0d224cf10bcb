"""Files and folders get their mode when they are made, whatever the umask; what exists keeps its own."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aetherflow.file_access import FileAccess, make_file, make_folder, open_file
from aetherflow.sdk.files import atomic_write, write_whole


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0, 0o022, 0o077, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize(("access", "file", "folder"), [("private", 0o600, 0o700), ("group", 0o660, 0o2770)])
def test_the_mode_is_that_of_the_access(
    tmp_path: Path, umask: int, access: FileAccess, file: int, folder: int
) -> None:
    assert make_folder(tmp_path / "a" / "b", access)
    assert not make_folder(tmp_path / "a" / "b", access)
    with open_file(tmp_path / "a" / "opened", "w", access) as opened:
        opened.write("x")
    make_file(tmp_path / "a" / "made", access)
    write_whole(tmp_path / "a" / "c" / "whole", b"x", access)
    with atomic_write(tmp_path / "a" / "atomic", access=access) as part:
        part.touch()
    found = {path.name: mode(path) for path in (tmp_path / "a").rglob("*")}
    assert found == dict.fromkeys(["opened", "made", "whole", "atomic"], file) | dict.fromkeys("bc", folder)
    assert os.umask(umask) == umask  # nobody changed it


def test_without_an_access_the_umask_says_it(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        make_folder(tmp_path / "a", None)
        open_file(tmp_path / "a" / "b", "w", None).close()
        with atomic_write(tmp_path / "a" / "c") as part:
            part.touch()
    finally:
        os.umask(before)
    assert [mode(tmp_path / path) for path in ("a", "a/b", "a/c")] == [0o750, 0o640, 0o640]


@pytest.mark.parametrize("access", [None, "private", "group"])
def test_what_exists_keeps_its_mode_and_its_content(tmp_path: Path, access: FileAccess | None) -> None:
    folder, file = tmp_path / "a", tmp_path / "a" / "b"
    folder.mkdir()
    folder.chmod(0o755)
    file.write_text("old ")
    file.chmod(0o640)
    make_folder(folder, access)
    with open_file(file, "a", access) as opened:
        opened.write("new")
    with atomic_write(file, access=access) as part:
        part.write_text(file.read_text() + "er")
    assert (mode(folder), mode(file), file.read_text()) == (0o755, 0o640, "old newer")
    with pytest.raises(FileExistsError):
        open_file(file, "x", access)


def test_a_link_is_followed_by_an_atomic_write_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("old")
    (tmp_path / "link").symlink_to("real/file")
    with atomic_write(tmp_path / "link", access="private") as part:
        part.write_text("new")
        assert part.parent == tmp_path / "real"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "new"


def test_a_folder_where_there_can_be_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere/a")):
        with pytest.raises(OSError, match=path.parts[1]):
            make_folder(path, "private")


def test_threads_make_one_folder_and_none_fails(tmp_path: Path) -> None:
    made: list[bool] = []
    begin = threading.Barrier(8)

    def make() -> None:
        begin.wait()
        made.extend(make_folder(tmp_path / f"{number}" / "a" / "b", "private") for number in range(50))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), sum(made)) == (400, 50)
