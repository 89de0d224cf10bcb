"""The names that files get where they arrive: safe, by a template, each once."""

from __future__ import annotations

import pytest

from aetherflow.errors import StepError
from aetherflow.transfer.target_names import (
    Named,
    check_template,
    last_part,
    target_names,
    temporary_name,
    with_name,
)

TIME = 1_769_896_800.0  # 2026-01-31T22:00:00Z


def names(template: str, *paths: str, ignores_case: bool = False, mtime: float | None = TIME) -> list[str]:
    return target_names(
        [Named(f"/in/{one}", one, mtime) for one in paths], template, ignores_case=ignores_case
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", "sub/a.tar.gz"),
        ("{name}", "sub/a.tar.gz"),
        ("{stem}-{index}{suffix}", "sub/a.tar-1.gz"),
        ("{index:4}.bin", "sub/0001.bin"),
        ("{mtime}_{name}", "sub/20260131T220000_a.tar.gz"),
        ("{mtime:%Y/%m}/{name}", "sub/2026/01/a.tar.gz"),
    ],
)
def test_a_template_names_the_last_part(template: str, expected: str) -> None:
    check_template(template)
    assert names(template, "sub/a.tar.gz") == [expected]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nmae}", "no placeholder: write {name}"),
        ("{}", "no placeholder"),
        ("{mtime:%Q}", "%Q is no directive"),
        ("{mtime:x}", "has no directive"),
        ("{index:x}", "number of digits"),
        ("{name:3}", "only index and mtime take a format"),
        ("a{b", "a brace has no meaning"),
        ("a}b", "a brace has no meaning"),
    ],
)
def test_a_wrong_template_says_what_is_wrong(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_template(template)


@pytest.mark.parametrize(
    "path",
    [
        *("../a", "a/../../b", "/etc/passwd", "a//b", "", ".", "a/.", "a/"),
        *("C:a", "c:\\a", "a\\b", "\\\\host\\share", "a\nb", "a\0", "a\x7f", "a\x9b", "a\udc80"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(StepError, match="is no safe name") as refused:
        names("", path)
    assert refused.value.code == "AF313"


def test_a_template_leads_nowhere_else() -> None:
    with pytest.raises(StepError, match="is no safe name"):
        names("../{name}", "a")


def test_a_time_that_is_unknown_is_an_error() -> None:
    with pytest.raises(StepError, match="unknown when /in/a was changed"):
        names("{mtime}", "a", mtime=None)


@pytest.mark.parametrize(
    ("paths", "ignores_case"),
    [
        (("a", "a"), False),
        (("A", "a"), True),
        (("d/a", "D/A"), True),
        (("a", "a/b"), False),
        (("a/b", "a"), False),
    ],
)
def test_two_files_with_one_name_are_refused_before_anything_moves(
    paths: tuple[str, ...],
    ignores_case: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    with pytest.raises(StepError, match="would both arrive as") as refused:
        names("", *paths, ignores_case=ignores_case)
    assert refused.value.code == "AF314"


def test_names_that_differ_by_case_are_two_where_case_matters() -> None:
    assert names("", "A", "a") == ["A", "a"]


def test_ten_thousand_names_are_compared_in_little_time() -> None:
    assert len(names("", *(f"d{i % 50}/{i}" for i in range(10_000)))) == 10_000


def test_a_temporary_name_is_hidden_short_and_the_same_for_the_same_version() -> None:
    one = temporary_name("a" * 200, "run/job/step", "/in/a", 5, 1.0)
    assert one == temporary_name("a" * 200, "run/job/step", "/in/a", 5, 1.0)
    assert one != temporary_name("a" * 200, "run/job/step", "/in/a", 6, 1.0)
    assert one.startswith(".aaa")
    assert one.endswith(".part")
    assert len(one) < 64


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/in/a", "/in/b"), ("a", "b"), (r"\\host\share\a", r"\\host\share\b"), ("SHARE:/a", "SHARE:/b")],
)
def test_a_path_of_any_form_gets_another_name(path: str, expected: str) -> None:
    assert with_name(path, "b") == expected
    assert last_part(path) == "a"
