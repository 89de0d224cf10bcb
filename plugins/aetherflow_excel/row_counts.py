"""Count the rows of a data file before they are written; blocking, in bounded memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from aetherflow import StepContext, StepError, data_files

CountMode = Literal["fast", "csv_parse"]

PIECE_BYTES = 1024 * 1024


class RowCount(msgspec.Struct, frozen=True):
    """How many rows a file has.

    Attributes:
        rows: without the header.
        is_exact: whether there are exactly so many; lines may be more than rows.
    """

    rows: int
    is_exact: bool


def count_rows(ctx: StepContext, path: Path, reading: Mapping[str, Any], mode: CountMode) -> RowCount:
    """Return how many rows a file has: its lines in the fast mode, if it is text, else what a reader finds.

    Raises:
        StepError: it cannot be read (AF906), or the step must stop.
    """
    if mode == "fast" and reading["file_format"] != "parquet" and data_files.compression_of(path) is None:
        has_header = reading["file_format"] in {"csv", "tsv"} and reading["has_header"]
        return RowCount(max(_lines(ctx, path) - has_header, 0), is_exact=False)
    rows = 0
    with data_files.read_data_file(path, **reading) as found:
        if reading["file_format"] == "parquet":
            import pyarrow.parquet  # noqa: PLC0415 - an optional dependency, and slow to import

            return RowCount(pyarrow.parquet.read_metadata(path).num_rows, is_exact=True)
        for batch in found.batches:
            ctx.raise_if_stopping()
            rows += len(batch)
    return RowCount(rows, is_exact=True)


def _lines(ctx: StepContext, path: Path) -> int:
    """Count the lines of a file; a last one without an end counts too."""
    lines, last = 0, b"\n"
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                ctx.raise_if_stopping()
                lines += piece.count(b"\n")
                last = piece[-1:]
    except OSError as error:
        raise StepError(
            f"cannot read {path}: {error.strerror or error}",
            hint="check the path and the permissions",
            code="AF906",
        ) from error
    return lines + (last != b"\n")
