"""The pages of the documentation as blocks of code: what the tests and the refresh of outputs read.

A block whose first line is `# NAME.EXT` (in SQL `-- NAME.EXT`) is a file: a reader saves it under that
name. A `console` block has commands (`$ ...`), each with what it prints; the words after `console` say what
is special: `quiet` (what is printed is not shown), `exit=N` (how the last command ends; else all end with 0).
A line `...` stands for any lines. The words after `yaml`: `invalid` (the file is wrong on purpose, or
incomplete).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
MANUAL = ROOT / "aetherflow" / "manual"
PAGES = [README, *sorted(MANUAL.glob("*.md"))]
"""What a user reads of examples; the pages of error codes have none that run."""

TEXT = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
"""All of it."""

_BLOCK = re.compile(r"^```(?P<language>\w+)(?P<words>[^\n]*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?:#|--) ([\w./-]+\.\w+)\n")


class Command(msgspec.Struct, frozen=True):
    """A command line and the lines that the page shows below it."""

    line: str
    shown: str


class Block(msgspec.Struct, frozen=True):
    """A fenced block.

    Attributes:
        words: what stands after the language.
        start: where its text begins in the page, in characters.
    """

    language: str
    words: tuple[str, ...]
    text: str
    start: int

    @property
    def file(self) -> str:
        """The name that a reader saves it under, or an empty text."""
        match = _FILE.match(self.text)
        return match[1] if match and self.language != "console" else ""

    @property
    def exit_code(self) -> int:
        """How the last command ends."""
        return next((int(word[5:]) for word in self.words if word.startswith("exit=")), 0)

    def commands(self) -> list[Command]:
        """The commands of a `console` block; a line that ends in a backslash continues in the next."""
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]
        found = []
        for part in parts:
            match = re.match(r"(?:[^\n]*\\\n)*[^\n]*\n", part)
            assert match, part
            found.append(Command(match[0].rstrip("\n"), part[match.end() :]))
        return found


def blocks(text: str, language: str = "") -> list[Block]:
    """Return the fenced blocks of a page, of one language or of all."""
    found = (
        Block(match["language"], tuple(match["words"].split()), match["text"], match.start("text"))
        for match in _BLOCK.finditer(text)
    )
    return [block for block in found if language in ("", block.language)]


def all_blocks(language: str) -> Iterator[tuple[str, Block]]:
    """Yield the blocks of a language of every page, each with the name of its page."""
    for path in PAGES:
        for block in blocks(path.read_text(encoding="utf-8"), language):
            yield path.name, block


def name_of(path: Path) -> str:
    """Return a page's name as tests show it."""
    return path.stem
