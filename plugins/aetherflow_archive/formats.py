"""The formats of archives: of a new one by its name, of one that exists by its content."""

from __future__ import annotations

import gzip
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
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
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
        if _is_tar(first):
            return "tar"
        if first.startswith(_GZIP):
            return "tar.gz" if _is_tar(_begin(gzip.GzipFile(fileobj=file), zlib.error)) else "gz"
        if first.startswith(_ZSTD):
            zstd = import_zstd()
            return "tar.zst" if _is_tar(_begin(zstd.ZstdFile(file), zstd.ZstdError)) else "zst"
    return "zip"


def plain_name(path: Path, kind: Format) -> str:
    """Return the name of the file that a compressed single file holds: its own without the suffix."""
    suffix = f".{kind}"
    return (
        path.name[: -len(suffix)] if path.name.lower().endswith(suffix) and path.stem else f"{path.name}.data"
    )


def _is_tar(block: bytes) -> bool:
    return block[_TAR_AT:].startswith(_TAR)


def _begin(stream: BinaryIO | Any, damaged: type[Exception]) -> bytes:
    """Return the first block of a compressed file; nothing if it is damaged, which unpacking reports."""
    try:
        return bytes(stream.read(_BLOCK))
    except (EOFError, gzip.BadGzipFile, damaged):
        return b""
