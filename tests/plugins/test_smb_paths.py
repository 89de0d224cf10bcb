"""The paths of shares: every form that flows have, and the names that Windows does not allow."""

from __future__ import annotations

import pytest
from aetherflow_smb.share_paths import check_new_name, join, parent, share_path

from aetherflow.errors import StepError

HOME = r"\\nas\home"

FORMS = {
    "dir/f": rf"{HOME}\dir\f",
    "/dir/f": rf"{HOME}\dir\f",
    r"\dir\f": rf"{HOME}\dir\f",
    r"dir\f": rf"{HOME}\dir\f",
    "dir//f/": rf"{HOME}\dir\f",
    "./dir/../f": rf"{HOME}\f",
    "": HOME,
    "/": HOME,
    ".": HOME,
    "DATA:/dir/f": r"\\nas\DATA\dir\f",
    r"DATA:\dir\f": r"\\nas\DATA\dir\f",
    "DATA:/": r"\\nas\DATA",
    "DATA:": r"\\nas\DATA",
    "c$:/dir": r"\\nas\c$\dir",
    "Team Space:/a b/f": r"\\nas\Team Space\a b\f",
    r"X:\dir\f": rf"{HOME}\dir\f",
    "x:/dir/f": rf"{HOME}\dir\f",
    "X:": HOME,
    r"\\other\share\dir\f": r"\\other\share\dir\f",
    r"\\other\share": r"\\other\share",
    "//other/share/dir/f": r"\\other\share\dir\f",
    r"\\other\share\dir/f": r"\\other\share\dir\f",
    "dir/Übersicht ✓.csv": rf"{HOME}\dir\Übersicht ✓.csv",
}


@pytest.mark.parametrize("written", FORMS)
def test_every_form_of_a_path_is_read(written: str) -> None:
    found = share_path(written, host="nas", share="home")

    assert found.unc == FORMS[written]
    assert found.written == written


@pytest.mark.parametrize("written", ["DATA:/f", r"DATA:\f", r"\\nas\DATA\f", "//nas/DATA/f"])
def test_a_path_that_names_a_share_needs_none_of_the_resource(written: str) -> None:
    assert share_path(written, host="nas", share="").unc == r"\\nas\DATA\f"


WRONG = {
    "../f": "'../f' leaves its share",
    "a/../../f": "'a/../../f' leaves its share",
    r"\\other\share\..\..\secret\f": "leaves its share",
    "//": "does not name a host and a share",
    r"\\other": "does not name a host and a share",
    "smb://nas/home/f": "'smb://nas/home/f' is a URL, not a path of a share",
}


@pytest.mark.parametrize("written", WRONG)
def test_a_path_that_leads_nowhere_is_an_error(written: str) -> None:
    with pytest.raises(StepError) as failure:
        share_path(written, host="nas", share="home")

    assert WRONG[written] in failure.value.message
    assert failure.value.code == "AF345"
    assert failure.value.hint


@pytest.mark.parametrize("written", ["dir/f", "/dir/f", r"\f", r"X:\f", ""])
def test_without_a_share_the_error_says_where_to_name_one(written: str) -> None:
    with pytest.raises(StepError, match="names no share, and neither does the resource") as failure:
        share_path(written, host="nas", share="")

    assert failure.value.hint == "add share to its config, or write SHARE:/folder/file"


NOT_ALLOWED = {
    "dir/a:b": "it contains :",
    "a:b.txt": "it contains :",
    "report 10:30.csv": "it contains :",
    "dir/a*.csv": "it contains *",
    "dir?/a": "it contains ?",
    'a"b': 'it contains "',
    "a<b": "it contains <",
    "a|b": "it contains |",
    "a\nb": r"it contains \n",
    "a\x00b": r"it contains \x00",
    "a\udcffb": "its bytes are in an unknown encoding",
}


@pytest.mark.parametrize("written", NOT_ALLOWED)
def test_no_path_has_characters_that_windows_does_not_allow(written: str) -> None:
    with pytest.raises(StepError, match="Windows does not allow the name") as failure:
        share_path(written, host="nas", share="home")

    assert NOT_ALLOWED[written] in failure.value.message
    assert failure.value.code == "AF346"


NOT_NEW = {
    "dir/con": "it is the name of a device",
    "AUX.txt": "it is the name of a device",
    "lpt1/f": "it is the name of a device",
    "dir./f": "it ends with a dot",
    "dir/f ": "it ends with a blank",
    "x" * 256: "it has more than 255 characters",
    "😀" * 128: "it has more than 255 characters",
}


@pytest.mark.parametrize("written", NOT_NEW)
def test_names_that_may_exist_on_samba_are_not_made(written: str) -> None:
    path = share_path(written, host="nas", share="home")

    with pytest.raises(StepError, match="Windows does not allow the name") as failure:
        check_new_name(path)

    assert NOT_NEW[written] in failure.value.message


@pytest.mark.parametrize("written", ["console.txt", "com10", "nullable", "dir/.hidden", "x" * 255, "a.b.c"])
def test_names_that_only_look_odd_are_made(written: str) -> None:
    check_new_name(share_path(written, host="nas", share="home"))


def test_what_is_listed_has_the_form_of_the_folder() -> None:
    assert join("", "f") == "f"
    assert join("dir", "f") == "dir/f"
    assert join("dir/", "f") == "dir/f"
    assert join("DATA:", "f") == "DATA:/f"
    assert join("DATA:/", "sub/f") == "DATA:/sub/f"
    assert join(r"\\nas\home\dir", "f") == r"\\nas\home\dir/f"
    assert join("dir\\", "f") == "dir\\f"


def test_a_local_name_with_a_backslash_does_not_become_a_folder() -> None:
    with pytest.raises(StepError, match="it contains a backslash"):
        join("dir", r"a\b")


@pytest.mark.parametrize("name", ["con.txt", "a.", "sub/aux", "a:b"])
def test_a_local_name_that_windows_does_not_allow_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(StepError, match="Windows does not allow the name"):
        join("dir", name)


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("f", ""),
        ("/f", "/"),
        ("dir/f", "dir"),
        (r"dir\f", "dir"),
        ("DATA:/f", "DATA:/"),
        ("DATA:/dir/f", "DATA:/dir"),
        (r"\\nas\home\f", r"\\nas\home"),
        (r"\\nas\home\dir/f", r"\\nas\home\dir"),
    ],
)
def test_the_folder_of_a_path_has_its_form(path: str, folder: str) -> None:
    assert parent(path) == folder
