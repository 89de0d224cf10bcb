"""Read Parquet files with pyarrow, and say what its types are here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aetherflow.data_files.arrow_memory import use_system_memory
from aetherflow.data_files.arrow_python import python_values
from aetherflow.data_files.columns import Column, Kind, Row, Rows
from aetherflow.data_files.streams import unreadable
from aetherflow.errors import MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa


def import_pyarrow() -> Any:
    """Return the module pyarrow.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import
        from pyarrow import parquet  # noqa: F401, PLC0415 - makes pa.parquet
    except ModuleNotFoundError as error:
        raise MissingExtra(
            "a parquet file needs pyarrow, which is not installed", hint="pip install 'aetherflow[arrow]'"
        ) from error
    use_system_memory()
    return pa


@contextmanager
def read_parquet(path: Path, batch_rows: int) -> Iterator[Rows]:
    """Open a Parquet file.

    Raises:
        StepError: it cannot be read (AF906).
        MissingExtra: pyarrow is not installed.
    """
    arrow = import_pyarrow()
    try:
        with arrow.parquet.ParquetFile(path, memory_map=True) as file:
            columns = tuple(map(column_of, file.schema_arrow))
            yield Rows(columns, _batches(path, file, batch_rows))
    except arrow.ArrowException as error:
        raise unreadable(path, f"it is no whole parquet file ({error})") from error
    except OSError as error:
        raise unreadable(path, error.strerror or str(error), "check the path and the permissions") from error


def _batches(path: Path, file: Any, batch_rows: int) -> Iterator[Sequence[Row]]:
    done = 0
    for batch in file.iter_batches(batch_rows):
        columns = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                columns.append(python_values(column))
            except (ValueError, OverflowError) as error:
                where = f"column {name!r}, rows {done + 1:,} to {done + batch.num_rows:,}"
                hint = "dates have the years 1 to 9999"
                raise unreadable(path, f"{where}: a value is out of range ({error})", hint) from error
        done += batch.num_rows
        yield list(zip(*columns, strict=True))


def column_of(field: pa.Field) -> Column:
    """Return the column for a field of an Arrow schema."""
    import pyarrow.types as of  # noqa: PLC0415 - an optional dependency, and slow to import

    kind = field.type
    if of.is_dictionary(kind):
        return column_of(field.with_type(kind.value_type))
    if of.is_decimal(kind):
        return Column(field.name, "decimal", kind.precision, kind.scale)
    if of.is_timestamp(kind):
        return Column(field.name, "datetime", is_zoned=kind.tz is not None)
    tests: tuple[tuple[Any, Kind], ...] = (
        (of.is_boolean, "bool"),
        (of.is_integer, "int"),
        (of.is_floating, "float"),
        (of.is_date, "date"),
        (of.is_time, "time"),
        (of.is_string, "string"),
        (of.is_large_string, "string"),
        (of.is_binary, "binary"),
        (of.is_large_binary, "binary"),
        (of.is_fixed_size_binary, "binary"),
        (of.is_nested, "json"),
    )
    return Column(field.name, next((word for is_kind, word in tests if is_kind(kind)), None))
