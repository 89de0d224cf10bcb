"""Write tar archives and compressed single files: the same files give the same bytes."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

from aetherflow import StepError
from aetherflow.data_files import import_zstd
from aetherflow_archive.archive_connector import PackedFile, Packing
from aetherflow_archive.file_changed import file_changed
from aetherflow_archive.formats import Format
from aetherflow_archive.watching import Watch

_GZIP_LEVEL = 6
_FILE, _PROGRAM = 0o644, 0o755
_COPY_BYTES = 2**18


def write_tar(target: Path, packing: Packing, watch: Watch) -> None:
    """Write a tar archive, compressed as its format says.

    Owners are left out, and of the permissions all but «is a program», so that machines do not differ.

    Raises:
        StepError: a file changed while it was read (AF395), or the step must stop.
        OSError: a file cannot be read, or the archive cannot be written.
    """
    total, done = sum(member.path.stat().st_size for member in packing.members), 0
    with (
        _compressing(target, packing.format) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in packing.members:
            with _Source(member, watch, done, total) as source:
                archive.addfile(source.info(), source)
                source.check_end()
                done = source.done


def write_single(target: Path, packing: Packing, watch: Watch) -> None:
    """Compress one file.

    Raises:
        StepError: there are several files (AF985), or it changed while it was read (AF395).
        OSError: it cannot be read, or the target cannot be written.
    """
    if len(packing.members) != 1:
        names = ", ".join(repr(member.name) for member in packing.members[:3])
        raise StepError(
            f"a {packing.format} file holds one file, and {len(packing.members)} match: {names} ...",
            hint=f"name dest_path so that it ends with .tar.{packing.format}, or name one file",
            code="AF985",
        )
    member = packing.members[0]
    size = member.path.stat().st_size
    with _compressing(target, packing.format) as stream, _Source(member, watch, 0, size) as source:
        while data := source.read(_COPY_BYTES):
            stream.write(data)
        source.check_end()


@contextmanager
def _compressing(target: Path, kind: Format) -> Iterator[BinaryIO | Any]:
    with target.open("xb") as file:
        if kind in ("tar.gz", "gz"):
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
                yield stream
        elif kind in ("tar.zst", "zst"):
            zstd = import_zstd()
            with zstd.ZstdFile(file, "wb", options={zstd.CompressionParameter.checksum_flag: 1}) as stream:
                yield stream
        else:
            yield file


class _Source:
    """A file that must keep the size that it had at its start."""

    def __init__(self, member: PackedFile, watch: Watch, done: int, total: int) -> None:
        self._member = member
        self._watch = watch
        self._total = total
        self._file = member.path.open("rb")
        self._status = os.fstat(self._file.fileno())
        self._left = self._status.st_size
        self.done = done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def info(self) -> tarfile.TarInfo:
        info = tarfile.TarInfo(self._member.name)
        info.size = self._status.st_size
        info.mtime = int(self._status.st_mtime)
        info.mode = _PROGRAM if self._status.st_mode & stat.S_IXUSR else _FILE
        return info

    def read(self, size: int = -1) -> bytes:
        """Return the next piece; empty at the end.

        Raises:
            StepError: the file has become shorter (AF395), or the step must stop.
        """
        self._watch.raise_if_stopping()
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        if len(data) < wanted:
            raise file_changed(self._member.path)
        self._left -= len(data)
        self.done += len(data)
        self._watch.progress(self.done, self._total, "bytes", self._member.name)
        return data

    def check_end(self) -> None:
        """Check that nothing was added.

        Raises:
            StepError: the file has become longer (AF395).
        """
        if self._file.read(1):
            raise file_changed(self._member.path)
