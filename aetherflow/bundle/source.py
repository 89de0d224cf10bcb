"""The port for bundle sources: a source lists its files with fingerprints and streams their contents.

A plugin implements `BundleSource` for a type of source and registers it under the entry-point group
`aetherflow.bundle_sources`. The type `filesystem` is built in.
"""

from __future__ import annotations

import abc
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

import msgspec

from aetherflow.errors import BundleError
from aetherflow.sdk.connector import Connector
from aetherflow.spec.manifest import SourceSpec

CHUNK_BYTES = 1024 * 1024
"""The most bytes that a source returns at a time, so that memory stays bounded for any bundle."""


class BundleFile(msgspec.Struct, frozen=True):
    """A file as its source lists it.

    Attributes:
        path: relative to the root of the bundle, with `/` between its parts.
        size: in bytes.
        mtime_ns: the modification time by the source's own clock; None if unknown.
        sha256: the checksum in hex digits, if the source knows it without reading the file.
        executable: whether the file is a program.
    """

    path: str
    size: int
    mtime_ns: int | None = None
    sha256: str | None = None
    executable: bool = False

    @classmethod
    def of_row(cls, path: object, size: object, time: object, sha256: object) -> Self:
        """Return the file that a row of a listing describes; a time in a zone of its own, or in UTC.

        Raises:
            ValueError: its path or its size is none.
        """
        if not isinstance(path, str) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"path is {path!r} and whose size is {size!r}")
        return cls(path, size, _nanoseconds(time), str(sha256).strip() or None if sha256 else None)


def _nanoseconds(value: object) -> int | None:
    """Return a time of a listing in nanoseconds since 1970; None if it is none. Without a zone it is UTC."""
    match value:
        case bool():
            return None
        case int() | float():
            return int(value * 1_000_000_000) if math.isfinite(value) else None
        case str():
            try:
                return _nanoseconds(datetime.fromisoformat(value))
            except ValueError:
                return None
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return int(aware.timestamp() * 1_000_000) * 1000
        case date():
            return _nanoseconds(datetime(value.year, value.month, value.day, tzinfo=UTC))
        case _:
            return None


class SourceRequest(msgspec.Struct, frozen=True):
    """The arguments of `BundleSource.open`.

    Attributes:
        bundle_id: the id of the bundle.
        spec: `bundle.source` of the manifest.
        directory: the folder of the manifest; relative local paths start there.
        connect: opens the connector of `spec.resource`, which the engine closes after the sync.
    """

    bundle_id: str
    spec: SourceSpec
    directory: Path
    connect: Callable[[], Awaitable[Connector]]


class SourceChanged(BundleError):
    """A file changed since it was listed; the sync lists and reads again, a few times."""

    default_code = "AF857"


class SourceInterrupted(BundleError):
    """The connection to the source failed; the sync lists and reads again, a few times."""


class BundleSource(abc.ABC):
    """Base of all sources. A source must not block the event loop: call blocking libraries in worker threads.

    Attributes:
        place: where the files really are, for instance behind links, if `open` found out. Files read from
            another place are fetched again.
    """

    place: str = ""

    @classmethod
    @abc.abstractmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Open the source, ready to list its files.

        Raises:
            BundleError: the source cannot be reached, or is not what the manifest says.
        """

    @abc.abstractmethod
    def list(self) -> AsyncIterator[BundleFile]:
        """Yield every file, in any order; called more than once.

        Raises:
            BundleError: the files cannot be listed, or one is not allowed in a bundle.
        """

    @abc.abstractmethod
    def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a file that was listed, in pieces of at most CHUNK_BYTES.

        Raises:
            SourceChanged: the file changed since it was listed.
            BundleError: the file cannot be read.
        """

    async def aclose(self) -> None:
        """Release everything; called once, also after a failed sync."""
        return
