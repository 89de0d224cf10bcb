"""Convert the texts of a batch to the kinds of their columns; an error names the row and the column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aetherflow.data_files.columns import Column, Row
from aetherflow.data_files.dtypes import dtype_word
from aetherflow.data_files.text_values import value_of
from aetherflow.errors import StepError

SHOWN = 60
"""How many characters of a value are shown."""


def does_not_fit(where: str, row: int, column: Column, value: Any) -> StepError:
    """Return the error for a value that is not of the kind of its column (AF902)."""
    shown = repr(value)
    shown = shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 3]}..."
    kind = dtype_word(column)
    return StepError(
        f"{where}, row {row:,}, column {column.name!r}: the value {shown} is no {kind}",
        hint=f"correct the value, or name another type: dtypes: {{{column.name}: string}}",
        code="AF902",
        detail={"row": row, "column": column.name},
    )


class Typed:
    """Converts batches of texts of one file."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._path = path
        self._parsers = [
            (number, column, parse)
            for number, column in enumerate(columns)
            if (parse := value_of(column)) is not None
        ]

    def convert(self, batch: list[list[Any]], first_row: int) -> Sequence[Row]:
        """Convert the texts of a batch in place; other values, and empty texts of typed columns as NULL.

        Raises:
            StepError: a text does not fit its column (AF902).
        """
        for number, column, parse in self._parsers:
            for offset, row in enumerate(batch):
                text = row[number]
                if isinstance(text, str):
                    try:
                        row[number] = parse(text) if text else None
                    except ValueError:
                        raise does_not_fit(str(self._path), first_row + offset, column, text) from None
        return batch
