"""Rewrite what the pages show: the output of every command and the generated tables.

    python -m tests.manual.refresh [PAGE ...]

Look at the difference before you commit it: an output that became worse is a finding, not an update.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.manual.documents import PAGES
from tests.manual.tables import with_tables
from tests.manual.walk import Visitor


def refreshed(page: str, folder: Path) -> tuple[str, list[str]]:
    """Return a page with what its commands print now, and the commands that ended otherwise than it says."""
    page = with_tables(page)
    wrong = []
    replacements = []
    for typed in Visitor(folder).follow(page):
        if typed.result.code != typed.expected_exit:
            wrong.append(f"{typed.command.line}: exit {typed.result.code}\n{typed.printed}")
        if not typed.is_as_shown:
            head = f"$ {typed.command.line}\n"
            place = page.index(head + typed.command.shown, typed.block.start) + len(head)
            replacements.append((place, typed.command.shown, typed.printed))
    for place, old, new in reversed(replacements):
        page = page[:place] + new + page[place + len(old) :]
    return page, wrong


def main(names: list[str]) -> int:
    """Refresh the pages of these names, or all."""
    failed = 0
    for path in PAGES:
        if names and path.stem not in names:
            continue
        old = path.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            new, wrong = refreshed(old, Path(folder).resolve())
        path.write_text(new, encoding="utf-8")
        sys.stdout.write(f"{path.stem}: {'unchanged' if new == old else 'rewritten'}\n")
        for line in wrong:
            sys.stdout.write(f"  {line}\n")
        failed += len(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
