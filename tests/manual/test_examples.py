"""Every example of README and manual runs, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import Result, no_trace
from tests.manual.documents import PAGES, TEXT, Block, all_blocks, blocks
from tests.manual.tables import GENERATED, table, with_tables
from tests.manual.walk import HOME, Visitor, matches

REFRESH = "if the new text is right: python -m tests.manual.refresh"


def console_of(path: Path) -> list[Block]:
    """Return the blocks of commands of a page."""
    return blocks(path.read_text(encoding="utf-8"), "console")


@pytest.mark.parametrize("path", [path for path in PAGES if console_of(path)], ids=lambda path: path.stem)
def test_every_command_of_a_page_works_and_prints_what_it_shows(path: Path, tmp_path: Path) -> None:
    for typed in Visitor(tmp_path).follow(path.read_text(encoding="utf-8")):
        ended = Result(typed.result.code, typed.printed, typed.result.err)
        assert ended.code == typed.expected_exit, f"{typed.command.line}\n{ended.out}"
        assert no_trace(ended), typed.command.line
        if not typed.is_as_shown:
            assert typed.printed == typed.command.shown, f"{typed.command.line}; {REFRESH}"


def files_to_check() -> list[tuple[str, str]]:
    """Return the flows and scheduler files of the pages, and the name of the page."""
    found = []
    for page, block in all_blocks("yaml"):
        assert block.file, f"{page}: the first line of a file is its name: {block.text[:60]}"
        if "invalid" not in block.words and ("\nflow:" in block.text or "\nitems:" in block.text):
            found.append((page, block.file))
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_flow_and_scheduler_file_of_a_page_is_valid_without_a_warning(
    path: Path, tmp_path: Path
) -> None:
    names = [name for page, name in files_to_check() if page == path.name]
    visitor = Visitor(tmp_path)
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.file:
            visitor.write(block.file, block.text.replace("/home/ann", str(tmp_path)))
    plugins = ",".join(sorted(path.name for path in tmp_path.glob("[!t]*.py")))
    env = {
        "CHAT_URL": "https://chat.example.org/hook",
        "DB_FILE": "x",
        "GPG_PASSPHRASE": "example-only",
        "MAIL_PASSWORD": "example-only",
        "NAS_PASSWORD": "example-only",
        "SEVEN_PASSWORD": "example-only",
        "TEAM": "x",
        "REGION": "x",
        "ROUTING_KEY": "x",
        "AETHERFLOW_PLUGIN_PATHS": plugins,
    }
    if (tmp_path / "profiles.yaml").exists():
        env["AETHERFLOW_PROFILES_FILE"] = "profiles.yaml"

    for name in dict.fromkeys(names):
        result = visitor.run("validate", name, env=env)
        assert (result.code, result.out, result.err) == (0, f"{name}: valid\n", ""), name


@pytest.mark.parametrize("name", ["README", "tutorial", "recipes"])
def test_a_reader_with_another_home_can_paste_the_examples(name: str) -> None:
    (path,) = (path for path in PAGES if path.stem == name)
    for block in blocks(path.read_text(encoding="utf-8")):
        typed = (
            "".join(command.line for command in block.commands())
            if block.language == "console"
            else block.text
        )
        assert HOME not in typed, block.file


def test_there_are_examples_of_every_kind() -> None:
    assert len(files_to_check()) > 20
    assert sum(len(block.commands()) for _, block in all_blocks("console")) > 50
    assert sum(1 for _ in all_blocks("python")) >= 3


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_generated_tables_are_what_the_code_says(path: Path) -> None:
    page = path.read_text(encoding="utf-8")

    assert page == with_tables(page), REFRESH


def test_a_table_of_every_kind_is_on_some_page() -> None:
    names = {match["name"].partition(" of ")[0] for match in GENERATED.finditer(TEXT)}

    assert names >= {
        "keys",
        "settings",
        "step types",
        "inputs",
        "outputs",
        "events",
        "commands",
        "state diagram",
    }
    assert "| `id` | text | required |" in table("keys of JobSpec")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("12:00:01 done in 0.02 s\n", "13:10:59 done in 1.5 s\n", True),
        ("run 0123456789ab\n", "run ba9876543210\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nb\nc\n", False),
        ("SUCCESS\n", "FAILED\n", False),
        ("", "something\n", False),
    ],
)
def test_what_a_page_shows_is_compared_but_for_times_and_ids(shown: str, printed: str, *, same: bool) -> None:
    assert matches(shown, printed) is same
