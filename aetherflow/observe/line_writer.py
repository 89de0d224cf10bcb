"""Write batches of lines to a stream and flush it; raise one clear error when its reader is gone."""

from __future__ import annotations

import json
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, AnyStr, Generic, Literal

import msgspec

from aetherflow.errors import AetherFlowError


class OutputLostError(AetherFlowError):
    """An observer cannot write any more (closed pipe, full disk); the run continues without it."""

    default_code = "AF810"


_NAMES = {"<stdout>": "standard output", "<stderr>": "standard error"}


class LineWriter(Generic[AnyStr]):
    """Writes and flushes a stream a batch at a time; it blocks, so call it in a worker thread."""

    def __init__(self, stream: IO[AnyStr], name: str = "") -> None:
        self.stream: IO[AnyStr] = stream
        own = getattr(stream, "name", "")  # a number where the stream was made from a file descriptor
        self.name = name or _NAMES.get(own, own if isinstance(own, str) and own else "the output")

    def close(self) -> None:
        """Close the stream.

        Raises:
            OSError: what is in its buffer cannot be written.
        """
        self.stream.close()

    def write(self, batch: AnyStr) -> None:
        """Write and flush a batch.

        Raises:
            OutputLostError: the stream is closed or refuses the data.
        """
        with writing_to(self.stream, self.name):
            try:
                self.stream.write(batch)
            except UnicodeEncodeError as error:
                # An old locale: better an escaped letter than no log. Nothing of the batch is written yet.
                self.stream.write(_escaped(batch, error.encoding))
            self.stream.flush()

    def raise_if_unread(self) -> None:
        """Find out without a write that the reader of a pipe has left.

        Raises:
            OutputLostError: nobody reads the stream any more.
        """
        with writing_to(self.stream, self.name):
            poll = select.poll()
            poll.register(self.stream.fileno(), 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                raise BrokenPipeError


def when_full(stream: IO[Any]) -> Literal["wait", "wait_briefly"]:
    """Return how long a run waits for a stream: for a disk as long as it takes, for a reader only briefly."""
    try:
        return "wait" if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else "wait_briefly"
    except (OSError, ValueError):  # closed, or no file at all
        return "wait_briefly"


@contextmanager
def writing_to(stream: IO[AnyStr], name: str) -> Iterator[None]:
    """Raise the same error however a stream is gone.

    Raises:
        OutputLostError: the stream is closed or refuses the data.
    """
    try:
        yield
    except BrokenPipeError as error:
        raise OutputLostError(
            f"nobody reads {name} any more (broken pipe)",
            hint="keep the reader of the pipe alive, or write to a file",
        ) from error
    except OSError as error:
        raise OutputLostError(f"cannot write to {name}: {error.strerror or error}") from error
    except ValueError as error:
        if not stream.closed:
            raise
        raise OutputLostError(f"cannot write to {name}: it is closed") from error


def json_line(value: Any) -> bytes:
    r"""Return a value as one line of JSON, with its line end.

    Text that is no valid Unicode (a file name of another encoding) is written with `\udcXX` escapes.
    """
    try:
        return msgspec.json.encode(value) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode() + b"\n"


def _escaped(batch: AnyStr, encoding: str) -> AnyStr:
    return batch.encode(encoding, "backslashreplace").decode(encoding) if isinstance(batch, str) else batch
