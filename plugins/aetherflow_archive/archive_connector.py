"""The base class of the archive connectors, what they pack and unpack, and which one a step uses.

A connector for another format or program implements `pack` and `unpack`. Both block and are called in a
worker thread; choosing files, safe destinations, temporary names and renaming are the same for all.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from aetherflow import Connector
from aetherflow_archive.formats import Format
from aetherflow_archive.watching import Watch

Compression = Literal["deflated", "stored"]


class PackedFile(msgspec.Struct, frozen=True, order=True):
    """A file that goes into an archive.

    Attributes:
        name: its name there, with `/` between the parts.
        path: the file.
    """

    name: str
    path: Path


class Packing(msgspec.Struct, frozen=True):
    """What an archive is made of.

    Attributes:
        base: the folder that the names are relative to.
        members: the files, sorted by name, each name once.
        password: encrypts the archive; None: it is not encrypted.
        compression: whether the files of a zip archive are compressed.
        format: of the archive.
    """

    base: Path
    members: Sequence[PackedFile]
    password: str | None = None
    compression: Compression = "deflated"
    format: Format = "zip"


class Limits(msgspec.Struct, frozen=True):
    """How much one archive may hold; counted on what is really read.

    Attributes:
        files: the number of files.
        size: their bytes together.
        ratio: their bytes for each byte of the archive, as soon as they are more than `FREE_BYTES`.
    """

    files: int = 100_000
    size: int = 100 * 10**9
    ratio: float = 200.0


FREE_BYTES = 10**7
"""The ratio is checked above this size: a small file of zeros harms nobody."""


class Unpacking(msgspec.Struct, frozen=True):
    """How an archive is unpacked.

    Attributes:
        members: names, or patterns such as `*.csv`, of which each must match; None: everything.
        password: decrypts it.
        name_encoding: the code page of names that are not marked as UTF-8; "" finds out.
        limits: how much it may hold.
        format: of the archive.
    """

    members: Sequence[str] | None = None
    password: str | None = None
    name_encoding: str = ""
    limits: Limits = Limits()
    format: Format = "zip"


class ArchiveConnector(Connector):
    """Packs and unpacks archives.

    Attributes:
        driver: its name in `zip_drivers` of a manifest and in the outputs of steps.
        formats: what it packs and unpacks.
    """

    restricted_by: ClassVar[Literal["", "zip_drivers"]] = "zip_drivers"
    driver: ClassVar[str]
    formats: ClassVar[frozenset[Format]] = frozenset(("zip",))

    @abc.abstractmethod
    def pack(self, target: Path, packing: Packing, watch: Watch) -> None:
        """Write an archive to a path where nothing is; what is left there after an error is removed.

        Raises:
            StepError: a file cannot be read or has changed, or the password cannot be used.
            OSError: the archive cannot be written.
        """

    @abc.abstractmethod
    def unpack(self, archive: Path, folder: Path, unpacking: Unpacking, watch: Watch) -> list[str]:
        """Write the files of an archive below an empty folder, and return their names, folders with `/`.

        Raises:
            StepError: it is no archive, is damaged, exceeds a limit, has an unsafe name, or the password is
                wrong.
            OSError: a file cannot be written.
        """

    @abc.abstractmethod
    def holds(self, archive: Path, packing: Packing, watch: Watch) -> bool:
        """Whether an archive holds exactly these files with this content.

        Raises:
            StepError: it cannot be read.
        """

    async def aclose(self) -> None:
        """Close nothing: each archive is closed after its use."""
