"""Names, messages, docstrings and pages use field terms; private words of earlier versions stay out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("aetherflow", "plugins", "demo")
SUFFIXES = {".py", ".md", ".txt", ".yaml", ".sh"}

PRIVATE = {
    r"told": "reported",
    r"(goes|go|going|gone) on with": "resumes, continues",
    r"for want of": "because there is no",
    r"anew": "again",
    r"heed(s|ed|ing)?": "follows, reacts to",
    r"so be it": "(leave it out)",
    r"strangers?": "unknown items",
    r"tending": "recovery",
    r"whoever": "the one who",
    r"findings?": "diagnostic (in a file), result (of a check)",
    r"tells? (him|her|you|the|that|why|who|how|it|of)": "reports, shows, says",
}
"""Each expression that must not appear, and what to write instead."""

ALLOWED = {
    # SQLite stores the comments of a table with it, and a migrated database has those of its first version.
    ("aetherflow/store/state_schema.py", "whoever"),
}


def _pages() -> list[Path]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return [ROOT / "README.md", *sorted(path for path in files if "demo_state" not in path.parts)]


def _hits(expression: str) -> list[str]:
    pattern = re.compile(rf"(?<![\w-])_?({expression})(?![\w-])", re.IGNORECASE)
    found = []
    for path in _pages():
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            hit = pattern.search(line)
            if hit and (name, hit[1].lower()) not in ALLOWED:
                found.append(f"{name}:{number}: {hit[1]}")
    return found


@pytest.mark.parametrize("expression", PRIVATE)
def test_a_private_word_appears_nowhere(expression: str) -> None:
    assert _hits(expression) == [], f"write instead: {PRIVATE[expression]}"


@pytest.mark.parametrize(("file", "word"), sorted(ALLOWED))
def test_an_exception_is_still_needed(file: str, word: str) -> None:
    assert re.search(rf"\b{word}\b", (ROOT / file).read_text(encoding="utf-8"))
