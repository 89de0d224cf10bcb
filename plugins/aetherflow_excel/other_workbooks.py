"""Read a sheet of an .xls, .xlsb or .ods file with calamine, which takes it into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetherflow import MissingExtra, StepError
from aetherflow_excel.number_formats import duration
from aetherflow_excel.sheet_rows import Cells

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

SUFFIXES = frozenset({".xls", ".xlsb", ".ods"})


@contextmanager
def other_rows(path: Path, sheet: str) -> Iterator[tuple[str, Iterator[tuple[int, Cells]]]]:
    """Open a workbook and give the name of a sheet, by default the first one, and its rows.

    Raises:
        StepError: it cannot be read (AF960, AF961), or has no such sheet (AF962).
        MissingExtra: calamine is not installed.
    """
    try:
        import python_calamine as calamine  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"a {path.suffix} file needs python-calamine, which is not installed",
            hint="pip install 'aetherflow[excel]'",
        ) from error
    try:
        path.stat()  # calamine has no error of its own for a file that does not exist
        with calamine.CalamineWorkbook.from_path(path) as book:
            names = {name.casefold(): name for name in book.sheet_names}
            name = names.get(sheet.casefold(), sheet) if sheet else book.sheet_names[0]
            found = book.get_sheet_by_name(name)
            yield name, _rows(found)
    except FileNotFoundError:
        raise StepError(
            f"the workbook {path} does not exist",
            hint="correct its path; a relative one is below the job's artifacts",
            code="AF960",
        ) from None
    except calamine.WorksheetNotFound:
        raise StepError(
            f"the sheet {sheet!r} does not exist in the workbook {path}",
            hint=f"its sheets are {', '.join(map(repr, names.values()))}",
            code="AF962",
        ) from None
    except calamine.PasswordError as error:
        raise StepError(
            f"the workbook {path} is encrypted with a password",
            hint="save it without a password to open it",
            code="AF961",
        ) from error
    except (calamine.CalamineError, OSError) as error:
        raise StepError(
            f"cannot read the workbook {path}: {error}",
            hint="check that it opens in Excel or LibreOffice",
            code="AF961",
        ) from error


def _rows(sheet: CalamineSheet) -> Iterator[tuple[int, Cells]]:
    """Yield the rows that have a value, with their number."""
    first_column = (sheet.start or (0, 0))[1] + 1
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = {at: _value(value) for at, value in enumerate(row, first_column) if value != ""}
        if cells:
            yield number, cells


def _value(value: Any) -> Any:
    """Return a value as other readers give it: whole numbers as such, and durations as Excel shows them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return int(value)
    return duration(value / timedelta(days=1)) if isinstance(value, timedelta) else value
