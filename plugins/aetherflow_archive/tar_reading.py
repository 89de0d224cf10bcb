"""Read tar archives and compressed single files as streams: one pass, bounded memory, counted content.

A tar archive has no table of contents and no checksum of its content. So that one which ends too early is
never taken for a whole one, its end mark must be there (POSIX.1-2001, pax: two blocks of zeros).
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

import msgspec

from aetherflow import StepError, files
from aetherflow.data_files import import_zstd
from aetherflow_archive.archive_connector import Unpacking
from aetherflow_archive.formats import Format, plain_name
from aetherflow_archive.unpack_count import UnpackCount
from aetherflow_archive.watching import Watch

_BLOCK = 512
_READ_BYTES = 2**18
_MOST_EXTRA = 2**20
"""So long an additional header may be; the library reads each of them whole."""
_MOST_HEADERS = 10 * _BLOCK
"""So much of a tar archive may be headers for each file, on average: long names have some of their own."""


class StreamMember(msgspec.Struct, frozen=True):
    """One member of an archive that is read as a stream.

    Attributes:
        name: a folder ends with `/`.
        unusual: what it is instead of a plain file or folder; empty if it is one.
        size: its bytes, as the archive says.
        mtime: when it was changed, in seconds since 1970; None if the archive does not say.
        blocks: its content, to be read before the next member is taken.
    """

    name: str
    unusual: str
    size: int
    mtime: float | None
    blocks: Iterator[bytes]


_LABEL = b"V"
_UNUSUAL = {
    tarfile.SYMTYPE: "is a symbolic link",
    tarfile.LNKTYPE: "is a hard link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a pipe",
}
_UNKNOWN = "is part of an incremental or multi-volume backup"
"""What the other types of GNU tar are for."""


def members_of(archive: Path, unpacking: Unpacking, watch: Watch) -> Iterator[StreamMember]:
    """Yield the members of an archive in its order; the end is reached only if all of it is right.

    Raises:
        StepError: it is damaged or ends too early (AF391), or exceeds a limit (AF722, AF394).
    """
    count, kind = UnpackCount(archive, unpacking.limits), unpacking.format

    def blocks(file: IO[bytes] | _Counted | None) -> Iterator[bytes]:
        if file is not None:
            with _explained(archive, kind):
                yield from count.blocks(cast("BinaryIO", file))

    with _explained(archive, kind), archive.open("rb") as file:
        stream = _Counted(_decompressed(file, kind), archive, unpacking, watch)
        if kind in ("gz", "zst"):
            yield StreamMember(plain_name(archive, kind), "", 0, None, blocks(stream))
            return
        with tarfile.open(
            fileobj=cast("BinaryIO", stream),
            mode="r|",
            bufsize=_READ_BYTES,
            encoding=unpacking.name_encoding or "utf-8",
            tarinfo=_Info,
        ) as opened:
            for info in opened:
                if info.type == _LABEL:
                    continue
                if info.isdir():
                    count.add_file()
                    yield StreamMember(f"{info.name}/", "", 0, info.mtime, iter(()))
                else:
                    yield StreamMember(
                        info.name,
                        "" if info.isreg() else _UNUSUAL.get(info.type, _UNKNOWN),
                        info.size,
                        info.mtime,
                        blocks(opened.extractfile(info) if info.isreg() else None),
                    )
            end = opened.offset
        while stream.read(_READ_BYTES):
            pass  # to the end, where the checksum of the compression is
        if stream.data_end > end:  # the library takes a damaged header for the end
            raise damaged(
                archive, f"behind byte {end:,} it is damaged, or another archive was added to its end"
            )
        if stream.count < end + _BLOCK:
            raise damaged(archive, "it ends too early: its end mark is missing")


class _Info(tarfile.TarInfo):
    """A member whose additional headers are of bounded size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header.

        Raises:
            StepError: it announces a name or an extension of many megabytes (AF722).
        """
        info = super().frombuf(buf, encoding, errors)
        if not info.isreg() and not info.isdir() and info.size > _MOST_EXTRA:
            raise StepError(
                f"the archive has a header of {info.size:,} bytes",
                hint="check where it comes from: names have no megabytes",
                code="AF722",
            )
        return info


class _Counted:
    """The bytes of an archive without its compression; what is passed over counts, too.

    Attributes:
        count: how many were read.
        data_end: the place behind the last of them that is not zero.
    """

    def __init__(self, stream: BinaryIO, archive: Path, unpacking: Unpacking, watch: Watch) -> None:
        limits = unpacking.limits
        size = limits.size + _MOST_HEADERS * (limits.files + 2)
        self._count = UnpackCount(archive, msgspec.structs.replace(limits, size=size))
        self._stream = stream
        self._watch = watch
        self.count = 0
        self.data_end = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next piece.

        Raises:
            StepError: there is more than the limits allow, or the step must stop.
        """
        self._watch.raise_if_stopping()
        data = self._stream.read(files.BLOCK_BYTES if size < 0 else size)
        self._count.add_bytes(len(data))
        if content := data.rstrip(b"\0"):
            self.data_end = self.count + len(content)
        self.count += len(data)
        return data


def _decompressed(file: BinaryIO, kind: Format) -> BinaryIO:
    if kind in ("tar.gz", "gz"):
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if kind in ("tar.zst", "zst"):
        return cast("BinaryIO", import_zstd().ZstdFile(file))
    return file


@contextmanager
def _explained(archive: Path, kind: Format) -> Iterator[None]:
    """Turn what the libraries raise about an archive into an error that says what is wrong with it."""
    broken: tuple[type[Exception], ...] = (
        tarfile.TarError,
        EOFError,
        zlib.error,
        gzip.BadGzipFile,
        ValueError,
    )
    if kind in ("tar.zst", "zst"):
        broken += (import_zstd().ZstdError,)
    try:
        yield
    except broken as error:
        raise damaged(archive, str(error)) from error


def damaged(archive: Path, why: str) -> StepError:
    """Return the error of an archive that is not whole (AF391)."""
    return StepError(
        f"cannot read the archive {archive}: {why}",
        hint="fetch it again; if it is of another format, name that in the input format",
        code="AF391",
    )
