"""Write regions of rows into a copy of a workbook; what refers to their rows moves or grows with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aetherflow_excel.regions import Region, Written


def fill_workbook(
    template: Path, output: Path, regions: Sequence[Region], *, check: Callable[[], None] = lambda: None
) -> list[Written]:
    """Write regions into a copy of a template and return where each is; blocks, so call it in a thread.

    The batches of all regions are read before `output` is touched. Parts of the template that do not change
    keep their bytes. The workbook asks to be recalculated when it is opened.

    Args:
        template: the workbook file; it is only read.
        output: the file to write; large temporary files go into its folder.
        regions: what to write; at most one of them may be in each cell.
        check: called between batches; what it raises ends the work.

    Raises:
        StepError: the template cannot be read (AF945), a sheet is missing (AF946), regions overlap (AF947),
            or the rows do not fit on the sheet (AF948).
        OSError: a file cannot be read or written.
    """
    raise NotImplementedError
