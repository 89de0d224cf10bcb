"""Write the stored events of a run as JSON lines, or as a Parquet table, a batch at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import IO, Any, Literal, get_args

import anyio
import msgspec

from aetherflow.admin.event_schema import own_struct
from aetherflow.admin.export_threads import threads
from aetherflow.admin.run_events import stored_events
from aetherflow.data_files.parquet_reading import import_pyarrow
from aetherflow.events.run_events import TRANSIENT, Event, Journalled
from aetherflow.observe.event_record import EventRecord, Recorder
from aetherflow.observe.line_writer import json_line
from aetherflow.sdk.json_values import plain_text
from aetherflow.store.database import Database

RUN_KEY = b"aetherflow.run_id"
"""In the metadata of a Parquet file: whose events it has."""

CLOSE_SECONDS = 30.0
"""How long the end of an export that is interrupted may take to close its file."""

ColumnType = Literal["int", "float", "bool", "text", "time", "json"]
_TYPES: Mapping[str, ColumnType] = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "text",
    "datetime": "time",
}


async def write_json_lines(database: Database, run_id: str, file: IO[bytes], *, is_usual_state: bool) -> int:
    """Write each stored event as the line that `aetherflow events` prints; return how many there are.

    `is_usual_state` is whether a command finds the database: then the command that resumes does not name it.

    Raises:
        StateError: the database cannot be read.
        OSError: the file cannot be written.
    """
    recorder, number = Recorder(), 0
    async for batch in _batches(database, run_id, recorder, is_usual_state=is_usual_state):
        number += len(batch)
        await threads.run(file.write, b"".join(map(recorder.line, batch)))
    return number


async def write_parquet(database: Database, run_id: str, path: Path, *, is_usual_state: bool) -> int:
    """Write each stored event as a row; return how many there are.

    Raises:
        StateError: the database cannot be read.
        MissingExtra: pyarrow is not installed.
        OSError: the file cannot be written.
    """
    arrow = await threads.run(import_pyarrow)
    types = {
        "int": arrow.int64(),
        "float": arrow.float64(),
        "bool": arrow.bool_(),
        "text": arrow.string(),
        "time": arrow.timestamp("us", tz="UTC"),
        "json": arrow.string(),
    }
    columns = event_columns()
    fields = [
        arrow.field(name, types[kind], metadata={b"aetherflow.type": b"json"} if kind == "json" else None)
        for name, kind in columns.items()
    ]
    schema = arrow.schema(fields, metadata={RUN_KEY: run_id.encode()})
    recorder, number = Recorder(), 0
    writer = await threads.run(partial(arrow.parquet.ParquetWriter, path, schema, compression="zstd"))
    try:
        async for batch in _batches(database, run_id, recorder, is_usual_state=is_usual_state):
            number += len(batch)
            rows = [_row(recorder, event, columns) for event in batch]
            table = await threads.run(partial(arrow.Table.from_pylist, rows, schema=schema))
            await threads.run(writer.write_table, table)
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await threads.run(writer.close)
    return number


async def _batches(
    database: Database, run_id: str, recorder: Recorder, *, is_usual_state: bool
) -> AsyncIterator[list[Event]]:
    """Iterate over the stored events; the recorder is given the others in their place."""
    async for batch in stored_events(database, run_id, follow=False, is_usual_state=is_usual_state):
        stored: list[Event] = []
        for event in batch.events:
            if isinstance(event, TRANSIENT):
                if stored:
                    yield stored
                    stored = []
                recorder.skip(event)
            else:
                stored.append(event)
        if stored:
            yield stored


def _row(recorder: Recorder, event: Event, columns: Mapping[str, ColumnType]) -> dict[str, Any]:
    row = recorder.record(event)
    row["timestamp"] = event.at
    for name, value in row.items():
        if columns[name] == "json":
            row[name] = json_line(value).decode().rstrip("\n")
        elif isinstance(value, str):
            row[name] = plain_text(value)  # the name of a file may be no text
    return row


@cache
def event_columns() -> dict[str, ColumnType]:
    """Return the columns of the table: the fields of all stored events, each with the type that it has there.

    A field with members, or of several types, is JSON text.
    """
    columns = _types_of(EventRecord, EventRecord.__struct_fields__)
    for kind in get_args(Journalled):
        own = own_struct(kind)
        for name, found in _types_of(own, own.__struct_fields__).items():
            columns[name] = found if columns.get(name, found) == found else "json"
    return columns


def _types_of(kind: type[msgspec.Struct], names: tuple[str, ...]) -> dict[str, ColumnType]:
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {name: _column_type(hints[name]) for name in names}


def _column_type(hint: Any) -> ColumnType:
    parts = [one for one in get_args(hint) if one is not type(None)]
    if parts and all(isinstance(one, str) for one in parts):  # Literal
        return "text"
    if len(parts) == 1 and type(None) in get_args(hint):  # X | None
        hint = parts[0]
    return _TYPES.get(getattr(hint, "__name__", ""), "json")


def run_of_parquet(path: Path) -> str:
    """Return the id of the run whose events a Parquet file has; empty if it is another file.

    Raises:
        MissingExtra: pyarrow is not installed.
        OSError: the file cannot be read.
    """
    arrow = import_pyarrow()
    with suppress(arrow.ArrowInvalid):
        metadata = arrow.parquet.read_schema(path).metadata or {}
        return str(metadata.get(RUN_KEY, b"").decode(errors="replace"))
    return ""
