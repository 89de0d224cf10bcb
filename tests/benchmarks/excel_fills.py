"""Fill a template with 10,000 to 1,000,000 rows x 10, against openpyxl and xlsxwriter; time and memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from excel_fill_only import make_template
from measure import Row

SCRIPT = Path(__file__).with_name("excel_fill_only.py")
SIZES = ((10_000, 5), (100_000, 3), (1_000_000, 1))
"""How many rows, and in how many rounds at most."""

MOST_BY_OPENPYXL = 100_000
"""openpyxl needs 4 GB for 1,000,000 rows: it is measured with this many, and its time multiplied."""

MOST_MEGABYTES = 150


def excel_fills(folder: Path, rounds: int) -> Iterator[Row]:
    """Time of a fill against both rivals, and its peak memory against what is allowed."""
    template = folder / "template.xlsx"
    make_template(template)
    for count, most in SIZES:
        measured = [
            (
                _once("aetherflow", count, template),
                _once("openpyxl", min(count, MOST_BY_OPENPYXL), template),
                _once("xlsxwriter", count, template),
            )
            for _ in range(min(rounds, most))
        ]
        ours, openpyxl, xlsxwriter = (
            tuple(map(statistics.median, zip(*tool, strict=True))) for tool in zip(*measured, strict=True)
        )
        factor = count / min(count, MOST_BY_OPENPYXL)
        what = f"Excel: fill {count:,} rows x 10"
        estimate = "" if factor == 1 else f", from {MOST_BY_OPENPYXL:,}"
        yield Row(what, f"openpyxl{estimate}", ours[0], openpyxl[0] * factor, "<= 0.2x")
        yield Row(what, "xlsxwriter, without a template", ours[0], xlsxwriter[0], "")
        yield Row(f"{what}, memory", f"{MOST_MEGABYTES} MB", ours[1], MOST_MEGABYTES, "<= 1x", "MB")


def _once(tool: str, count: int, template: Path) -> tuple[float, float]:
    """Fill once in a process of its own; return the seconds and the peak memory in MB."""
    output = template.with_name("filled.xlsx")
    command = [sys.executable, str(SCRIPT), tool, str(count), str(template), str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak
