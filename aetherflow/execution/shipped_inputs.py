"""Send the files that the inputs of a step name to its worker, in pieces with checksums (`artifacts: ship`).

All functions that touch files block; `ShippedInputs` calls them in worker threads.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import CHUNK_BYTES, Chunk, ReadInput, Root, ShippedFile
from aetherflow.execution.named_paths import named_paths
from aetherflow.execution.ports import StepCall
from aetherflow.execution.published_files import file_threads
from aetherflow.run_ids import folder_name
from aetherflow.sdk.executor import Shipping

HINT = (
    "use artifacts: shared, if there is a folder that all machines see, or run the step with executor: local"
)


class _Named(msgspec.Struct, frozen=True):
    """Something that an input names, where it really is."""

    name: str
    root: Root
    path: Path
    relative: Path


class ShippedInputs:
    """What is sent to the worker of one attempt.

    Args:
        call: the step, with the paths as the engine has them.
        flow_folder: where the flow file is; empty: the flow comes from no file.
        limits: how much may be sent.
    """

    def __init__(self, call: StepCall, flow_folder: str, limits: Shipping) -> None:
        self._call = call
        self._limits = limits
        directories = call.directories
        self._roots: dict[Root, Path] = {"work": Path(directories.work), "logs": Path(directories.logs)}
        if flow_folder:
            self._roots["flow"] = Path(flow_folder)
        self._files: dict[tuple[Root, bytes], ShippedFile] = {}
        self._is_listed = False

    @property
    def job_folder(self) -> Path:
        """The folder of the job in this run."""
        call = self._call
        return self._roots["work"] / call.flow_id / call.job_id / folder_name(call.run_id)

    async def list(self) -> list[ShippedFile]:
        """Return what is to be sent; a second time the same.

        Raises:
            StepError: it is too much, or something cannot be sent (AF841).
        """
        if not self._is_listed:
            self._files = await file_threads.run(self._list)
            self._is_listed = True
        return list(self._files.values())

    async def read(self, ask: ReadInput) -> Chunk:
        """Return a piece of a file.

        Raises:
            StepError: it cannot be read, was not listed (AF846), or has changed meanwhile (AF843).
        """
        await self.list()
        file = self._files.get((ask.root, ask.path))
        if file is None or file.kind != "file" or ask.offset < 0:
            raise StepError(
                f"a worker wants {os.fsdecode(ask.path)!r}, which was not offered to it",
                hint="the worker runs another version of AetherFlow, or is not what it seems: restart it",
                code="AF846",
            )
        return await file_threads.run(self._read, file, ask.offset)

    def _list(self) -> dict[tuple[Root, bytes], ShippedFile]:
        folder = self.job_folder
        layout = self._call.directories.layout
        bases = [folder / layout.get("artifacts", "artifacts"), *filter(None, [self._roots.get("flow")])]
        found = named_paths(self._call.inputs, list(self._roots.values()), bases)
        if (manifests := folder / layout.get("manifests", "manifests")).is_dir():
            found.setdefault(manifests, "the manifests of the job")
        files: dict[tuple[Root, bytes], ShippedFile] = {}
        size = 0
        for path, name in sorted(found.items()):
            for file in self._sent(self._named(path, name)):
                if (file.root, file.path) not in files:
                    files[file.root, file.path] = file
                    size += file.size
                self._check(size, len(files), name, path)
        return files

    def _check(self, size: int, count: int, name: str, path: Path) -> None:
        limits = self._limits
        if size > limits.bytes or count > limits.files:
            what = (
                f"more than {limits.bytes:,} bytes"
                if size > limits.bytes
                else f"more than {limits.files:,} files"
            )
            raise StepError(
                f"the inputs of the step name {what}, too much to be sent to a worker; "
                f"the last one was {name}: {path}",
                hint=HINT,
                code="AF841",
            )

    def _named(self, path: Path, name: str) -> _Named:
        """Return what a path names: in the innermost of the folders."""
        root = max(
            (root for root, folder in self._roots.items() if path.is_relative_to(folder)),
            key=lambda root: len(self._roots[root].parts),
        )
        return _Named(name, root, path, path.relative_to(self._roots[root]))

    def _sent(self, named: _Named) -> Iterator[ShippedFile]:
        """Yield a file, or a folder with all that is in it; a link that is named is what it leads to."""
        try:
            self._check_inside(named.path, named.name)
            status = named.path.stat()
            if stat.S_ISDIR(status.st_mode):
                yield from self._folder(named, named.path, named.relative)
            else:
                yield self._file(named, named.path, named.relative, status)
        except FileNotFoundError:  # a link to nothing, or gone since: as if it were not named
            return
        except OSError as error:
            raise _unsendable(named, error.strerror or str(error)) from None

    def _folder(self, named: _Named, folder: Path, relative: Path) -> Iterator[ShippedFile]:
        mode = stat.S_IMODE(folder.stat().st_mode)
        yield ShippedFile(os.fsencode(relative), "folder", named.root, mode=mode)
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path, inner = Path(entry.path), relative / entry.name
            if entry.is_symlink():
                yield from self._link(named, path, inner)
            elif entry.is_dir():
                if path not in self._roots.values():
                    yield from self._folder(named, path, inner)
            else:
                yield self._file(named, path, inner, entry.stat())

    def _link(self, named: _Named, path: Path, relative: Path) -> Iterator[ShippedFile]:
        """Yield a link that stays in the folder that is named; of another one, the file it leads to."""
        target = path.readlink()
        inside = Path(os.path.normpath(path.parent / target))
        if not target.is_absolute() and inside.is_relative_to(named.path):
            yield ShippedFile(os.fsencode(relative), "link", named.root, target=os.fsencode(target))
            return
        self._check_inside(path, named.name)
        if not path.exists():
            return
        if not path.is_file():
            raise _unsendable(named, f"{path} is a link to a folder outside of it")
        yield self._file(named, path, relative, path.stat())

    def _file(self, named: _Named, path: Path, relative: Path, status: os.stat_result) -> ShippedFile:
        if not stat.S_ISREG(status.st_mode):
            raise _unsendable(named, f"{path} is no regular file")
        mode = stat.S_IMODE(status.st_mode)
        return ShippedFile(
            os.fsencode(relative), "file", named.root, status.st_size, mode, status.st_mtime_ns
        )

    def _check_inside(self, path: Path, name: str) -> None:
        """Refuse what a link leads to outside of the folders that files are sent from."""
        real = path.resolve()
        if not any(real.is_relative_to(root.resolve()) for root in self._roots.values()):
            raise StepError(
                f"{name} names {path}, a link that leads out of the folders that files are sent from",
                hint=HINT,
                code="AF841",
            )

    def _read(self, file: ShippedFile, offset: int) -> Chunk:
        path = self._roots[file.root] / os.fsdecode(file.path)
        try:
            opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                data = os.pread(opened, max(0, min(CHUNK_BYTES, file.size - offset)), offset)
                status = os.fstat(opened)
            finally:
                os.close(opened)
        except OSError as error:
            raise StepError(
                f"cannot send {path} to a worker: {error.strerror or error}", hint=HINT, code="AF841"
            ) from None
        is_short = len(data) < min(CHUNK_BYTES, file.size - offset)
        if is_short or (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            raise changed(path)
        return Chunk.of(data)


def changed(path: Path) -> StepError:
    """Return the error of a file that was written while it was sent (AF843)."""
    return StepError(
        f"{path} has changed while it was sent between the engine and a worker",
        hint="let nothing write it while the step runs, or use artifacts: shared; a retry sends it again",
        code="AF843",
        kind="connection",
    )


def _unsendable(named: _Named, why: str) -> StepError:
    return StepError(
        f"{named.name} names {named.path}, which cannot be sent to a worker: {why}", hint=HINT, code="AF841"
    )
