"""The rows of a run as a table: for a terminal, or as Markdown."""

from __future__ import annotations

import os
from collections.abc import Sequence

from measure import Median, NotMeasured, Row


def text_table(rows: Sequence[Row | NotMeasured]) -> str:
    """Return the rows as text, with the ratio both ways: multiples of the time, share of the rate.

    Beside the ratio are the lowest and the highest of all rounds. After them: the time of the step alone, and
    its share of the rate; the CPU seconds, ours and the floor's.
    """
    head = f"{'what':<44} {'against':<42} {'ours':>10} {'floor':>10} {'x floor':>8} {'lowest..highest':>16}"
    cpu = f"cpu of {os.cpu_count()} cores"
    lines = [f"{head} {'rate':>6} {'step':>9} {'rate':>6} {cpu:>16}  target"]
    for row in rows:
        start = f"{row.what:<44} {row.against:<42}"
        if isinstance(row, NotMeasured):
            lines.append(f"{start} {row.why}")
            continue
        lines.append(
            f"{start} {amount(row.seconds, row.unit):>10} {amount(row.floor_seconds, row.unit):>10} "
            f"{row.ratio:>7.2f}x {_range(row):>16} {1 / row.ratio:>5.2f}x {_step(row):>16} {_cpu(row):>16}  "
            f"{row.target}"
        )
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(rows: Sequence[Row | NotMeasured]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [
        "| what | against | ours | other | ratio | of all rounds | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if isinstance(row, NotMeasured):
            lines.append(f"| {row.what} | {row.against} | | {row.why} | | | |")
            continue
        ours, floor = amount(row.seconds, row.unit), amount(row.floor_seconds, row.unit)
        cells = (row.what, row.against, ours, floor, f"{row.ratio:.2f}", _range(row), row.target)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def amount(value: float, unit: str) -> str:
    """Return a measured value with as many digits as it is worth."""
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _range(row: Row) -> str:
    ratios = row.ratios
    return f"{min(ratios):.2f}..{max(ratios):.2f}" if len(ratios) > 1 else ""


def _step(row: Row) -> str:
    if row.step_seconds is None:
        return ""
    return f"{row.step_seconds:>8.3f}{row.unit} {row.floor_seconds / row.step_seconds:>5.2f}x"


def _cpu(row: Row) -> str:
    ours, theirs = row.seconds, row.floor_seconds
    if not isinstance(ours, Median) or not isinstance(theirs, Median):
        return ""
    return "" if ours.cpu is None or theirs.cpu is None else f"{ours.cpu:.2f}/{theirs.cpu:.2f} s"
