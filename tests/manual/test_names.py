"""What the manual names exists, and what exists is in the manual."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aetherflow import registry
from aetherflow.config.settings import Settings
from aetherflow.manual.pages import CONTENTS, page, topics
from tests.manual.command_tree import commands
from tests.manual.documents import MANUAL, PAGES, ROOT, TEXT

CODES = sorted((MANUAL / "errors").glob("*.md"))
PROSE = re.sub(r"^```.*?^```\n", "", TEXT, flags=re.MULTILINE | re.DOTALL)


def _options() -> set[str]:
    return {name for command in commands() for option in command.options for name in option.names}


def test_every_command_is_in_the_manual() -> None:
    names = [command.name for command in commands()]

    assert {"run", "validate", "steps show", "help"} <= set(names)
    assert [name for name in names if f"\n## aetherflow {name}\n" not in TEXT] == []


def test_every_option_is_in_the_manual() -> None:
    options = _options()

    assert {"--run-id", "--json", "--flow-yaml", "--search"} <= options
    assert [option for option in sorted(options) if not re.search(rf"{option}(?![\w-])", TEXT)] == []


def test_every_setting_is_in_the_manual() -> None:
    names = [f"AETHERFLOW_{field.upper()}" for field in Settings.__struct_fields__ if field != "sources"]

    assert "AETHERFLOW_STATE_ROOT" in names
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_every_step_type_is_in_the_manual() -> None:
    assert [name for name in registry.STEPS if f"`{name}`" not in TEXT] == []
    of_one_kind = {name: re.sub(r"^(sftp|smb)_(?=[a-z]+_files$)", "file_", name) for name in registry.STEPS}
    assert [name for name, one in of_one_kind.items() if f"\n## {one}\n" not in TEXT] == []


def test_every_option_and_setting_that_the_manual_names_exists() -> None:
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", " ".join(re.findall(r"`([^`\n]+)`", PROSE))))
    settings = set(re.findall(r"`(AETHERFLOW_[A-Z_]+)`", PROSE))
    for_children = {
        f"AETHERFLOW_{name}"
        for name in (
            "FLOW_ID",
            "FLOW_DIR",
            "FLOW_FILE",
            "RUN_ID",
            "JOB_ID",
            "STEP_ID",
            "IDEMPOTENCY_KEY",
            "NOTIFY_EVENT",
            "OUTPUT",
            "OUTPUT_DIR",
        )
    }
    of_bundles = {f"AETHERFLOW_{name}_DIR" for name in ("LOCAL_ROOT", "ACTIVE", "CACHE")}
    for_children |= {"AETHERFLOW_RUN_DATE", "AETHERFLOW_SCHEDULED_AT"}
    of_tests = {"AETHERFLOW_SEED"}

    of_the_root = {"--version", "--help", "--install-completion", "--show-completion"}
    assert options - _options() - of_the_root == set()
    known = {f"AETHERFLOW_{name.upper()}" for name in Settings.__struct_fields__}
    assert settings - known - for_children - of_bundles - of_tests == set()


@pytest.mark.parametrize("path", [*PAGES, *CODES], ids=lambda path: path.stem)
def test_every_link_leads_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}, (
                link
            )


def test_the_contents_list_every_page() -> None:
    listed = re.findall(r"^- \[([\w-]+)\]\(\1\.md\)", page(CONTENTS), re.MULTILINE)

    assert sorted([*listed, CONTENTS]) == list(topics())


def test_pages_that_are_named_in_the_text_exist() -> None:
    named = set(re.findall(r"\bpages? `([\w-]+)`", PROSE)) | set(
        re.findall(r"`aetherflow help ([a-z-]+)`", TEXT)
    )

    assert len(named) > 5
    assert named - set(topics()) == set()


BANNED = (
    r"\b(told|tells?|gone on with|goes? on|going on|for want of|anew|heeds?|so be it|strangers|tending|wish|"
    r"stands|(?-i:yields?)|whoever|shall)\b"
)
"""Words of the project's old dialect; the glossary has those that are used instead."""


@pytest.mark.parametrize(
    "path", [*PAGES, *CODES, *sorted((ROOT / "demo").rglob("*.md"))], ids=lambda path: path.stem
)
def test_the_manual_is_in_plain_words(path: Path) -> None:
    text = re.sub(r"^```.*?^```\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)

    found = [line for line in text.splitlines() if re.search(BANNED, line, re.IGNORECASE)]

    assert found == []


def test_every_room_is_on_the_page_about_internals() -> None:
    packages = {path.parent.name for path in (ROOT / "aetherflow").glob("*/__init__.py")}
    table = page("internals").partition("| package | subject |")[2].partition("\n\n")[0]
    listed = {name for line in table.splitlines() if line[:1] == "|" for name in re.findall(r"`(\w+)`", line)}

    assert packages - listed == set()
    assert listed - packages <= {"registry", "serve"}
