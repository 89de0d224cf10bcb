"""Tables in files: csv, tsv, jsonl and parquet, read and written in batches of rows with typed columns.

Shared by the plugins that read or write such files. Imports only `errors` and `sdk`; pyarrow and
backports.zstd are imported when a file needs them.
"""

from __future__ import annotations

from aetherflow.data_files.arrow_memory import use_system_memory
from aetherflow.data_files.arrow_text import can_be_vectorized
from aetherflow.data_files.columns import Column, Kind, Row, Rows, untyped
from aetherflow.data_files.dialect import CSV, TSV, Dialect, Quoting
from aetherflow.data_files.dtypes import dtype_word, dtype_words, read_dtypes, with_dtypes
from aetherflow.data_files.file_options import FileKeys, FileOptions
from aetherflow.data_files.formats import Compression, FileFormat, compression_of, format_of
from aetherflow.data_files.observing import Observed
from aetherflow.data_files.parquet_reading import column_of as arrow_column
from aetherflow.data_files.reading import read_data_file
from aetherflow.data_files.streams import import_zstd, opened
from aetherflow.data_files.text_rows import TextRows, record_batches
from aetherflow.data_files.text_values import value_of
from aetherflow.data_files.value_text import json_value
from aetherflow.data_files.writing import ArrowRows, Written, write_data_file

__all__ = [
    "CSV",
    "TSV",
    "ArrowRows",
    "Column",
    "Compression",
    "Dialect",
    "FileFormat",
    "FileKeys",
    "FileOptions",
    "Kind",
    "Observed",
    "Quoting",
    "Row",
    "Rows",
    "TextRows",
    "Written",
    "arrow_column",
    "can_be_vectorized",
    "compression_of",
    "dtype_word",
    "dtype_words",
    "format_of",
    "import_zstd",
    "json_value",
    "opened",
    "read_data_file",
    "read_dtypes",
    "record_batches",
    "untyped",
    "use_system_memory",
    "value_of",
    "with_dtypes",
    "write_data_file",
]
