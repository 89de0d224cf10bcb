"""Open data files for reading, decompressed; their errors say what is wrong with the file."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

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
    damaged: tuple[type[Exception], ...] = (gzip.BadGzipFile, EOFError, zlib.error)
    try:
        with path.open("rb") as file:
            match compression:
                case None:
                    yield file
                case "gz":
                    with gzip.open(file) as stream:
                        yield cast("BinaryIO", stream)
                case "zst":
                    zstd = import_zstd()
                    damaged += (zstd.ZstdError,)
                    with zstd.ZstdFile(file) as stream:
                        yield stream
    except damaged as error:
        raise unreadable(path, f"it is no whole {compression} file ({error})") from error
    except UnicodeDecodeError as error:
        found = error.object[error.start : error.start + 1].hex()
        why = f"it has the byte 0x{found}, which is no {error.encoding} ({error.reason})"
        raise unreadable(path, why, "name its encoding in the file options, for example cp1252") from error
    except csv.Error as error:
        raise unreadable(path, str(error)) from error
    except OSError as error:
        raise unreadable(path, error.strerror or str(error), "check the path and the permissions") from error


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
