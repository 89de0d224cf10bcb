"""Print the first sheet of the report as a table: python show_report.py WORKBOOK."""

from __future__ import annotations

import sys

from python_calamine import load_workbook

COLUMNS = 5


def main(path: str) -> None:
    """Print the cells that have a value; formulas get theirs when the workbook is opened."""
    for row in load_workbook(path).get_sheet_by_name("Report").to_python():
        cells = row[:COLUMNS]
        if any(cells[1:]):
            first, *others = (f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
            sys.stdout.write(f"   {first:<16}{''.join(f'{text:>14}' for text in others)}\n")
        else:
            sys.stdout.write(f"   {cells[0]}".rstrip() + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
