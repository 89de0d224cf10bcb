"""Stand in for `sys.stdout` and `sys.stderr` while a command runs."""

from __future__ import annotations

import io
import sys
from typing import Any, NoReturn, TextIO

from aetherflow.plugin_output.targets import StandardError, Stream, flush_outside, is_capturing, target


class CapturedStream(io.TextIOBase):
    """Stands in for a standard stream: text goes to the target of the caller."""

    def __init__(self, stream: Stream, real: TextIO, descriptor_of: TextIO) -> None:
        self._stream: Stream = stream
        self.real = real
        self._descriptor_of = descriptor_of
        self.name = f"<{stream}>"
        self.buffer = _CapturedBytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute of the base
        """What `print` expects; nothing is encoded."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]  # as above
        """As `encoding`."""
        return "backslashreplace"

    def write(self, text: str, /) -> int:
        """Pass text on to the target."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        taker = target() if is_capturing() else StandardError(self.real)  # kept after the end of the command
        taker.write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Print what has no target and no end of a line."""
        flush_outside()

    def close(self) -> None:
        """Do nothing: all code of the process writes to the stream."""

    def writable(self) -> bool:
        """As of any standard stream."""
        return True

    def reconfigure(self, **_: Any) -> None:
        """Do nothing: the text goes to the log, whatever its encoding."""

    def fileno(self) -> int:
        """Return the descriptor of standard error, for programs: standard output is the report's."""
        return self._descriptor_of.fileno()


class _CapturedBytes(io.BufferedIOBase):
    """The `buffer` of a captured stream."""

    def __init__(self, text: CapturedStream) -> None:
        self._text = text

    @property
    def raw(self) -> _CapturedBytes:
        return self

    def write(self, data: Any, /) -> int:
        content = bytes(data)
        self._text.write(content.decode("utf-8", "backslashreplace"))
        return len(content)

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        """Do nothing, as the stream above."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def detach(self) -> NoReturn:
        raise io.UnsupportedOperation("detach")


def real_stdout() -> TextIO:
    """Return the standard output of the process, for reports."""
    return sys.stdout.real if isinstance(sys.stdout, CapturedStream) else sys.stdout


def real_stderr() -> TextIO:
    """Return the standard error of the process."""
    return sys.stderr.real if isinstance(sys.stderr, CapturedStream) else sys.stderr
