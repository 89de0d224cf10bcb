"""A data file that is written: compressed if requested, its checksum and size computed on the way."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from aetherflow.data_files.formats import Compression
from aetherflow.data_files.streams import import_zstd
from aetherflow.sdk.files import ChecksumFile

GZIP_LEVEL = 6
ZSTD_LEVEL = 3


class Output:
    """Takes the content of a data file.

    Attributes:
        size: how many bytes the file has so far.
    """

    def __init__(self, file: ChecksumFile, content: Any) -> None:
        self._file = file
        self._content = content

    @property
    def size(self) -> int:
        """How many bytes the file has so far, compressed."""
        return self._file.size

    def write(self, data: bytes | memoryview) -> None:
        """Write bytes of the content."""
        self._content.write(data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of the file; call it after the block."""
        return self._file.hexdigest()


@contextmanager
def output(path: Path, compression: Compression | None) -> Iterator[Output]:
    """Open a file for its content in a `with` block; equal content is equal bytes, also with gzip.

    Raises:
        OSError: the file cannot be written.
        MissingExtra: what compresses it is not installed.
    """
    with path.open("wb", buffering=0) as raw:
        file = ChecksumFile(cast("BinaryIO", raw))
        match compression:
            case None:
                yield Output(file, file)
            case "gz":
                with gzip.GzipFile("", "wb", GZIP_LEVEL, cast("BinaryIO", file), mtime=0) as stream:
                    yield Output(file, stream)
            case "zst":
                compressor = import_zstd().ZstdCompressor(ZSTD_LEVEL)
                yield Output(file, _Zst(file, compressor))
                file.write(compressor.flush())


class _Zst:
    """Compresses what is written."""

    def __init__(self, file: ChecksumFile, compressor: Any) -> None:
        self._file = file
        self._compressor = compressor

    def write(self, data: bytes | memoryview) -> None:
        """Write bytes of the content."""
        if compressed := self._compressor.compress(data):
            self._file.write(compressed)
