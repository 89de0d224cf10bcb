"""A table whose rows a database has written as csv text, and the same as record batches of Arrow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import msgspec

from aetherflow.data_files.arrow_kinds import arrow_type
from aetherflow.data_files.columns import Column
from aetherflow.data_files.parquet_reading import import_pyarrow
from aetherflow.errors import StepError

BLOCK_BYTES = 2**20

_REFUSED = re.compile(r"In CSV column #(\d+): .*conversion error to (\w+).*: invalid value ('.*')", re.DOTALL)


class TextRows(msgspec.Struct, frozen=True):
    """The columns of a table, and its rows as csv text in UTF-8.

    Attributes:
        columns: the columns.
        blocks: pairs of whole rows, without a header, and their number.
    """

    columns: tuple[Column, ...]
    blocks: Iterator[tuple[bytes | bytearray, int]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)


class _Stream:
    """A file that gives the text of rows."""

    closed = False

    def __init__(self, rows: TextRows) -> None:
        self._blocks = rows.blocks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return up to so many bytes; none: the end."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, (b"", 0))[0])
        found, self._rest = self._rest[:size], self._rest[size:]
        return bytes(found)


def record_batches(rows: TextRows) -> Iterator[Any]:
    """Yield the rows as record batches with the types of their columns.

    Truth values may be `t` and `f`, and a moment is in UTC without an offset.

    Raises:
        StepError: a text is none of the type of its column (AF902).
    """
    arrow = import_pyarrow()
    from pyarrow import csv  # noqa: PLC0415 - an optional dependency, and slow to import

    names = [f"c{number}" for number in range(len(rows.columns))]
    types = [_read_as(arrow, column) for column in rows.columns]
    options = {
        "read_options": csv.ReadOptions(column_names=names, block_size=BLOCK_BYTES, use_threads=False),
        "parse_options": csv.ParseOptions(newlines_in_values=True),
        "convert_options": csv.ConvertOptions(
            column_types=dict(zip(names, types, strict=True)),
            null_values=[""],
            true_values=["true", "t"],
            false_values=["false", "f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }
    options["memory_pool"] = arrow.system_memory_pool()  # the others keep more than they need
    first = next(rows.blocks, None)
    if first is None:
        return
    stream = _Stream(TextRows(rows.columns, chain([first], rows.blocks)))
    with _conversion_errors(arrow, rows.names):
        for batch in csv.open_csv(arrow.PythonFile(stream, mode="r"), **options):
            arrays = [
                _bytes(own.to_pylist()) if column.kind == "binary" else own.cast(arrow_type(column))
                for column, own in zip(rows.columns, batch.columns, strict=True)
            ]
            yield arrow.record_batch(arrays, names=list(rows.names))


def _read_as(arrow: Any, column: Column) -> Any:
    """Return the type that a column has in the text."""
    if column.kind == "binary":
        return arrow.string()
    return arrow.timestamp("us") if column.is_zoned else arrow_type(column)


def _bytes(texts: list[str | None]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    return pa.array([None if text is None else bytes.fromhex(text) for text in texts], pa.binary())


@contextmanager
def _conversion_errors(arrow: Any, names: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except arrow.ArrowInvalid as error:
        said = _REFUSED.search(str(error))
        column = names[int(said[1])] if said else "COLUMN"
        what = f"the value {said[3]} is no {said[2]}" if said else str(error)
        raise StepError(
            f"the result, column {column!r}: {what}",
            hint=f"correct the value, or name another type: dtypes: {{{column}: string}}",
            code="AF902",
        ) from error
