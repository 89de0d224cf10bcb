"""Every code is explained, and every explanation is of a code that exists."""

from __future__ import annotations

import re
from pathlib import Path

from aetherflow.manual.error_codes import all_codes, entry_of, hundreds
from aetherflow.manual.pages import FOLDER
from tests.cli.command_line import CommandLine

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"\bAF[0-9]{3}\b")


def codes_in_the_source() -> dict[str, str]:
    """Return every code that stands in the source, with the file it was found in first."""
    found: dict[str, str] = {}
    for folder in ("aetherflow", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for code in CODE.findall(path.read_text(encoding="utf-8")):
                found.setdefault(code, str(path.relative_to(ROOT)))
    return found


def test_every_code_is_explained_in_the_manual() -> None:
    used = codes_in_the_source()

    assert len(used) > 100
    missing = {code: file for code, file in used.items() if code not in all_codes()}
    assert missing == {}, "add a section for each to the page of its hundred in aetherflow/manual/errors"


def test_no_code_is_explained_that_nothing_uses() -> None:
    assert sorted(all_codes().keys() - codes_in_the_source().keys()) == []


def test_every_explanation_says_three_things_in_whole_sentences() -> None:
    for code, entry in all_codes().items():
        assert entry.meaning.endswith("."), code
        assert entry.remedy.endswith("."), code
        assert entry.example, code
        assert not entry.example.endswith("."), code
    meanings = [entry.meaning for entry in all_codes().values()]
    assert len(set(meanings)) == len(meanings)


def test_every_section_of_the_pages_is_an_entry_on_the_page_of_its_hundred_in_order() -> None:
    assert [code for code in all_codes() if entry_of(code) is None] == []
    for hundred in hundreds():
        text = (FOLDER / f"errors/af{hundred}xx.md").read_text(encoding="utf-8")
        headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
        assert headings == [code for code in all_codes() if code[2] == hundred]


def test_a_code_is_explained(cli: CommandLine) -> None:
    result = cli.run("explain-code", "af104")

    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "AF104: A mapping has a key twice; YAML would silently keep the last.\n"
        "  for example: timeout_seconds: 60 on two lines of one job\n"
        "  what to do:  Remove one of the two.\n"
    )
    assert cli.run("explain-code", "104", "--json").json()["remedy"] == "Remove one of the two."


def test_all_codes_are_listed(cli: CommandLine) -> None:
    listed = cli.run("explain-code", "--list").out.splitlines()

    assert [line.split()[0] for line in listed] == list(all_codes())
    assert [row["code"] for row in cli.run("explain-code", "--list", "--json").json()["codes"]] == list(
        all_codes()
    )


def test_a_code_that_does_not_exist_and_no_code_are_usage_errors(cli: CommandLine) -> None:
    unknown, none = cli.run("explain-code", "AF999"), cli.run("explain-code")

    assert (unknown.code, none.code) == (2, 2)
    assert "there is no code 'AF999'\n    hint: aetherflow explain-code --list" in unknown.err
    assert "name one code: aetherflow explain-code AF111 (or --list)" in none.err
