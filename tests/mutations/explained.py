"""Mutants that no test can notice, each with the reason; found by the text of the line, wherever it is."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.mutations.source_edits import Mutant


class Explanation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a change of a line changes nothing that a test should see."""

    file: str
    before: str
    """The first line that changes, without the spaces around it."""
    why: str
    after: str | None = None
    """What becomes of it; None for every change of the line."""


def load(path: Path) -> list[Explanation]:
    """Return the explanations of a TOML file; none if there is no file."""
    data = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return msgspec.convert(data.get("mutant", []), list[Explanation])


def explanation(mutant: Mutant, source: bytes, known: Sequence[Explanation]) -> Explanation | None:
    """Return why no test notices a mutant, if that is known."""
    before, after = (lines[0].strip() for lines in mutant.lines(source))
    for one in known:
        if (one.file, one.before) == (mutant.file, before) and one.after in (None, after):
            return one
    return None


def outdated(known: Sequence[Explanation], root: Path) -> list[Explanation]:
    """Return the explanations of lines that are no longer there."""

    def is_there(one: Explanation) -> bool:
        path = root / one.file
        return path.exists() and one.before in map(str.strip, path.read_text(encoding="utf-8").splitlines())

    return [one for one in known if not is_there(one)]
