"""What a migration knows besides the text: where the file is, and where 0.0 was started. Pure."""

from __future__ import annotations

import os.path
from collections.abc import Callable, Collection

import msgspec


class Surroundings(msgspec.Struct, frozen=True):
    """Where the file is, and what is installed.

    Attributes:
        folder: the folder of the file, absolute: relative paths in it begin there.
        started: the folder where 0.0 was started, absolute: there they began in it.
        step_types: the step types that are installed here.
        read: returns the text of a file by its path, None if it cannot be read.
    """

    folder: str
    started: str
    step_types: Collection[str]
    read: Callable[[str], str | None]

    @property
    def is_moved(self) -> bool:
        """Whether a relative path means another place here."""
        return os.path.normpath(self.folder) != os.path.normpath(self.started)

    def from_file(self, path: str) -> str:
        """Return a path, relative to where 0.0 was started, relative to the file."""
        return os.path.relpath(f"{self.started}/{path}", self.folder)
