"""Open data files for reading, decompressed; their errors say what is wrong with the file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from aetherflow.data_files.formats import Compression
from aetherflow.errors import MissingExtra, StepError


def unreadable(path: Path, why: str, hint: str = "", line: int | None = None) -> StepError:
    """Return the error for a data file that cannot be read (AF906)."""
    place = f", line {line:,}" if line else ""
    hint = hint or "check the file, and the inputs that say how it is written"
    return StepError(f"cannot read {path}{place}: {why}", hint=hint, code="AF906")


@contextmanager
def opened(path: Path, compression: Compression | None) -> Iterator[BinaryIO]:
    """Open a file for reading in a `with` block; what goes wrong while it is read is a StepError.

    Raises:
        StepError: the file cannot be read, is damaged, or its text is not in its encoding (AF906).
        MissingExtra: backports.zstd is not installed.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable_by(path, error) from error
    with file, _decompressed(file, compression) as stream:
        try:
            yield cast("BinaryIO", _Reported(stream, path, compression))
        except UnicodeDecodeError as error:
            found = error.object[error.start : error.start + 1].hex()
            why = f"it has the byte 0x{found}, which is no {error.encoding} ({error.reason})"
            hint = "name its encoding in the file options, for example cp1252"
            if error.start == 0 and error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                why, hint = "it begins with the byte order mark of UTF-16", "set encoding: utf-16"
            raise unreadable(path, why, hint) from error
        except csv.Error as error:
            raise unreadable(path, str(error)) from error


def _decompressed(file: BinaryIO, compression: Compression | None) -> AbstractContextManager[IO[bytes]]:
    match compression:
        case None:
            return nullcontext(file)
        case "gz":
            return cast("AbstractContextManager[IO[bytes]]", gzip.open(file))
        case "zst":
            return cast("AbstractContextManager[IO[bytes]]", import_zstd().ZstdFile(file))


def _unreadable_by(path: Path, error: OSError) -> StepError:
    return unreadable(path, error.strerror or str(error), "check the path and the permissions")


class _Reported(io.BufferedIOBase):
    """A file that reports its own errors; an OSError of what is done with its content is none of them."""

    def __init__(self, file: IO[bytes], path: Path, compression: Compression | None) -> None:
        self._file = file
        self._path = path
        self._compression = compression
        self._damaged: tuple[type[Exception], ...] = (gzip.BadGzipFile, EOFError, zlib.error)
        if compression == "zst":
            self._damaged += (import_zstd().ZstdError,)

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1, /) -> bytes:
        return self.read(io.DEFAULT_BUFFER_SIZE if size < 0 else size)

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            StepError: they cannot be read, or are damaged (AF906).
        """
        try:
            return self._file.read(-1 if size is None else size)
        except self._damaged as error:
            raise unreadable(self._path, f"it is no whole {self._compression} file ({error})") from error
        except OSError as error:
            raise _unreadable_by(self._path, error) from error


def import_zstd() -> Any:
    """Return the module for zst files: Python's own from 3.14, and the same for older versions.

    Unlike others it reports a file that ends too early.

    Raises:
        MissingExtra: it is not installed.
    """
    for name in ("compression.zstd", "backports.zstd"):
        with suppress(ModuleNotFoundError):
            return import_module(name)
    raise MissingExtra(
        "a zst file needs backports.zstd, which is not installed", hint="pip install 'aetherflow[archive]'"
    )
