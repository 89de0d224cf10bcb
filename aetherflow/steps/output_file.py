"""The file `$AETHERFLOW_OUTPUT`, in which a program writes outputs of its step.

To make, look at and remove it takes microseconds, as for the folder that it is in: a thread for that would
cost ten times as much. To read and parse it takes longer.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Any

from aetherflow.errors import StepError
from aetherflow.file_access import open_file
from aetherflow.sdk.context import StepContext
from aetherflow.steps.named_values import Source, object_or_named_values

VARIABLE = "AETHERFLOW_OUTPUT"
LARGEST = 1 << 20
"""How many bytes the file may have."""

_CODE = "AF714"


class OutputFile:
    """The file of one step: private, empty before each attempt, gone after it."""

    def __init__(self, context: StepContext) -> None:
        # A program of another attempt, on a machine that was out of reach, must not write into this one's.
        self.path = context.directory("") / f".{context.step_id}.{context.attempt}.output"
        self._mask = context.redactor.text

    def prepare(self) -> None:
        """Make it, empty.

        Raises:
            StepError: it cannot be made.
        """
        try:
            try:
                self._make()
            except FileExistsError:  # of an attempt that was killed
                self.path.unlink()
                self._make()
        except OSError as error:
            raise self._error(error.strerror or str(error)) from None

    def _make(self) -> None:
        open_file(self.path, "xb", "private", buffering=0).close()

    @property
    def is_unwritten(self) -> bool:
        """Whether there is nothing to read: the program left the file as it was, or removed it."""
        try:
            found = os.lstat(self.path)
        except OSError as error:
            return isinstance(error, FileNotFoundError)
        return stat.S_ISREG(found.st_mode) and not found.st_size

    def read(self) -> dict[str, Any]:
        """Return what the program wrote; nothing if it removed the file.

        Raises:
            StepError: it is too large, no file of text, or has a line that says nothing; the line is named.
        """
        content = self._content()
        if len(content) > LARGEST:
            line = content[:LARGEST].count(b"\n") + 1
            raise self._error(
                f"it has more than {LARGEST:,} bytes in line {line}",
                "write large values to a file, and its path here",
            )
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise self._error(f"line {line} is not UTF-8", "write text in UTF-8") from None
        return object_or_named_values(Source(text, f"${VARIABLE}", _CODE, self._mask))

    def remove(self) -> None:
        """Remove it; one that cannot be removed goes with the folders of the run."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _content(self) -> bytes:
        """Return at most one byte more than is allowed; what is no file is refused."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._error(error.strerror or str(error)) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise self._error("the program put something else in its place")
            content = b""
            while len(content) <= LARGEST and (piece := os.read(descriptor, LARGEST + 1 - len(content))):
                content += piece
            return content
        finally:
            os.close(descriptor)

    def _error(self, reason: str, hint: str = "") -> StepError:
        return StepError(f"${VARIABLE} ({self.path}): {reason}", hint=hint, code=_CODE)


def check_names(named: dict[str, Any], taken: set[str]) -> None:
    """Refuse a name that the step itself gives a value.

    Raises:
        StepError: one is taken.
    """
    for name in named:
        if name in taken:
            raise StepError(
                f"${VARIABLE}: {name!r} is an output that the step makes itself",
                hint="write another name",
                code=_CODE,
            )
