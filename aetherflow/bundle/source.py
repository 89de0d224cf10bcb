"""The port for bundle sources: a source lists its files with fingerprints and streams their contents.

Plugins implement it for a type of source and register it under the entry-point group
`aetherflow.bundle_sources`; `filesystem` is here.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Awaitable, Callable
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
        mtime_ns: when it was last changed, in the source's own clock; None if unknown.
        sha256: of its content, as hex digits, if the source knows it without reading the file.
        executable: whether it may be executed.
    """

    path: str
    size: int
    mtime_ns: int | None = None
    sha256: str | None = None
    executable: bool = False


class SourceRequest(msgspec.Struct, frozen=True):
    """What a source is opened with.

    Attributes:
        bundle_id: the id of the bundle.
        spec: `bundle.source` of the manifest.
        directory: the folder of the manifest; relative local paths start there.
        connect: returns the open connector of `spec.resource`; it is closed after the sync.
    """

    bundle_id: str
    spec: SourceSpec
    directory: Path
    connect: Callable[[], Awaitable[Connector]]


class SourceChanged(BundleError):
    """A file changed since it was listed: the sync lists and reads again, a few times."""

    default_code = "AF857"


class BundleSource(abc.ABC):
    """Base of all sources. None may block the event loop: blocking libraries go to worker threads.

    Attributes:
        place: where the files really are, if opening it has shown that: behind links, for instance. What was
            read from another place is not compared with them.
    """

    place: str = ""

    @classmethod
    @abc.abstractmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Make ready to list.

        Raises:
            BundleError: the source cannot be reached, or is not what the manifest says.
        """

    @abc.abstractmethod
    def list(self) -> AsyncIterator[BundleFile]:
        """Yield every file, in any order; called more than once.

        Raises:
            BundleError: it cannot be listed, or holds what no bundle may hold.
        """

    @abc.abstractmethod
    def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a file that was listed, in pieces of at most CHUNK_BYTES.

        Raises:
            SourceChanged: it changed since it was listed.
            BundleError: it cannot be read.
        """

    async def aclose(self) -> None:
        """Release everything; called once, also after a failed sync."""
        return
