"""The result list of a transfer: what became of every file. A resumed step reads it and sends the rest only.

While files move, a line per change is appended beside it, so that thousands of files cost little. At the end
it is written whole, atomically, as one JSON list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Literal, TypeVar

import anyio
import msgspec
from anyio.lowlevel import checkpoint

from aetherflow.errors import StepError
from aetherflow.file_access import FileAccess, open_file
from aetherflow.transfer.local_errors import local_failure
from aetherflow.worker_threads import WorkerThreads

T = TypeVar("T")

Status = Literal["whole", "done", "same", "skipped", "failed"]
"""`whole`: complete and checked under its temporary name; `same`: it was there already."""

_threads = WorkerThreads("manifests", 2)
_COMMIT = b'{"commit":true}\n'


class Entry(msgspec.Struct, frozen=True):
    """What became of one file.

    Attributes:
        id: names it in the list.
        file: its path on this machine: the source of an upload, the target of a download.
        remote_path: its path on the far side.
        path: where it arrives: one of the two.
        rel_path: its name below the folder that it comes from.
        size: in bytes.
        sha256: its checksum.
        mtime: when the source was changed, in seconds since 1970 UTC.
        status: see `Status`.
        skipped: whether it was not sent, as AetherFlow 0.0 wrote it.
        reason: why it was skipped or failed.
        temporary: its path until it gets its name.
    """

    id: str
    file: str = ""
    remote_path: str = ""
    path: str = ""
    rel_path: str = ""
    size: int | None = None
    sha256: str | None = None
    mtime: float | None = None
    status: Status = "done"
    skipped: bool = False
    reason: str = ""
    temporary: str = ""

    @property
    def has_arrived(self) -> bool:
        """Whether the file is where it should be."""
        return self.status in {"done", "same"}


_LIST = msgspec.json.Decoder(list[Entry])
_LINE = msgspec.json.Decoder(Entry)


class Manifest:
    """The result list of one step, on the disk while it grows.

    Args:
        path: the JSON list.
        writing: writes a file atomically (`StepContext.writing`).
        access: who may read it.

    Attributes:
        path: the JSON list.
        entries: by id.
        committed: the ids of the files that a transactional step decided to rename, whatever happens.
    """

    def __init__(
        self, path: Path, writing: Callable[[Path], AbstractContextManager[Path]], access: FileAccess | None
    ) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.committed: set[str] = set()
        self._writing = writing
        self._access = access
        self._lines_path = path.with_suffix(".lines")
        self._lines: IO[bytes] | None = None
        self._pending: list[bytes] = []
        self._noted = 0
        self._written = 0
        self._lock = anyio.Lock()

    async def open(self, *, is_resumed: bool) -> None:
        """Read what an earlier attempt left, or remove it, and begin to write.

        Raises:
            StepError: the files cannot be read or written (AF311).
        """
        await _threads.run(self._guarded, self._open, is_resumed)

    def _open(self, is_resumed: bool) -> None:  # noqa: FBT001 - called by position, in a thread
        if is_resumed:
            self.entries = {entry.id: entry for entry in read_manifest(self.path)}
            self._read_lines()
        else:
            self.path.unlink(missing_ok=True)
            self._lines_path.unlink(missing_ok=True)
        self._lines = open_file(self._lines_path, "ab", self._access, buffering=0)

    def _read_lines(self) -> None:
        if not self._lines_path.exists():
            return
        for line in self._lines_path.read_bytes().splitlines(keepends=True):
            if line == _COMMIT:
                self.committed = {one.id for one in self.entries.values() if one.status == "whole"}
                continue
            try:
                entry = _LINE.decode(line)
            except msgspec.DecodeError:  # the process ended while it wrote this line
                continue
            self.entries[entry.id] = entry

    async def add(self, *entries: Entry) -> None:
        """Note what became of files; when it returns, a process that is killed has it on the disk.

        Raises:
            StepError: it cannot be written (AF311).
        """
        self.note(*entries)
        await self._flush()

    def note(self, *entries: Entry) -> None:
        """Note what became of files; written with what is added next."""
        self.entries.update((entry.id, entry) for entry in entries)
        self._pending.extend(map(_line, entries))
        self._noted += len(entries)

    async def commit(self) -> None:
        """Note that all files that are whole will be renamed.

        Raises:
            StepError: it cannot be written (AF311).
        """
        self.committed = {one.id for one in self.entries.values() if one.status == "whole"}
        self._pending.append(_COMMIT)
        self._noted += 1
        await self._flush()

    def add_now(self, entry: Entry) -> None:
        """Note what became of a file; blocking, for a worker thread.

        Raises:
            OSError: it cannot be written.
        """
        self.entries[entry.id] = entry
        self._write(_line(entry))

    async def finish(self, ids: Iterable[str]) -> None:
        """Write the list whole: the files of this attempt in their order, then those of earlier ones.

        Raises:
            StepError: it cannot be written (AF311).
        """
        order = dict.fromkeys(ids)
        order.update(dict.fromkeys(self.entries))
        self.entries = {one: self.entries[one] for one in order if one in self.entries}
        listed = list(self.entries.values())
        await self._flush()
        content = msgspec.json.format(msgspec.json.encode(listed), indent=1)
        await _threads.run(self._guarded, self._finish, content)

    def _finish(self, content: bytes) -> None:
        self.close()
        with self._writing(self.path) as part, open_file(part, "xb", self._access or "private") as file:
            file.write(content)
        if all(entry.status != "whole" for entry in self.entries.values()):
            self._lines_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; blocking, but short."""
        if self._lines is not None:
            self._lines.close()

    async def _flush(self) -> None:
        """Write what is pending, in one call for all that wait."""
        mine = self._noted
        async with self._lock:
            if self._written >= mine:
                return
            await checkpoint()  # files that are ready at the same time share the call
            data, self._pending, noted = b"".join(self._pending), [], self._noted
            if data:
                try:
                    await _threads.run(self._guarded, self._write, data)
                except BaseException:
                    # The others that wait get the error, too. A part may be in the file: the line ends here.
                    self._pending.insert(0, b"\n" + data)
                    raise
            self._written = noted

    def _write(self, data: bytes) -> None:
        if self._lines is None:
            raise ValueError("the manifest is not open")
        view = memoryview(data)
        while view:
            view = view[self._lines.write(view) :]

    def _guarded(self, function: Callable[[T], None], argument: T) -> None:
        try:
            function(argument)
        except OSError as error:
            raise local_failure(error, "write", str(self.path)) from None


def read_manifest(path: Path) -> list[Entry]:
    """Return the entries of a list; none if there is no file. Blocking.

    Raises:
        OSError: it cannot be read.
        StepError: it is no manifest (AF316).
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    try:
        return _LIST.decode(content)
    except msgspec.DecodeError as error:
        raise StepError(
            f"{path} is no manifest of a transfer: {error}",
            hint="another program wrote it; move it away: the files are then sent again",
            code="AF316",
        ) from None


def _line(entry: Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"
