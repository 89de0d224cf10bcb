"""Read and write the index of a bundle: which file of the source has which content in the cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from aetherflow.bundle.source import BundleFile
from aetherflow.file_access import FileAccess
from aetherflow.sdk.files import write_whole


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was listed, and the sha256 of what was read."""

    listed: BundleFile
    sha256: str

    @property
    def object(self) -> str:
        """The name of its object; an executable has an object of its own, as one inode has one mode."""
        return f"{self.sha256}.x" if self.listed.executable else self.sha256


class Index(msgspec.Struct, frozen=True):
    """The files of a bundle and their objects in the cache.

    Attributes:
        entries: the files by path.
        stored: when each object was written, in ns; an object that changed since is not used.
        source: where the entries were read; they are not compared with files of another source.
        snapshots: for each snapshot, the origin of the source that it was last built from.
    """

    entries: dict[str, Entry] = {}
    stored: dict[str, int] = {}
    source: str = ""
    snapshots: dict[str, str] = {}

    def fingerprint(self) -> str:
        """Return 32 hex digits that identify this set of files."""
        digest = hashlib.sha256()
        for path in sorted(self.entries):
            digest.update(f"{path}\0{self.entries[path].object}\n".encode())
        return digest.hexdigest()[:32]

    def of_source(self, source: str) -> dict[str, Entry]:
        """Return the entries that were read from a source; none if they are from another."""
        return dict(self.entries) if self.source == source else {}

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(entry.listed.size for entry in self.entries.values())


def is_same(known: BundleFile, listed: BundleFile, *, strict: bool) -> bool:
    """Whether a file has not changed, by its fingerprint: sha256 if the source has it, else size and time.

    With `strict` only a sha256 counts, so without one the content has to be read again.
    """
    if listed.sha256:
        return msgspec.structs.replace(known, mtime_ns=listed.mtime_ns) == listed
    return not strict and listed.mtime_ns is not None and known == listed


_indexes = msgspec.json.Decoder(Index)  # made here: two threads must not meet a type at once


def read_index(path: Path) -> Index:
    """Return the index of the last sync, or an empty one if it is missing or damaged."""
    try:
        return _indexes.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return Index()


def write_index(path: Path, index: Index, access: FileAccess) -> None:
    """Replace the index; a reader never sees half of it."""
    write_whole(path, msgspec.json.encode(index), access)
