"""Read JSON Lines files: one object per line, whose keys are the columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from aetherflow.data_files.columns import Column, Row, Rows, untyped
from aetherflow.data_files.dtypes import with_dtypes
from aetherflow.data_files.formats import Compression
from aetherflow.data_files.streams import opened, unreadable
from aetherflow.data_files.typed_rows import Typed


@contextmanager
def read_jsonl(
    path: Path, compression: Compression | None, dtypes: Mapping[str, Column], batch_rows: int
) -> Iterator[Rows]:
    """Open a JSON Lines file; its first line has the columns, a key that is missing later is NULL.

    Raises:
        StepError: a line is no JSON object, or has a key that the first line has not (AF906).
    """
    with opened(path, compression) as file:
        records = _records(path, file)
        first = next(records, None)
        names = list(first or ())
        columns = with_dtypes(untyped(names), dtypes) if first else ()
        yield Rows(columns, _batches(path, columns, first, records, batch_rows))


def _records(path: Path, file: BinaryIO) -> Iterator[dict[str, Any]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unreadable(path, f"it is no JSON object ({error})", line=number) from None


def _batches(
    path: Path,
    columns: Sequence[Column],
    first: dict[str, Any] | None,
    records: Iterator[dict[str, Any]],
    batch_rows: int,
) -> Iterator[Sequence[Row]]:
    names = [column.name for column in columns]
    known, typed, done = frozenset(names), Typed(path, columns), 0
    batch = [] if first is None else [first]
    while batch := batch + list(islice(records, batch_rows - len(batch))):
        for number, record in enumerate(batch):
            if not known.issuperset(record):
                unknown = next(key for key in record if key not in known)
                raise unreadable(
                    path,
                    f"row {done + number + 1:,} has the key {unknown!r}, which the first row has not",
                    "give all rows the same keys; a value may be null",
                )
        yield typed.convert([list(map(record.get, names)) for record in batch], done + 1)
        done += len(batch)
        batch = []
