"""Print the first sheet of the report as a table: python show_report.py WORKBOOK."""

from __future__ import annotations

import sys

from python_calamine import load_workbook

FORMATS = ("", ",.0f", ",.0f", ",.2f", ".1%")
"""How the numbers of the five columns are shown."""


def main(path: str) -> None:
    """Print the cells that have a value; formulas get theirs when the workbook is opened."""
    for row in load_workbook(path).get_sheet_by_name("Report").to_python():
        first, *others = row[: len(FORMATS)]
        texts = [
            format(cell, how) if isinstance(cell, float) else str(cell)
            for cell, how in zip(others, FORMATS[1:], strict=True)
        ]
        line = f"   {first!s:<16}{''.join(f'{text:>14}' for text in texts)}"
        sys.stdout.write(line.rstrip() + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
