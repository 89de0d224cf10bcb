"""Fill a template with rows by one tool and print the seconds and the peak memory in MB.

Usage: python excel_fill_only.py TOOL ROWS TEMPLATE OUTPUT
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from copy import copy
from datetime import date
from pathlib import Path
from typing import Any

FIRST_ROW, WIDTH, BATCH = 5, 10, 1000


def make_template(path: Path) -> None:
    """Write a template with a header, a sample row, a total, and a chart."""
    import xlsxwriter  # noqa: PLC0415 - only the tool that is measured is loaded

    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Report")
        sheet.write_row(FIRST_ROW - 2, 0, [f"column {n}" for n in range(WIDTH)])
        sheet.write_row(FIRST_ROW - 1, 0, ["", *([0] * (WIDTH - 1))], book.add_format({"num_format": "0.00"}))
        sheet.write_formula(FIRST_ROW + 1, 3, f"=SUM(D{FIRST_ROW}:D{FIRST_ROW})")
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": f"=Report!$D${FIRST_ROW}:$D${FIRST_ROW}"})
        sheet.insert_chart("L2", chart)


def rows(count: int) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows of mixed columns, in batches."""
    day = date(2026, 1, 1)
    for start in range(0, count, BATCH):
        yield [
            (day, f"shop {n % 50}", n, n * 1.5, "north & south", n % 7, 1.25, "b", n * 3, True)
            for n in range(start, min(start + BATCH, count))
        ]


def by_aetherflow(count: int, template: Path, output: Path) -> None:
    """Insert the rows with the engine of the Excel steps."""
    from aetherflow_excel.filling import fill_workbook  # noqa: PLC0415 - only the tool that is measured is loaded
    from aetherflow_excel.regions import Box, Insert, Region  # noqa: PLC0415 - only the tool that is measured is loaded

    sample = (Box(FIRST_ROW, 1, FIRST_ROW, WIDTH),)
    region = Region(
        name="rows",
        sheet="Report",
        first_row=FIRST_ROW,
        column=1,
        width=WIDTH,
        batches=rows(count),
        insert=Insert.BELOW,
        style_row=FIRST_ROW,
        clear=sample,
    )
    fill_workbook(template, output, [region])


def by_openpyxl(count: int, template: Path, output: Path) -> None:
    """Insert the rows with openpyxl, which moves no formulas and no charts."""
    import openpyxl  # noqa: PLC0415 - only the tool that is measured is loaded

    book = openpyxl.load_workbook(template)
    sheet = book["Report"]
    sheet.insert_rows(FIRST_ROW, count)
    samples: list[Any] = [sheet.cell(FIRST_ROW + count, column) for column in range(1, WIDTH + 1)]
    number = FIRST_ROW
    for batch in rows(count):
        for row in batch:
            for column, value in enumerate(row, 1):
                cell: Any = sheet.cell(number, column, value)
                cell._style = copy(samples[column - 1]._style)
            number += 1
    book.save(output)


def by_xlsxwriter(count: int, template: Path, output: Path) -> None:  # noqa: ARG001 - it cannot read a template
    """Write the rows with xlsxwriter in constant memory, without a template."""
    import xlsxwriter  # noqa: PLC0415 - only the tool that is measured is loaded

    with xlsxwriter.Workbook(output, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("Report")
        style, day = book.add_format({"num_format": "0.00"}), book.add_format({"num_format": "yyyy-mm-dd"})
        number = FIRST_ROW - 1
        for batch in rows(count):
            for row in batch:
                sheet.write_datetime(number, 0, row[0], day)
                sheet.write_row(number, 1, row[1:], style)
                number += 1


def peak_memory() -> float:
    """Return the most memory that this process had, in MB; `getrusage` counts the one that started it too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


TOOLS: dict[str, Callable[[int, Path, Path], None]] = {
    "aetherflow": by_aetherflow,
    "openpyxl": by_openpyxl,
    "xlsxwriter": by_xlsxwriter,
}

if __name__ == "__main__":
    tool, count, template, output = sys.argv[1:]
    started = time.perf_counter()
    TOOLS[tool](int(count), Path(template), Path(output))
    sys.stdout.write(f"{time.perf_counter() - started:.3f} {peak_memory():.1f}\n")
