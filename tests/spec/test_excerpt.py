"""The line of a file with a caret: widths, long lines, secrets, control characters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aetherflow.errors import Diagnostic, InvalidInput
from aetherflow.redaction import Redactor
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.spec.excerpt import MOST_SHOWN, WIDTH, excerpt, with_excerpts
from aetherflow.spec.load import load_flow


def shown(text: str, column: int, mask: Redactor | None = None) -> str:
    return excerpt([text], 1, column, (mask or Redactor()).text)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("when: x", "x", "  1 | when: x\n    |       ^"),
        ("\ta: 1", "\t", "  1 |     a: 1\n    | ^"),
        ("a:\tb", "b", "  1 | a:    b\n    |       ^"),
        ("日本語: x", "x", "  1 | 日本語: x\n    |         ^"),
        ("e\u0301: x", "x", "  1 | e\u0301: x\n    |    ^"),
        ("a\x1b[31m: x", "x", "  1 | a\\x1b[31m: x\n    |            ^"),
        ("a\u202eb: x", "x", "  1 | a\\u202eb: x\n    |           ^"),
        ("a: x   ", "x", "  1 | a: x\n    |    ^"),
    ],
)
def test_the_caret_is_below_its_character(text: str, at: str, expected: str) -> None:
    assert shown(text, text.index(at) + 1) == expected


def test_the_caret_may_be_behind_the_line() -> None:
    assert shown("a: b", 5) == "  1 | a: b\n    |     ^"


@pytest.mark.parametrize(("text", "column"), [("", 1), ("   ", 1), ("a: b", 6), ("a: b", 0)])
def test_what_is_not_there_has_no_excerpt(text: str, column: int) -> None:
    assert shown(text, column) == ""
    assert excerpt([text], 2, 1, str) == ""


@pytest.mark.parametrize("letter", ["x", "日", "\x01"])
@pytest.mark.parametrize("before", [0, 30, 90, 3_000])
@pytest.mark.parametrize("after", [0, 30, 90, 3_000])
def test_a_long_line_is_shortened_around_the_column(before: int, after: int, letter: str) -> None:
    line, caret = shown(letter * before + "!" + letter * after, before + 1).splitlines()

    assert columns(line.partition("| ")[2]) <= WIDTH
    assert columns(line.partition("!")[0]) == caret.index("^")


def columns(text: str) -> int:
    return len(text) + text.count("日")


VAULTED = "a-secret-of-the-vault"


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("password: hunter2 # why", "hunter2", ("password: ***", "***")),
        (f"env: {{A: {VAULTED}, B: {{{{x}}}}}}", "{{x", ("env: {A: ***, B: {{x}}}", "{{x")),
        (f"a: {VAULTED}", "of-the", ("a: ***", "***")),
        (f"[{VAULTED}, mark, {VAULTED}]", "mark", ("[***, mark, ***]", "mark")),
        (
            "in: {command: [mysql, --password, hunter2], x: 1}",
            "x:",
            ("in: {command: [mysql, --password, ***", "x:"),
        ),
        ('["curl", "-u", "ann:hunter2", "mark"]', "mark", ('["curl", "-u", "ann:***", "mark"]', "mark")),
        ("[mysql, '-phunter2', mark]", "mark", ("[mysql, '-p***', mark]", "mark")),
    ],
)
def test_secrets_are_masked_and_the_caret_stays_at_its_word(
    text: str, at: str, expected: tuple[str, str]
) -> None:
    line, caret = shown(text, text.index(at) + 1, Redactor([VAULTED])).splitlines()

    assert line.startswith(f"  1 | {expected[0]}")
    assert caret.index("^") == line.index(expected[1])


def test_a_line_of_a_secret_text_is_not_shown() -> None:
    lines = ["a:", "  private_key: |", "    line one", "", "    line two", "  other: |", "    line three"]

    assert excerpt(lines, 5, 5, str) == ""
    assert excerpt(lines, 7, 5, str) != ""


def test_an_item_that_is_the_secret_of_a_command_is_not_shown() -> None:
    lines = ["command:", "  - mysql", "  - --password", '  - "hunter2"', "  - --table", "  - orders"]

    assert excerpt(lines, 4, 5, str) == ""
    assert excerpt(lines, 6, 5, str) != ""


def test_only_diagnostics_of_the_file_and_only_the_first_many_have_one() -> None:
    many = [Diagnostic("X", "m", "f"), *[Diagnostic("X", str(n), "g") for n in range(MOST_SHOWN + 5)]]

    found = with_excerpts(many, "g", b"\xef\xbb\xbfa: 1\n", str)

    assert [one.excerpt for one in found[:2]] == ["", "  1 | a: 1\n    | ^"]
    assert sum(bool(one.excerpt) for one in found) == MOST_SHOWN


def test_lines_are_counted_as_the_parser_counts_them(tmp_path: Path) -> None:
    flow = tmp_path / "f.yaml"
    flow.write_bytes(b"version: 1\r\nflow: {id: f}\r\njobs: 7\r\n")

    with pytest.raises(InvalidInput) as raised:
        load_flow(flow)

    assert [one.excerpt for one in raised.value.diagnostics] == ["  3 | jobs: 7\n    | ^"]


FLOW = """\
version: 1
flow: {id: f}
jobs:
  - id: a
    steps:
      - {id: s, type: external.process, inputs: {command: [echo, "a-secret-of-the-vault", "${X}"]}}
resources:
  db: {kind: db, driver: sqlite3, config: {path: x.db, password: "{{env.DB_PASSWORD}}"}}
"""


def test_a_secret_that_only_the_flow_knows_is_masked(tmp_path: Path) -> None:
    flow = tmp_path / "f.yaml"
    flow.write_text(FLOW, encoding="utf-8")

    checked = load_checked_flow(flow, {**os.environ, "DB_PASSWORD": VAULTED})

    texts = [one.excerpt for one in checked.diagnostics if one.line == 6]
    assert texts
    assert all("***" in text and VAULTED not in text for text in texts)
