"""Write Parquet files: a column of a known kind has its type; another the type that all its values need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from aetherflow.data_files.arrow_kinds import arrow_type, arrow_values
from aetherflow.data_files.arrow_python import python_values
from aetherflow.data_files.arrow_text import as_text
from aetherflow.data_files.columns import Column, Row
from aetherflow.data_files.jsonl_writing import check_unique
from aetherflow.data_files.parquet_reading import column_of, import_pyarrow
from aetherflow.data_files.widening import kind_of_values, widened
from aetherflow.errors import StepError

GROUP_ROWS = 65_536
GROUP_BYTES = 8 * 2**20
"""A row group is written when it has so many rows, or takes so much memory."""

SAMPLE_ROWS = 8192
REPEATS = 8
"""A column gets a dictionary if its values repeat so often in the first rows."""


class ParquetWriter:
    """Writes rows of values, or record batches.

    The database does not always say what a column is: SQLite knows no types of expressions. Such a column
    gets the type of the first values. When a later value does not fit, what was written is converted: so its
    type is that of all values, whatever the first batch was.

    Attributes:
        columns: the columns with their kinds, as far as they are known.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        """Begin a file; what it needs is imported.

        Raises:
            StepError: two columns have the same name (AF744).
            MissingExtra: pyarrow is not installed.
        """
        check_unique(columns, "Parquet")
        self._arrow = import_pyarrow()
        self._path = path
        self._open = [number for number, column in enumerate(columns) if column.kind is None]
        self._empty = set(self._open)
        self.columns = list(columns)
        self._writer: Any = None
        self._waiting: list[Any] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._rows = 0

    def write(self, batch: Sequence[Row]) -> None:
        """Write a batch of rows.

        Raises:
            StepError: a value does not fit its column (AF902).
        """
        values = list(zip(*batch, strict=True))
        if not values:
            return
        self._widen({number: kind_of_values(values[number]) for number in self._open})
        arrays = [self._values(number, own) for number, own in enumerate(values)]
        if any(array.type != arrow_type(column) for array, column in zip(arrays, self.columns, strict=True)):
            self.write(batch)  # a later column is wider now
            return
        self._rows += len(batch)
        self._put(arrays)

    def write_arrow(self, batch: Any) -> None:
        """Write a record batch whose types are those of the columns, or can be cast to them.

        Raises:
            StepError: a value does not fit its column (AF902).
        """
        found = [column_of(field) for field in batch.schema]
        self._widen(
            {
                number: found[number] if batch.column(number).null_count < batch.num_rows else None
                for number in self._open
            }
        )
        arrays = [self._arrow_values(number, own) for number, own in enumerate(batch.columns)]
        if any(array.type != arrow_type(column) for array, column in zip(arrays, self.columns, strict=True)):
            self.write_arrow(batch)  # a later column is wider now
            return
        self._rows += batch.num_rows
        self._put(arrays)

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        if self._writer is None:
            self._writer = self._new_writer(self._path, [])
        self._writer.close()

    def _values(self, number: int, values: Sequence[Any]) -> Any:
        """Return values as the type of their column; a column that is only declared gets a wider one."""
        column = self.columns[number]
        try:
            return arrow_values(column, values, self._rows + 1)
        except StepError:
            if not column.is_soft or column.kind == "string":
                raise
            kind = kind_of_values(values)
            is_number = column.kind == "int" and kind is not None and kind.kind in {"int", "float"}
            self._change({number: Column(column.name, "float" if is_number else "string", is_soft=True)})
            return self._values(number, values)

    def _arrow_values(self, number: int, own: Any) -> Any:
        """Return an array as the type of its column; a column that is only declared gets a wider one."""
        try:
            return self._cast(self.columns[number], own)
        except StepError:
            return self._values(number, own.to_pylist())

    def _cast(self, column: Column, own: Any) -> Any:
        arrow, kind = self._arrow, arrow_type(column)
        if own.type == kind:
            return own
        if kind == arrow.string():
            return as_text(own)[0].cast(kind)
        if _keeps_meaning(own.type, kind) or _are_bits(own, kind):
            with suppress(arrow.ArrowInvalid, arrow.ArrowNotImplementedError):
                found = own.cast(kind)
                if not (arrow.types.is_string(own.type) and _has_year_zero(found)):
                    return found
        return arrow_values(column, python_values(own), self._rows + 1)  # value by value, which names the row

    def _put(self, arrays: list[Any]) -> None:
        batch = self._arrow.record_batch(arrays, schema=self._schema())
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = self._arrow.Table.from_batches(self._waiting)
        if self._writer is None:
            self._writer = self._new_writer(self._path, _repeating(table))
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def _schema(self) -> Any:
        return self._arrow.schema([(column.name, arrow_type(column)) for column in self.columns])

    def _new_writer(self, path: Path, repeating: list[str]) -> Any:
        return self._arrow.parquet.ParquetWriter(path, self._schema(), use_dictionary=repeating)

    def _widen(self, found: dict[int, Column | None]) -> None:
        """Give the columns of no known kind the type that these values need, and convert what was written."""
        wider: dict[int, Column] = {}
        for number, kind in found.items():
            if kind is not None:
                old = self.columns[number]
                new = kind if number in self._empty else widened(old, kind)
                wider[number] = msgspec.structs.replace(new, name=old.name)
                self._empty.discard(number)
        self._change(wider)

    def _change(self, wider: dict[int, Column]) -> None:
        columns = [wider.get(number, column) for number, column in enumerate(self.columns)]
        if columns != self.columns:
            is_other = list(map(arrow_type, columns)) != list(map(arrow_type, self.columns))
            if is_other and self._writer is not None:
                self._flush()
            self.columns = columns
            if is_other:
                self._convert()

    def _convert(self) -> None:
        """Give what was written, and what waits, the types that the columns have now."""
        waiting, rows = self._waiting, self._rows
        self._waiting, self._waiting_rows, self._waiting_bytes, self._rows = [], 0, 0, 0
        if self._writer is None:
            self._put_again(waiting)
        else:
            self._writer.close()
            self._writer = None
            with self._path.open("rb") as old, self._arrow.parquet.ParquetFile(old) as file:
                self._path.unlink()  # it is read until it is closed; a kill leaves no file behind
                self._put_again(file.iter_batches(GROUP_ROWS))
        self._rows = rows

    def _put_again(self, batches: Iterable[Any]) -> None:
        for batch in batches:
            self._put(
                [self._cast(column, own) for column, own in zip(self.columns, batch.columns, strict=True)]
            )
            self._rows += batch.num_rows


