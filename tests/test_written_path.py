"""One rule for paths: relative to the file that has them, `~` is a home folder, `$NAME` is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aetherflow.errors import ConfigError
from aetherflow.written_path import folder_of, setting_path, unexpanded, written_path

FOLDER = Path("/srv/flows")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("state.sqlite", "/srv/flows/state.sqlite"),
        ("../state/x", "/srv/flows/../state/x"),
        ("/data/x", "/data/x"),
        ("~", "/home/ann"),
        ("~/x", "/home/ann/x"),
        ("~//x", "/home/ann/x"),
        ("~root/x", os.path.expanduser("~root/x")),  # noqa: PTH111 - what the system says
        ("./~/x", "/srv/flows/~/x"),
        ("a~b", "/srv/flows/a~b"),
        ("costs 5$", "/srv/flows/costs 5$"),
    ],
)
def test_a_path_in_a_file_starts_at_the_folder_of_the_file(text: str, path: str) -> None:
    assert str(written_path(text, FOLDER, home="/home/ann")) == path


@pytest.mark.parametrize("text", ["$HOME/x", "${HOME}/x", "a/$USER", "${X:-y}/b", "log-${DAY}.txt"])
def test_a_shell_variable_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no shell replaces") as caught:
        written_path(text, FOLDER)
    assert caught.value.code == "AF141"
    assert "{{env." in caught.value.hint


def test_the_home_of_an_unknown_user_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no user 'nobody-has-this-name'") as caught:
        written_path("~nobody-has-this-name/x", FOLDER)
    assert caught.value.code == "AF140"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$HOME", "/home/ann"),
        ("${HOME}/x", "/home/ann/x"),
        ("$HOME/x", "/home/ann/x"),
        ("~/x", "/home/ann/x"),
    ],
)
def test_a_setting_may_begin_with_home(text: str, path: str) -> None:
    assert str(setting_path(text, "/home/ann")) == path


@pytest.mark.parametrize("text", ["$HOMES/x", "x/$HOME", "$PWD/x"])
def test_no_other_variable_is_replaced_in_a_setting(text: str) -> None:
    with pytest.raises(ConfigError):
        setting_path(text, "/home/ann")


def test_a_setting_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert setting_path("a/b") == tmp_path / "a" / "b"
    assert folder_of(Path("a/flow.yaml")) == tmp_path / "a"
    assert folder_of(Path("/srv/flow.yaml")) == Path("/srv")


def test_a_flow_from_a_pipe_has_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for pipe in ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"):
        assert folder_of(Path(pipe)) == tmp_path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("~", "~"),
        ("~/x", "~"),
        ("~ann/x", "~ann"),
        ("$HOME/x", "$HOME"),
        ("${OUT}", "${OUT}"),
        ("./~/x", ""),
        ("~$report.xlsx", ""),
        ("~backup", ""),
        ("a/~/b", ""),
        ("$5.txt", ""),
    ],
)
def test_what_would_make_a_folder_of_that_name(text: str, found: str) -> None:
    assert unexpanded(text) == found
