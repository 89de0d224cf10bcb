"""What a worker asks of the engine about files: their final names, logs, inputs and outputs.

Paths and contents are bytes: a path need not be UTF-8. In JSON they are Base64.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from aetherflow.sdk.files import Way

Artifacts = Literal["shared", "ship"]
"""How files get to a worker: it sees the same folders, or they are sent through the engine."""

CHUNK_BYTES = 512 * 1024
"""How much of a file is in one message at most."""


class Chunk(msgspec.Struct, frozen=True):
    """A piece of a file.

    Attributes:
        sha256: its checksum, as hexadecimal digits.
    """

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> Chunk:
        """Return a piece with its checksum."""
        return cls(data, hashlib.sha256(data).hexdigest())

    @property
    def is_whole(self) -> bool:
        """Whether it is what was sent, and not too long."""
        return len(self.data) <= CHUNK_BYTES and hashlib.sha256(self.data).hexdigest() == self.sha256


class PublishFile(msgspec.Struct, frozen=True, tag="publish_file"):
    """Give a complete file its final name; the engine does so only if the attempt still counts.

    The reply is a `Published`. Only a file that has the name of an incomplete one is renamed by the engine;
    for another one, or one that it does not see, it answers that the worker may do it.
    """

    temporary: bytes
    final: bytes
    way: Way = "replace"


class Published(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a file that was to get its final name.

    Attributes:
        outcome: `done`; or the name is `taken`; or the worker does it; or the system refused it.
        errno: why it refused; else 0.
    """

    outcome: Literal["done", "taken", "yours", "refused"]
    errno: int = 0


class OpenLog(msgspec.Struct, frozen=True, tag="open_log"):
    """Begin to send a log file of the attempt; the reply is the offset (bytes) of its first byte there.

    Attributes:
        name: of the file, in the folder of the job.
    """

    name: str


class WriteLog(msgspec.Struct, frozen=True, tag="write_log"):
    """Write a piece of a log file at its offset; the reply says that it is written. It may be repeated."""

    name: str
    offset: int
    data: bytes


class ListInputs(msgspec.Struct, frozen=True, tag="list_inputs"):
    """Return the files that the inputs of the step name, as a list of `ShippedFile`."""


Root = Literal["work", "flow", "logs"]
"""Where a path starts: the root of the workspace, the folder of the flow file, or the root of the logs."""


class ShippedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file, folder or link that is sent to a worker or back.

    Attributes:
        path: relative to its root.
        size: of a file, in bytes.
        mode: its permissions.
        mtime_ns: when it was changed.
        target: what a link says.
    """

    path: bytes
    kind: Literal["file", "folder", "link"]
    root: Root = "work"
    size: int = 0
    mode: int = 0
    mtime_ns: int = 0
    target: bytes = b""


class ReadInput(msgspec.Struct, frozen=True, tag="read_input"):
    """Return a piece of a file of the list of the inputs, a `Chunk`."""

    path: bytes
    root: Root
    offset: int


class ListOutputs(msgspec.Struct, frozen=True, tag="list_outputs"):
    """Say what the attempt made, changed and removed in the folders of its job; the reply says that it may.

    What it holds gets its final names when the end of the attempt is accepted.

    Attributes:
        files: below the folder of the job; their paths are relative to it.
        removed: what the worker got of it, and is not there any more.
    """

    files: list[ShippedFile]
    removed: list[ShippedFile] = []


class WriteOutput(msgspec.Struct, frozen=True, tag="write_output"):
    """Write a piece of an output; the reply says that it is written. Pieces of a file come in order.

    Attributes:
        number: its place in the list of the outputs, from 0.
    """

    number: int
    offset: int
    chunk: Chunk


FileAsk = PublishFile | OpenLog | WriteLog | ListInputs | ReadInput | ListOutputs | WriteOutput
"""What a worker may ask about files."""
