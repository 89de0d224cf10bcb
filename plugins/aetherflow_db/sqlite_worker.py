"""A program: run a query of SQLite by ADBC, and write its rows to stdout as the buffers of Arrow arrays.

It imports nothing of AetherFlow. A query of ADBC cannot be interrupted, but a process can be killed; and a
second SQLite library in one process drops the locks of the first. It reads Arrow's C structures itself:
pyarrow would take more time and memory than all the rest, and is imported for parameters only.

The arguments are folders with packages. The first line of stdin is the request as JSON; stdin is open as long
as the rows are wanted. To stdout goes a line of JSON with the formats of the columns. Then comes for each
batch a line of JSON, [rows, [[nulls, [size of a buffer, ...]], ...]], and the buffers. The last column of the
query is not sent: where it is not 0 the program ends. The exit code 0 means that all rows were sent.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int32, c_int64, c_void_p
from typing import Any, NoReturn


class Schema(ctypes.Structure):
    """`ArrowSchema` of Arrow's C data interface."""


class Array(ctypes.Structure):
    """`ArrowArray` of Arrow's C data interface."""


class Stream(ctypes.Structure):
    """The beginning of `ArrowArrayStream` of Arrow's C stream interface."""


Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_char_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(Schema))),
    ("dictionary", c_void_p),
    ("release", CFUNCTYPE(None, POINTER(Schema))),
    ("private_data", c_void_p),
]
Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(Array))),
    ("dictionary", c_void_p),
    ("release", CFUNCTYPE(None, POINTER(Array))),
    ("private_data", c_void_p),
]
Stream._fields_ = [
    ("get_schema", CFUNCTYPE(c_int, POINTER(Stream), POINTER(Schema))),
    ("get_next", CFUNCTYPE(c_int, POINTER(Stream), POINTER(Array))),
]


def main() -> None:
    """Do what the request says.

    Raises:
        Exception: the query fails, or a value is of another type than the first ones of its column.
    """
    sys.path += sys.argv[1:]
    import adbc_driver_manager as adbc  # noqa: PLC0415 - its folder is known now
    import adbc_driver_sqlite as driver  # noqa: PLC0415 - the same

    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    with (
        driver.connect(request["uri"]) as database,
        adbc.AdbcConnection(database) as connection,
        adbc.AdbcStatement(connection) as statement,
    ):
        statement.set_options(**{"adbc.sqlite.query.batch_rows": str(request["batch_rows"])})
        statement.set_sql_query(request["sql"])
        if request["params"]:
            statement.prepare()
            statement.bind(_row(request["params"]))
        handle, _ = statement.execute_query()
        stream = Stream.from_address(handle.address)
        formats = _formats(stream)
        _send(json.dumps(formats[:-1]).encode() + b"\n")
        for batch in _batches(stream):
            _send_batch(batch, formats)


def _end_with_stdin() -> NoReturn:
    """End this process when nobody has the other end of stdin any more, also if that process was killed."""
    os.read(0, 1)
    os._exit(3)


def _row(params: list[Any]) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - large

    return pa.record_batch([[value] for value in params], names=list(map(str, range(len(params)))))


def _formats(stream: Stream) -> list[str]:
    """Return what Arrow's C data interface calls the types of the columns."""
    schema = Schema()
    if stream.get_schema(stream, schema) != 0:
        raise OSError("no schema")
    formats = [schema.children[number][0].format.decode() for number in range(schema.n_children)]
    schema.release(schema)
    return formats


def _batches(stream: Stream) -> Iterator[Array]:
    """Read the batches; each is released when the next one is requested."""
    while True:
        batch = Array()
        if stream.get_next(stream, batch) != 0:
            raise OSError("the query failed, or a value is of another type")
        if not batch.release:
            return
        yield batch
        batch.release(batch)


def _send_batch(batch: Array, formats: list[str]) -> None:
    columns = [batch.children[number][0] for number in range(batch.n_children)]
    *buffers, (_, others) = [_buffers(column, kind) for column, kind in zip(columns, formats, strict=True)]
    if others != bytes(len(others)):
        raise ValueError("a value is of another type")
    nulls = [column.null_count for column in columns]
    heads = [[count, list(map(len, own))] for count, own in zip(nulls, buffers, strict=False)]
    _send(json.dumps([batch.length, heads]).encode() + b"\n")
    for own in buffers:
        for buffer in own:
            _send(buffer)


def _buffers(column: Array, kind: str) -> list[memoryview]:
    """Return which values are not NULL, and the values; of texts their places and the bytes."""
    if column.offset:
        raise ValueError("a part of an array")
    rows, places = column.length, column.buffers
    valid = _memory(places[0], (rows + 7) // 8 if column.null_count else 0)
    if kind != "u":
        return [valid, _memory(places[1], rows * 8)]
    ends = _memory(places[1], (rows + 1) * 4)
    return [valid, ends, _memory(places[2], c_int32.from_buffer_copy(ends, rows * 4).value)]


def _memory(place: int | None, size: int) -> memoryview:
    if not place or not size:
        return memoryview(b"")
    return memoryview((ctypes.c_char * size).from_address(place)).cast("B")


def _send(data: bytes | memoryview) -> None:
    sys.stdout.buffer.write(data)


if __name__ == "__main__":
    main()
