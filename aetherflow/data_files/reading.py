"""Read a data file in batches of typed rows, in bounded memory; blocking, so called in a worker thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from aetherflow.data_files.columns import Column, Rows
from aetherflow.data_files.csv_reading import read_delimited
from aetherflow.data_files.dialect import CSV, TSV, Dialect
from aetherflow.data_files.formats import Compression, FileFormat, compression_of, format_of
from aetherflow.data_files.jsonl_reading import read_jsonl
from aetherflow.data_files.parquet_reading import read_parquet
from aetherflow.errors import StepError

BATCH_ROWS = 1000


@contextmanager
def read_data_file(
    path: Path,
    file_format: FileFormat | None = None,
    *,
    compression: Compression | None = None,
    dialect: Dialect | None = None,
    has_header: bool = True,
    names: Sequence[str] = (),
    dtypes: Mapping[str, Column] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[Rows]:
    """Open a data file and give its columns and batches of rows in a `with` block.

    A field of csv or tsv is text, or None if it is empty and not quoted, or what its kind in `dtypes` says.
    The values of jsonl and parquet have the types of the file; `dtypes` changes texts of jsonl.

    Args:
        path: the file.
        file_format: by default what the suffix says.
        compression: by default what the suffix says.
        dialect: how csv or tsv is spelled; by default RFC 4180, or a tab between fields.
        has_header: whether the first line of csv or tsv has the names of the columns.
        names: the names of the columns, where there is no header (else `column_1` and so on); with a header,
            or in jsonl and parquet, they are not used.
        dtypes: kinds of columns by name, as `read_dtypes` returns them.
        batch_rows: how many rows a batch has at most.

    Raises:
        StepError: the format is unclear, the file cannot be read (AF906), a value does not fit its type, with
            row and column (AF902), or dtypes name a column that is not there (AF901).
        MissingExtra: pyarrow or backports.zstd is not installed.
    """
    file_format = file_format or format_of(path)
    compression = compression or compression_of(path)
    kinds = dtypes or {}
    reader: AbstractContextManager[Rows]
    match file_format:
        case "csv" | "tsv":
            spelled = dialect or (CSV if file_format == "csv" else TSV)
            reader = read_delimited(path, compression, spelled, has_header, names, kinds, batch_rows)
        case "jsonl":
            reader = read_jsonl(path, compression, kinds, batch_rows)
        case "parquet":
            reader = read_parquet(path, batch_rows)
        case None:
            raise StepError(
                f"the name of {path} does not say what kind of file it is",
                hint="name its format: csv, tsv, jsonl or parquet",
                code="AF906",
            )
    with reader as rows:
        yield rows
