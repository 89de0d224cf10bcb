"""The formats of archives: of a new one by its name, of one that exists by its content."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal

from aetherflow.data_files import import_zstd

Format = Literal["zip", "tar", "tar.gz", "tar.zst", "gz", "zst"]

_SUFFIXES: dict[str, Format] = {
    ".tar": "tar",
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.zst": "tar.zst",
    ".tzst": "tar.zst",
    ".gz": "gz",
    ".zst": "zst",
}
_GZIP = b"\x1f\x8b"
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + number, 0x2A, 0x4D, 0x18)) for number in range(16)))
"""How a zst file begins: with a frame of data, or with one that is skipped (RFC 8878, 3.1.2)."""
_OTHERS = {
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress (.Z)",
}
_OTHER_SUFFIXES = (".7z", ".rar", ".bz2", ".tbz2", ".xz", ".txz", ".lz4", ".z")
_TAR, _TAR_AT = b"ustar", 257
_BLOCK = 512


def format_of_name(path: Path) -> Format:
    """Return the format that the end of a name means; zip for all others."""
    name = path.name.lower()
    found = [suffix for suffix in _SUFFIXES if name.endswith(suffix)]
    return _SUFFIXES[max(found, key=len)] if found else "zip"


def format_of_content(path: Path) -> Format:
    """Return the format of a file by its first bytes; zip if it is none of the others.

    Raises:
        OSError: it cannot be read.
        MissingExtra: it is a zst file, and there is no module for these.
    """
    with path.open("rb") as file:
        first = file.read(_BLOCK)
        file.seek(0)
        if first[_TAR_AT:].startswith(_TAR):
            return "tar"
        # Before the weak sum of an old header of tar, which the bytes of a gzip file may have too.
        if first.startswith(_GZIP):
            return "tar.gz" if _is_tar(_begin(gzip.GzipFile(fileobj=file), zlib.error), path) else "gz"
        if first.startswith(_ZSTD):
            zstd = import_zstd()
            return "tar.zst" if _is_tar(_begin(zstd.ZstdFile(file), zstd.ZstdError), path) else "zst"
    return "tar" if _is_tar(first, path) else "zip"


def plain_name(path: Path, kind: Format) -> str:
    """Return the name of the file that a compressed single file holds: its own without the suffix."""
    suffix = f".{kind}"
    return (
        path.name[: -len(suffix)] if path.name.lower().endswith(suffix) and path.stem else f"{path.name}.data"
    )


def other_format(path: Path) -> str:
    """Return the name of a format that only an installed program unpacks; empty if a file has none of these.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        first = file.read(_BLOCK)
    return next((name for magic, name in _OTHERS.items() if first.startswith(magic)), "")


def is_named_otherwise(path: Path) -> bool:
    """Whether the name of an archive ends as those of a format that only installed programs write."""
    return path.name.lower().endswith(_OTHER_SUFFIXES)


def _is_tar(block: bytes, path: Path) -> bool:
    """Whether a file begins with the header of a member, or, as an empty tar archive, with zeros."""
    if block[_TAR_AT:].startswith(_TAR):
        return True
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return len(block) == _BLOCK and not any(block) and format_of_name(path).startswith("tar")
    return True  # a header without the word: that of an old program, or the label of GNU tar


def _begin(stream: BinaryIO | Any, damaged: type[Exception]) -> bytes:
    """Return the first block of a compressed file; nothing if it is damaged, which unpacking reports."""
    try:
        return bytes(stream.read(_BLOCK))
    except (EOFError, gzip.BadGzipFile, damaged):
        return b""
