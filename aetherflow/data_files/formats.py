"""The formats of data files and their compression, and the suffixes that they have. Pure."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

FileFormat = Literal["csv", "tsv", "jsonl", "parquet"]
Compression = Literal["gz", "zst"]

_SUFFIXES: dict[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst"}


def format_of(path: PurePath) -> FileFormat | None:
    """Return the format that the suffix of a name says, before `.gz` or `.zst`; None: it says none."""
    suffix = path.suffix.lower()
    return _SUFFIXES.get(path.with_suffix("").suffix.lower() if suffix in _COMPRESSIONS else suffix)


def compression_of(path: PurePath) -> Compression | None:
    """Return the compression that the suffix of a name says; None: it says none."""
    return _COMPRESSIONS.get(path.suffix.lower())
