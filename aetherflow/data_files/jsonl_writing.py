"""Write JSON Lines files: one object per row, keys in the order of the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from aetherflow.data_files.arrow_python import python_values
from aetherflow.data_files.columns import Column
from aetherflow.data_files.output import Output
from aetherflow.data_files.value_text import json_value
from aetherflow.errors import StepError


def check_unique(columns: Sequence[Column], what: str) -> None:
    """Check that no two columns have the same name, so that one would hide the other.

    Raises:
        StepError: two have (AF744).
    """
    repeated = [name for name, times in Counter(column.name for column in columns).items() if times > 1]
    if repeated:
        raise StepError(
            f"several columns have the same name, which {what} cannot hold: {', '.join(repeated)}",
            hint="rename them in the statement: SELECT a.id AS a_id, b.id AS b_id",
            code="AF744",
            detail={"columns": repeated},
        )


class JsonlWriter:
    """Writes rows of values."""

    def __init__(self, output: Output, columns: Sequence[Column]) -> None:
        self._output = output
        self._names = [column.name for column in columns]
        self._convert = [_json_text if column.kind == "json" else json_value for column in columns]
        self._encoder = msgspec.json.Encoder()

    def write(self, batch: Any) -> None:
        """Write a batch: a sequence of rows, or a record batch."""
        if not isinstance(batch, Sequence):
            batch = list(zip(*(python_values(column) for column in batch.columns), strict=True))
        lines = [
            {
                name: convert(value)
                for name, convert, value in zip(self._names, self._convert, row, strict=True)
            }
            for row in batch
        ]
        self._output.write(self._encoder.encode_lines(lines))


def _json_text(value: Any) -> Any:
    """Return a value of a JSON column as the value that it is, also where the driver gives its text."""
    if not isinstance(value, str):
        return json_value(value)
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
        return msgspec.Raw(value.replace("\n", " ").encode())
    except (msgspec.DecodeError, UnicodeError):
        return value
