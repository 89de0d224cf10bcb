"""The process that reads SQLite by ADBC (`sqlite_worker`): start it, send a query, take its rows."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from aetherflow.data_files import use_system_memory

WORKER = Path(__file__).with_name("sqlite_worker.py")

PACKAGES = ("adbc_driver_manager", "adbc_driver_sqlite", "pyarrow")
PIPE_BYTES = 2**20
"""How much may wait in the pipe: about a batch."""

Format = Literal["l", "g", "u", "n"]
"""What Arrow's C data interface calls int64, float64, text, and no type: only nulls."""


class InexactError(Exception):
    """The other process did not give, for sure, the rows that Python's module gives."""


class Request(msgspec.Struct, frozen=True):
    """What the other process does.

    Attributes:
        uri: the file, for SQLite.
        sql: the query, with one more column: whether a value is of another type than expected.
        params: for its question marks.
        formats: what the other columns must be.
        batch_rows: how many rows it sends at once.
    """

    uri: str
    sql: str
    params: list[int | float | str]
    formats: list[Format]
    batch_rows: int


class _Column(msgspec.Struct, frozen=True, array_like=True):
    """A column of a batch: how many nulls it has, and the sizes of its buffers."""

    nulls: int
    sizes: list[int]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """What comes before the buffers of a batch."""

    rows: int
    columns: list[_Column]


def is_installed() -> bool:
    """Whether there is all that the process needs."""
    return all(map(find_spec, PACKAGES))


class SqliteProcess:
    """A process that can read one query; `start` it ahead, for it takes a moment to be ready."""

    def __init__(self) -> None:
        """Start nothing."""
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs, or the system has no room for one."""
        if self._child is not None:
            return
        specs = [find_spec(name) for name in PACKAGES]
        folders = {str(Path(spec.origin).parents[1]) for spec in specs if spec is not None and spec.origin}
        words = [sys.executable, "-I", "-S", str(WORKER), *sorted(folders)]
        with suppress(OSError):  # of too many processes, for one: `batches` reports that there is none
            self._child = subprocess.Popen(  # noqa: S603 - our own script, by our own interpreter
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            _enlarge(self._child.stdout)

    def batches(self, request: Request, names: Sequence[str]) -> Iterator[Any]:
        """Run a query and return its rows as record batches.

        Raises:
            InexactError: while one iterates: the rows are not, for sure, those of Python's module.
        """
        self.start()
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise InexactError
        try:
            child.stdin.write(msgspec.json.encode(request) + b"\n")
            child.stdin.flush()
            yield from _read(child.stdout, request, names)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise InexactError from error
        if child.wait() != 0:
            raise InexactError

    def kill(self) -> None:
        """Kill it; `batches` then raises."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """End it, if it runs."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):  # the request may not have reached it
                    pipe.close()
        child.wait()


def _enlarge(pipe: IO[bytes] | None) -> None:
    """Make a pipe larger; an unprivileged user has a quota of such memory, and a small pipe does too."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _read(file: IO[bytes], request: Request, names: Sequence[str]) -> Iterator[Any]:
    """Read what `sqlite_worker` writes."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    use_system_memory()
    types: dict[Format, Any] = {"l": pa.int64(), "g": pa.float64(), "u": pa.string()}
    formats: list[Format] = ["l" if one == "n" else one for one in request.formats]  # so ADBC sends nulls
    if msgspec.json.decode(file.readline()) != formats:
        raise InexactError
    while line := file.readline():
        head = msgspec.json.decode(line, type=_Head)
        arrays = []
        for one, column in zip(formats, head.columns, strict=True):
            buffers = [_buffer(file, size) if size else None for size in column.sizes]
            arrays.append(pa.Array.from_buffers(types[one], head.rows, buffers, column.nulls))
        batch = pa.record_batch(arrays, names=list(names))
        batch.validate(full=True)  # a text may be no UTF-8
        yield batch


def _buffer(file: IO[bytes], size: int) -> Any:
    """Read a buffer; each has memory of its own, so that what is not needed any more is free."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency, and slow to import

    buffer = pa.allocate_buffer(size)
    if file.readinto(memoryview(buffer)) != size:  # type: ignore[attr-defined]
        raise InexactError
    return buffer
