"""The folder of an attempt whose files are sent: get what its step names, send back what it made.

The functions block.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import (
    CHUNK_BYTES,
    Chunk,
    ListInputs,
    ListOutputs,
    ReadInput,
    Root,
    ShippedFile,
    WriteOutput,
)
from aetherflow.execution.shipped_inputs import HINT, changed
from aetherflow.sdk.files import Way
from aetherflow.sdk.publishing import rename
from aetherflow.worker.published_files import AskEngine

_OWNER_FOLDER = 0o700


class _Seen(msgspec.Struct, frozen=True):
    """A file as it was when it arrived: any change to it changes one of these."""

    sent: ShippedFile
    inode: int
    size: int
    changed_ns: int


class ShippedFolder:
    """The files of one attempt.

    Args:
        roots: the folders here: that of the workspace, and that of the flow.
        job_folder: the folder of the job here; what changes in it is sent back.
        layout: the names of the folders in it that every job has.
        ask: asks the engine, and blocks.
        report: shows what is not sent, as a warning.
    """

    def __init__(
        self,
        roots: dict[Root, Path],
        job_folder: Path,
        layout: Collection[str],
        ask: AskEngine,
        report: Callable[[str], None],
    ) -> None:
        self._roots = roots
        self._job = job_folder
        self._layout = {job_folder / name for name in layout}
        self._ask = ask
        self._report = report
        self._seen: dict[Path, _Seen] = {}
        self._folders: set[Path] = set()

    def fetch(self) -> None:
        """Get the files that the inputs of the step name.

        Raises:
            StepError: they are too much, cannot be sent, or cannot be written here.
        """
        files = msgspec.convert(self._ask(ListInputs()), list[ShippedFile])
        try:
            for folder in (*self._roots.values(), self._job):
                folder.mkdir(_OWNER_FOLDER, parents=True, exist_ok=True)
            for file in files:
                self._fetch(file)
            self._folders = {Path(folder) for folder, _, _ in os.walk(self._job)}
            for file in reversed(files):  # when a folder has its files, it may become read-only
                self._finish(file)
        except OSError as error:
            raise StepError(
                f"cannot write a file of the step on the worker: {error.filename or self._job}: "
                f"{error.strerror or error}",
                hint="make room for temporary files on the worker, or correct the permissions",
                code="AF842",
            ) from None

    def send_back(self) -> None:
        """Send what is new or changed in the folders of the job.

        Raises:
            StepError: it is too much, or cannot be sent.
        """
        outputs = list(self._outputs(self._job))
        here = [seen for path, seen in self._seen.items() if path.is_relative_to(self._job)]
        removed = [
            msgspec.structs.replace(seen.sent, path=self._name(self._here(seen.sent)))
            for seen in reversed(here)
            if not os.path.lexists(self._here(seen.sent))
        ]
        if not outputs and not removed:
            return
        self._ask(ListOutputs(outputs, removed))
        for number, file in enumerate(outputs):
            if file.kind == "file":
                self._send(number, file)

    def publish(self, temporary: str, final: str, way: Way) -> bool:
        """Give a file its name in the own folder; see `sdk.publishing.publish`.

        Raises:
            StepError: it is not in a folder that is sent back (AF845).
        """
        real = Path(os.path.realpath(Path(final).parent), Path(final).name)
        if not real.is_relative_to(self._job):
            raise StepError(
                f"with artifacts: ship a step can only write below the folder of its job, not {final}",
                hint="write below the job's artifacts; use artifacts: shared for places that all see, "
                "or run the step with executor: local",
                code="AF845",
            )
        return rename(temporary, final, way)

    def _here(self, file: ShippedFile) -> Path:
        """Return where a file of the engine is here.

        Raises:
            StepError: its path leaves the folder.
        """
        text = os.fsdecode(file.path)
        if text != "." and any(part in {"", ".", ".."} for part in text.split("/")):
            raise StepError(f"the engine sends {text!r}, which is no path here", code="AF846")
        return self._roots[file.root] / text

    def _fetch(self, file: ShippedFile) -> None:
        path = self._here(file)
        path.parent.mkdir(_OWNER_FOLDER, parents=True, exist_ok=True)
        match file.kind:
            case "folder":
                path.mkdir(_OWNER_FOLDER, exist_ok=True)
            case "link":
                path.symlink_to(os.fsdecode(file.target))
            case "file":
                with path.open("xb") as written:
                    offset = 0
                    while offset < file.size:
                        ask = ReadInput(file.path, file.root, offset)
                        chunk = msgspec.convert(self._ask(ask), Chunk)
                        if not chunk.is_whole or not chunk.data:
                            raise changed(path)
                        written.write(chunk.data)
                        offset += len(chunk.data)

    def _finish(self, file: ShippedFile) -> None:
        path = self._here(file)
        if file.kind == "file":
            os.utime(path, ns=(file.mtime_ns, file.mtime_ns))
        if file.kind != "link":
            path.chmod(file.mode)
        status = path.lstat()
        self._seen[path] = _Seen(file, status.st_ino, status.st_size, status.st_ctime_ns)

    def _outputs(self, folder: Path) -> Iterator[ShippedFile]:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path, status = Path(entry.path), entry.stat(follow_symlinks=False)
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                if path not in self._folders and path not in self._layout:
                    yield ShippedFile(self._name(path), "folder", mode=mode)
                yield from self._outputs(path)
            elif not self._has_changed(path, status):
                continue
            elif stat.S_ISREG(status.st_mode):
                name = self._name(path)
                yield ShippedFile(name, "file", size=status.st_size, mode=mode, mtime_ns=status.st_mtime_ns)
            elif stat.S_ISLNK(status.st_mode):
                yield ShippedFile(self._name(path), "link", target=self._target(path))
            else:
                self._report(f"{path} is neither a file nor a folder, and is not sent to the engine")

    def _has_changed(self, path: Path, status: os.stat_result) -> bool:
        seen = self._seen.get(path)
        now = (status.st_ino, status.st_size, status.st_ctime_ns)
        return seen is None or (seen.inode, seen.size, seen.changed_ns) != now

    def _name(self, path: Path) -> bytes:
        return os.fsencode(path.relative_to(self._job))

    def _target(self, link: Path) -> bytes:
        """Return what a link says, relative.

        Raises:
            StepError: it leads out of the folder of the job.
        """
        target = Path(os.path.normpath(link.parent / link.readlink()))
        if not target.is_relative_to(self._job):
            raise StepError(
                f"the step made a link that leads out of its job: {link.relative_to(self._job)}",
                hint="let it copy the file instead, or use artifacts: shared",
                code="AF842",
            )
        return os.fsencode(os.path.relpath(target, link.parent))

    def _send(self, number: int, file: ShippedFile) -> None:
        path = self._job / os.fsdecode(file.path)
        try:
            with path.open("rb", buffering=0) as opened:
                offset = 0
                while offset < file.size:
                    data = os.pread(opened.fileno(), min(CHUNK_BYTES, file.size - offset), offset)
                    if not data:
                        raise changed(path)
                    self._ask(WriteOutput(number, offset, Chunk.of(data)))
                    offset += len(data)
                status = os.fstat(opened.fileno())
        except OSError as error:
            raise StepError(
                f"cannot send {path} to the engine: {error.strerror or error}", hint=HINT, code="AF842"
            ) from None
        if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            raise changed(path)
