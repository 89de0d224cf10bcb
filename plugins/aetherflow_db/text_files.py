"""Write rows to TSV and JSON Lines files, batch by batch; UTF-8, lines end with a line feed."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TextIO

import msgspec

from aetherflow import StepError
from aetherflow_db.query import Rows
from aetherflow_db.values import json_value, tsv_field


class _LineFeeds:
    """A file for the csv module that ends each row with a line feed alone.

    With a line feed as the end of rows, the module of Python 3.11 leaves carriage returns in values unquoted,
    and its own reader then fails on them. So it writes both, and the carriage return of the row's end is
    dropped.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, row: str) -> int:
        """Write one row."""
        return self._file.write(f"{row[:-2]}\n")


def write_tsv(path: Path, rows: Rows) -> int:
    """Write a header and the rows, tab separated, quoted as the csv module does; return the number of rows.

    NULL and the empty text look the same in this format.
    """
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(_LineFeeds(file), delimiter="\t", lineterminator="\r\n")
        writer.writerow(rows.names)
        for batch in rows.batches:
            writer.writerows(map(tsv_field, row) for row in batch)
            count += len(batch)
    return count


def write_jsonl(path: Path, rows: Rows) -> int:
    """Write one JSON object per row, keys in the order of the columns; return the number of rows.

    Raises:
        StepError: two columns have the same name, so that one would hide the other.
    """
    repeated = [name for name, times in Counter(rows.names).items() if times > 1]
    if repeated:
        raise StepError(
            f"several columns have the same name, which JSON cannot hold: {', '.join(repeated)}",
            hint="rename them in the statement: SELECT a.id AS a_id, b.id AS b_id",
            code="AF744",
            detail={"columns": repeated},
        )
    count = 0
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for batch in rows.batches:
            file.write(
                encoder.encode_lines(
                    [dict(zip(rows.names, map(json_value, row), strict=True)) for row in batch]
                )
            )
            count += len(batch)
    return count
