"""Count what is read of an archive, against limits: files, bytes, bytes for each packed byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from aetherflow import StepError, files
from aetherflow_archive.archive_connector import FREE_BYTES, Limits


class UnpackCount:
    """Counts the content of one archive; what the archive says of itself does not matter.

    Args:
        path: the archive.
        limits: how much it may hold.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._packed = path.stat().st_size
        self._ratio = limits.ratio
        self._count = files.ReadLimit(
            f"the archive {path}",
            max_files=limits.files,
            max_bytes=limits.size,
            hint="if that is right, raise max_files or max_size",
        )

    def add_file(self) -> None:
        """Count a file, or a folder.

        Raises:
            StepError: there are more than the limit (AF722).
        """
        self._count.add_file()

    def add_bytes(self, count: int) -> None:
        """Count bytes.

        Raises:
            StepError: there are more than the limit (AF722), or many times more than the archive has (AF394).
        """
        self._count.add_bytes(count)
        read, allowed = self._count.bytes, self._packed * self._ratio
        if read > FREE_BYTES and read > allowed:
            raise StepError(
                f"the archive {self._path} has {self._packed:,} bytes and unpacks to more "
                f"than {int(allowed):,}, more than {self._ratio:g} times as much",
                hint="if that is right, raise max_ratio",
                code="AF394",
            )

    def blocks(self, file: BinaryIO, size: int = files.BLOCK_BYTES) -> Iterator[bytes]:
        """Yield the content of a file of the archive block by block, counted.

        Raises:
            StepError: a limit is exceeded (AF722, AF394).
        """
        self.add_file()
        while data := file.read(size):
            self.add_bytes(len(data))
            yield data
