"""The bundle source `filesystem`: list and read the files of a local or mounted folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn, Self

import anyio
import anyio.to_thread

from aetherflow.bundle.source import CHUNK_BYTES, BundleFile, BundleSource, SourceChanged, SourceRequest
from aetherflow.errors import BundleError
from aetherflow.worker_threads import WorkerThreads
from aetherflow.written_path import written_path

_threads = WorkerThreads("files of bundles", 16)

LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__"})
"""Folders that are never part of a bundle: tools store their own files there."""

_BATCH = 500
_THREADS = 4
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_INSIDE = os.O_NOFOLLOW | os.O_CLOEXEC


class FilesystemSource(BundleSource):
    """Every regular file below `base_path`; the fingerprint is path, size and modification time.

    Symbolic links are refused, even if they appear between listing and reading; only `base_path` itself may
    contain some.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.place = str(root)
        self._threads = anyio.CapacityLimiter(_THREADS)

    @classmethod
    async def open(cls, request: SourceRequest) -> Self:
        """Resolve `base_path` to the folder."""
        base = request.spec.base_path or ""
        root = await _threads.run(_find_root, base, request.directory)
        return cls(root)

    async def list(self) -> AsyncIterator[BundleFile]:
        """Yield the files below the folder."""
        files = _walk(self._root)
        while batch := await anyio.to_thread.run_sync(_next_batch, files, limiter=self._threads):
            for file in batch:
                yield file

    async def read(self, file: BundleFile) -> AsyncIterator[bytes]:
        """Yield the content of a file that has not changed since it was listed."""
        descriptor = await anyio.to_thread.run_sync(_open_listed, self._root, file, limiter=self._threads)
        try:
            while chunk := await anyio.to_thread.run_sync(
                _read, descriptor, self._root / file.path, limiter=self._threads
            ):
                yield chunk
            await anyio.to_thread.run_sync(_check_unchanged, descriptor, file, limiter=self._threads)
        finally:
            os.close(descriptor)


def _find_root(base: str, directory: Path) -> Path:
    """Return the real folder that `base_path` names.

    Raises:
        BundleError: the folder does not exist or cannot be opened.
    """
    folder = written_path(base, directory)
    try:
        root = folder.resolve(strict=True)
        os.close(os.open(root, _DIRECTORY))
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BundleError(
            f"the source folder {folder} cannot be opened: {reason.lower()}",
            hint=f"correct bundle.source.base_path; a relative path starts at the manifest, in {directory}",
            code="AF856",
        ) from None
    return root


def _next_batch(files: Iterator[BundleFile]) -> list[BundleFile]:
    return list(islice(files, _BATCH))


def _walk(root: Path) -> Iterator[BundleFile]:
    """Yield the files of a tree.

    Raises:
        BundleError: a folder cannot be listed, or contains something that is neither a file nor a folder.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        place = root / folder
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    place = root / name
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        if entry.name not in LEFT_OUT:
                            folders.append(name)
                    elif stat.S_ISREG(found.st_mode):
                        yield _bundle_file(name, found)
                    else:
                        raise _not_allowed(place, is_link=entry.is_symlink())
        except FileNotFoundError:
            raise SourceChanged(f"{place} went away while the source was listed") from None
        except OSError as error:
            _fail(place, error)


def _bundle_file(name: str, found: os.stat_result) -> BundleFile:
    executable = bool(found.st_mode & stat.S_IXUSR)
    return BundleFile(name, found.st_size, found.st_mtime_ns, executable=executable)


def _open_listed(root: Path, file: BundleFile) -> int:
    """Open a listed file, if it is unchanged: folder by folder, so that no symbolic link is followed.

    Raises:
        SourceChanged: the file is no longer as it was listed.
        BundleError: the file cannot be opened.
    """
    *folders, name = file.path.split("/")
    at = os.open(root, _DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, _DIRECTORY | _INSIDE, dir_fd=at)
            os.close(at)
            at = inner
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _INSIDE, dir_fd=at)
    except (FileNotFoundError, NotADirectoryError):
        raise SourceChanged(f"{root / file.path} went away after it was listed") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SourceChanged(f"{root / file.path} became a symbolic link after it was listed") from None
        _fail(root / file.path, error)
    finally:
        os.close(at)
    try:
        _check_unchanged(descriptor, file)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_unchanged(descriptor: int, file: BundleFile) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or _bundle_file(file.path, found) != file:
        raise SourceChanged(f"{file.path} changed while the bundle was synced")


def _read(descriptor: int, path: Path) -> bytes:
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except OSError as error:
        _fail(path, error)


def _not_allowed(path: Path, *, is_link: bool) -> BundleError:
    what = "a symbolic link" if is_link else "neither a file nor a folder"
    hint = "put a copy of the file there" if is_link else "remove it from the source"
    return BundleError(f"{path} is {what}, which cannot be in a bundle", hint=hint, code="AF855")


def _fail(path: Path, error: OSError) -> NoReturn:
    reason = (error.strerror or type(error).__name__).lower()
    raise BundleError(
        f"the source file {path} cannot be read: {reason}", hint="check its owner and mode", code="AF856"
    ) from None
