"""Append the output of programs to a file, up to a limit.

Imports little, as `left_output_script` uses it in a small process of its own.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

from aetherflow.file_access import FileAccess, make_folder, opener
from aetherflow.spec.read_file import refuse_named_pipe

LOG_LIMIT = 100 * 2**20
"""The most output in a step's log file (bytes, for each start of the program)."""


class AppendedFile:
    """A file to which output is appended; it and its folder are created at the first write.

    Attributes:
        problem: why not everything is in the file; else empty.
        mark: a line to write first if the file has content already; with `is_marked`, in any case.
    """

    def __init__(
        self,
        path: Path,
        access: FileAccess | None,
        limit: int | None = None,
        *,
        mark: str = "",
        is_marked: bool = False,
    ) -> None:
        self.path = path
        self.access = access
        self.problem = ""
        self.mark = mark
        self.is_marked = is_marked
        self.limit = self._left = limit
        self._file: FileIO | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything was written."""
        return self._file is not None

    def write(self, data: bytes) -> None:
        """Append; an error of the disk becomes the `problem`."""
        if self.problem:
            return
        try:
            if self._file is None:
                if self.path.exists():  # the reader of a pipe may never come, nor read
                    refuse_named_pipe(self.path)
                make_folder(self.path.parent, self.access)
                self._file = FileIO(self.path, "ab+", opener=opener(self.access))
                data = self._marked(self._file) + data
            if self._left is not None and len(data) > self._left:
                why = f"has reached its limit of {self.limit} bytes; the rest is missing from it"
                self.problem = f"{self.path} {why}"
                # Without its path, which may be another one where the file is read.
                data = data[: self._left] + f"\n[aetherflow: this file {why}]\n".encode()
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            if self._left is not None:
                self._left -= len(data)
        except OSError as error:
            self.problem = f"cannot write {self.path}: {error.strerror or error}"

    def _marked(self, file: FileIO) -> bytes:
        """Return the line that separates new output from what the file has already, if it needs one."""
        size = os.fstat(file.fileno()).st_size
        if not self.mark or not (size or self.is_marked):
            return b""
        is_open = size and os.pread(file.fileno(), 1, size - 1) != b"\n"
        return (b"\n" if is_open else b"") + f"{self.mark}\n".encode()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
