"""Read zip archives with `zipfile` or `pyzipper`: names, content, limits; each failure as a clear error."""

from __future__ import annotations

import lzma
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from aetherflow import StepError, files
from aetherflow_archive.archive_connector import Limits, Unpacking
from aetherflow_archive.formats import other_format
from aetherflow_archive.member_names import safe_name, unusual_file
from aetherflow_archive.unpack_count import UnpackCount

_STORED, _DEFLATED, _AES = 0, 8, 99
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_TIME_EXTRA = 0x5455
_TIME_HEADER = struct.Struct("<HHBi")
_LOCAL_FILE = b"PK\x03\x04"
_END = b"PK\x05\x06"
_LAST_RECORD = 2**16 + 22
"""The last record has this size at most: it may end with a comment."""
_DOS = 0
_SMALL_READ = 4096
"""Other methods than deflate unpack all that is read: so much of bzip2 can become 80 MB at once."""

_TABLE_BYTES_PER_FILE = 512
"""The table of contents is in memory while an archive is read; so much of it per file is allowed."""

_NOT_READABLE = (
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # also NotImplementedError: a method that the library does not know
    struct.error,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    OSError,
)
"""What the libraries raise about damaged archives, beside their BadZipFile."""


class ZipMember(msgspec.Struct, frozen=True):
    """A member of an archive.

    Attributes:
        name: as its author meant it; a folder ends with `/`.
        mode: its Unix mode, 0 if unknown.
        size: its bytes, as the archive says.
        mtime: when it was changed, in seconds since 1970; None if the archive does not say.
        info: the library's own description.
    """

    name: str
    mode: int
    size: int
    mtime: float | None
    info: Any


class ZipReader:
    """An open archive.

    Attributes:
        members: what is in it, in its order.
    """

    def __init__(self, library: Any, path: Path, archive: Any, unpacking: Unpacking) -> None:
        self.members = [_member(info, unpacking.name_encoding, path) for info in archive.infolist()]
        self._library = library
        self._path = path
        self._archive = archive
        self._has_password = unpacking.password is not None
        self._count = UnpackCount(path, unpacking.limits)

    def content(self, member: ZipMember) -> Iterator[bytes]:
        """Yield the content of a file in pieces, checked against its checksum at the end.

        Raises:
            StepError: it is damaged, the password is missing or wrong, or a limit is exceeded.
        """
        self._check_password(member)
        size = files.BLOCK_BYTES if member.info.compress_type in (_STORED, _DEFLATED) else _SMALL_READ
        is_encrypted = bool(member.info.flag_bits & _ENCRYPTED)
        with (
            _explained(self._library, self._path, member.name, is_encrypted=is_encrypted),
            self._archive.open(member.info) as file,
        ):
            yield from self._count.blocks(file, size)

    def add_folder(self) -> None:
        """Count a folder as a file, of which an archive may hold so many.

        Raises:
            StepError: there are more (AF722).
        """
        self._count.add_file()

    def _check_password(self, member: ZipMember) -> None:
        if not member.info.flag_bits & _ENCRYPTED:
            return
        if not self._has_password:
            raise StepError(
                f"{self._path}: {member.name!r} is encrypted, and no password is given",
                hint="set the input password, best by a secret",
                code="AF393",
            )
        if member.info.compress_type == _AES:
            raise StepError(
                f"{self._path}: {member.name!r} is encrypted with AES, which archive:zipfile cannot read",
                hint="use a resource with driver: pyzipper, or none",
                code="AF393",
            )