def _repeating(table: Any) -> list[str]:
    """Return the names of the columns whose values repeat: only for them a dictionary is worth its time."""
    import pyarrow.compute as pc  # noqa: PLC0415 - an optional dependency, and slow to import

    sample = table.slice(0, SAMPLE_ROWS)
    return [
        name
        for name, column in zip(sample.schema.names, sample.columns, strict=True)
        if len(pc.unique(column)) * REPEATS <= sample.num_rows
    ]


def _are_bits(column: Any, kind: Any) -> bool:
    """Whether whole numbers are 0 and 1, and to become booleans."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    if not (pa.types.is_boolean(kind) and pa.types.is_integer(column.type)):
        return False
    found = pc.min_max(column).as_py()
    return found["min"] in {0, 1, None} and found["max"] in {0, 1, None}


def _has_year_zero(column: Any) -> bool:
    """Whether Arrow has read a date that Python does not know."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
    import pyarrow.compute as pc  # noqa: PLC0415 - the same

    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)):
        return False
    return pc.any(pc.less(pc.year(column), 1)).as_py() is True


def _keeps_meaning(one: Any, other: Any) -> bool:
    """Whether Arrow's cast means what ours does: it makes True of 2, and bytes of a text."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    if isinstance(one, pa.BaseExtensionType) or pa.types.is_binary(other):
        return False
    return not (pa.types.is_boolean(other) and pa.types.is_integer(one))
