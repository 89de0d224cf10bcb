from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.bundle.path_rules import FileNames, unsafe_because
from aetherflow.errors import BundleError
from tests.bundle.bundle_parts import Place

E_ACUTE = "\u00e9"
DECOMPOSED = unicodedata.normalize("NFD", E_ACUTE)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "..", "../x", "a/../x", "a/..", ".", "./a", "a//b", "a/", "//a", "a/./b"),
        *("C:/x", "c:x", "a\\b", "..\\x", "a\nb", "a\0b", "a\x7f", "a ", "a.", "a /b", "b./c"),
        *("con", "CON", "aux.txt", "a/NUL", "com1", "lpt9.yaml", "COM¹", "conin$"),
        "x" * 256,
        "/".join(["x" * 200] * 6),
        "\udcff",
    ],
)
def test_unsafe_names_are_refused(path: str) -> None:
    assert unsafe_because(path)
    with pytest.raises(BundleError) as caught:
        FileNames().add(path)
    assert caught.value.code == "AF853"


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b/c.yaml",
        ".env",
        "..a",
        "a..b",
        "...a",
        "console",
        "com",
        "com10",
        "ä ö/ü",
        "at 12:30",
        "x" * 255,
    ],
)
def test_plain_names_are_taken(path: str) -> None:
    FileNames().add(path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "a"),
        ("a", "A"),
        ("dir/a", "DIR/b"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("A", "a/b"),
        (E_ACUTE, DECOMPOSED),
        (f"{E_ACUTE}/a", f"{DECOMPOSED}/b"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_refused(one: str, other: str) -> None:
    names = FileNames()
    names.add(one)

    with pytest.raises(BundleError, match="which some file systems take for one name"):
        names.add(other)


def test_files_may_share_folders() -> None:
    names = FileNames()
    for path in ("a/b", "a/c", "a/d/e", "a/d/f", "b"):
        names.add(path)


@given(st.text(alphabet="./\\:aA\0 \u00e9", max_size=12))
def test_what_is_taken_stays_below_its_folder(path: str) -> None:
    if not unsafe_because(path):
        joined = os.path.normpath(os.path.join("/root/bundle", path))  # noqa: PTH118 - as a system call would see it
        assert joined == f"/root/bundle/{path}"
        assert Path(path).parts == tuple(path.split("/"))


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["con", "back\\slash", "line\nfeed", "dot."])
async def test_such_a_file_in_a_real_source_is_refused(place: Place, name: str) -> None:
    place.write(name, "x")

    with pytest.raises(BundleError) as caught:
        await place.sync()

    assert caught.value.code == "AF853"
    assert place.active == ""


@pytest.mark.asyncio
async def test_a_name_that_is_no_text_is_refused(place: Place) -> None:
    place.write(os.fsdecode(b"\xff\xfe"), "x")

    with pytest.raises(BundleError, match="UTF-8"):
        await place.sync()


@pytest.mark.asyncio
@pytest.mark.parametrize("target", ["/etc/passwd", "flows/hello.yaml", "nowhere", "."])
async def test_a_link_in_a_real_source_is_refused(place: Place, target: str) -> None:
    (place.source / "link").symlink_to(target)

    with pytest.raises(BundleError, match="link is a symbolic link") as caught:
        await place.sync()

    assert caught.value.code == "AF855"


@pytest.mark.asyncio
async def test_a_pipe_in_a_source_is_refused_and_not_opened(place: Place) -> None:
    os.mkfifo(place.source / "pipe")

    with pytest.raises(BundleError, match="neither a file nor a folder"):
        await place.sync()


@pytest.mark.asyncio
async def test_what_tools_keep_beside_files_is_left_out(place: Place) -> None:
    for name in (".git/config", "flows/__pycache__/x.pyc", ".svn/entries", ".hg/store"):
        place.write(name, "x")
    (place.source / ".git" / "link").symlink_to("/etc/passwd")
    place.write(".env", "KEPT=1")

    await place.sync()

    assert sorted(place.tree()) == [".env", "flows/hello.yaml", "flows/sub/deep.yaml", "run.sh"]


@pytest.mark.asyncio
async def test_the_folder_itself_may_be_behind_a_link(place: Place) -> None:
    real = place.source.rename(place.folder / "real")
    place.source.symlink_to(real)

    await place.sync()

    assert len(place.tree()) == 3