@contextmanager
def reading(library: Any, path: Path, unpacking: Unpacking) -> Iterator[ZipReader]:
    """Open an archive in a block.

    Args:
        library: `zipfile` or `pyzipper`.
        path: the archive.
        unpacking: password, name encoding and limits.

    Raises:
        StepError: it cannot be opened, is no zip archive, or is cut off or damaged (AF391).
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "check the path and its permissions") from None
    make = library.AESZipFile if hasattr(library, "AESZipFile") else library.ZipFile
    with file:
        with _explained(library, path, ""):
            archive = make(_BoundedFile(file, path, unpacking.limits))
        with archive:
            if unpacking.password is not None:
                archive.setpassword(password_bytes(unpacking.password))
            yield ZipReader(library, path, archive, unpacking)


class _BoundedFile:
    """A file of which no piece is read that is too large: a table of contents of gigabytes, for one."""

    def __init__(self, file: BinaryIO, path: Path, limits: Limits) -> None:
        self._file = file
        self._path = path
        self._most = max(2 * files.BLOCK_BYTES, limits.files * _TABLE_BYTES_PER_FILE)
        self._max_files = limits.files
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.name = str(path)

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise StepError(
                f"the table of contents of the archive {self._path} has {size:,} bytes, "
                f"too much for {self._max_files:,} files",
                hint="if that is right, raise max_files",
                code="AF722",
            )
        return self._file.read(size)


@contextmanager
def _explained(library: Any, path: Path, member: str, *, is_encrypted: bool = False) -> Iterator[None]:
    """Turn what the library raises about an archive into an error that says what is wrong with it."""
    try:
        yield
    except (library.BadZipFile, *_NOT_READABLE) as error:
        raise _explanation(path, member, error, is_encrypted=is_encrypted) from error


def _explanation(path: Path, member: str, error: Exception, *, is_encrypted: bool) -> StepError:
    if isinstance(error, OSError) and error.errno is not None:
        return _unreadable(path, error.strerror or str(error), "check the disk or share that it is on")
    if not member:
        return _no_archive(path)
    if _is_part(path):
        return _unreadable(
            path, "it is one of several parts", "join them first: zip -s 0 PART.zip --out ALL.zip"
        )
    if isinstance(error, NotImplementedError):
        return _unreadable(path, f"{member!r}: {error}", "have it packed with deflate, or use another driver")
    if is_encrypted:
        return StepError(
            f"{path}: {member!r} cannot be decrypted: the password is wrong, or the archive is damaged",
            hint="check the input password; if it is right, fetch the archive again",
            code="AF393",
        )
    return _unreadable(path, f"{member!r} is damaged or cut off ({error or type(error).__name__})", _AGAIN)


_AGAIN = "fetch the archive again; nothing of it was unpacked"


def _no_archive(path: Path) -> StepError:
    with path.open("rb") as file:
        first = file.read(len(_LOCAL_FILE))
    if not first:
        return _unreadable(path, "it is empty", _AGAIN)
    if first == _LOCAL_FILE:
        return _unreadable(path, "it is cut off or damaged: its table of contents cannot be read", _AGAIN)
    if name := other_format(path):
        return _unreadable(
            path,
            f"it is a file of the format {name}",
            "use a resource with driver: external, and a program that reads it",
        )
    return _unreadable(
        path,
        "it is no archive of a known format (zip, tar, gz, zst)",
        "check what was fetched: an error page, another format?",
    )


def _is_part(path: Path) -> bool:
    """Whether an archive is one of several files, as its last record says: on which disk it is."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LAST_RECORD))
        _, found, record = file.read().rpartition(_END)
    return bool(found) and record[:2] not in (b"\0\0", b"\xff\xff")


def password_bytes(password: str) -> bytes:
    """Return a password as zip archives take it.

    Raises:
        StepError: it is not UTF-8, as an environment variable may be (AF393).
    """
    try:
        return password.encode()
    except UnicodeEncodeError:
        raise StepError(
            "the password is no text: it has bytes that are not UTF-8",
            hint="check where it is set, and in which encoding",
            code="AF393",
        ) from None


def _unreadable(path: Path, why: str, hint: str) -> StepError:
    return StepError(f"cannot read the archive {path}: {why}", hint=hint, code="AF391")


def target_name(archive: Path, member: ZipMember) -> str:
    """Return where a member gets to below the folder where it is unpacked; a folder ends with `/`.

    Raises:
        StepError: that would be elsewhere, or it is no plain file or folder (AF392).
    """
    name = safe_name(str(archive), member.name, unusual_file(member.mode))
    return f"{name}/" if member.name.endswith("/") else name


def _member(info: Any, name_encoding: str, path: Path) -> ZipMember:
    mode = info.external_attr >> 16
    return ZipMember(
        name=_with_slashes(info, _real_name(info, name_encoding, path)),
        mode=0 if stat.S_ISFIFO(mode) else mode,  # what `zip` reads from a pipe, and a plain file here
        size=info.file_size,
        mtime=_mtime(info),
        info=info,
    )


def _real_name(info: Any, name_encoding: str, path: Path) -> str:
    """Return a member's name: both libraries take one that is not marked as UTF-8 for code page 437."""
    name: str = info.orig_filename
    if info.flag_bits & _UTF8_NAME or name.isascii():
        return name
    raw = name.encode("cp437")
    try:
        return raw.decode(name_encoding or "utf-8")
    except UnicodeError:
        if name_encoding:
            raise _unreadable(
                path, f"the name {raw!r} is not {name_encoding}", "correct name_encoding"
            ) from None
        return name


def _with_slashes(info: Any, name: str) -> str:
    """Return a name whose folders end with `/`: old programs of Windows write a backslash."""
    return name.replace("\\", "/") if info.create_system == _DOS and "/" not in name else name


def _mtime(info: Any) -> float | None:
    """Return the time of a member: UTC if it has that, else the local time that zip archives have."""
    extra = info.extra
    while len(extra) >= _TIME_HEADER.size:
        kind, size, flags, seconds = _TIME_HEADER.unpack_from(extra)
        if kind == _TIME_EXTRA and flags & 1:
            return float(seconds)
        extra = extra[4 + size :]
    try:
        return datetime(*info.date_time).timestamp()  # noqa: DTZ001 - local time, as every zip program writes it
    except (ValueError, OverflowError):
        return None
