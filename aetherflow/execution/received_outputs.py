"""Receive the files that an attempt made on its worker; they get their names when its end is accepted.

Until then they are in a hidden folder beside the others of the job. It has the name of the attempt, so that
an engine that takes over the run finds what an earlier one has received.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import ListOutputs, ShippedFile, WriteOutput
from aetherflow.execution.published_files import file_threads
from aetherflow.execution.shipped_inputs import HINT
from aetherflow.file_access import FileAccess, make_folder, open_file, set_mode
from aetherflow.sdk.executor import Shipping
from aetherflow.sdk.removal import make_own

_LIST = "list"


class ReceivedOutputs:
    """What one attempt has made in the folders of its job.

    Args:
        job_folder: the folder of the job; nothing is written outside of it.
        key: the fencing token of the attempt.
        access: who may read what is written.
        limits: how much may be sent.
    """

    def __init__(self, job_folder: Path, key: str, access: FileAccess, limits: Shipping) -> None:
        self._job = job_folder
        self._access = access
        self._limits = limits
        self._folder = job_folder / f".{hashlib.sha256(key.encode()).hexdigest()[:16]}.received.part"
        self._expected: ListOutputs | None = None

    async def begin(self, ask: ListOutputs) -> None:
        """Take note of what comes; what came before is forgotten.

        Raises:
            StepError: it is too much (AF842), leaves the folder of the job (AF846), or cannot be stored.
        """
        self._expected = None
        await file_threads.run(self._begin, ask)
        self._expected = ask

    async def write(self, ask: WriteOutput) -> None:
        """Write a piece of a file.

        Raises:
            StepError: it was damaged on its way (AF842), was not announced (AF846), or cannot be stored.
        """
        if self._expected is None:
            self._expected = await file_threads.run(self._announced)  # by an engine that has gone
        files = self._expected.files if self._expected else []
        if not 0 <= ask.number < len(files) or files[ask.number].kind != "file":
            raise _unexpected(f"file {ask.number}", "it was not announced")
        file = files[ask.number]
        if not ask.chunk.is_whole:
            raise _not_received(os.fsdecode(file.path), "it was damaged on its way")
        if ask.offset < 0 or ask.offset + len(ask.chunk.data) > file.size:
            raise _unexpected(os.fsdecode(file.path), "it is larger than announced")
        await file_threads.run(self._write, ask)

    async def accept(self) -> None:
        """Give everything its final name, and remove what the attempt removed.

        Raises:
            StepError: a file has not arrived whole, or cannot get its name.
        """
        await file_threads.run(self._accept)

    async def close(self) -> None:
        """Delete what did not get its name."""
        self._expected = None
        await file_threads.run(self._discard)

    def _begin(self, ask: ListOutputs) -> None:
        limits = self._limits
        size = sum(file.size for file in ask.files)
        if (
            size > limits.bytes
            or len(ask.files) + len(ask.removed) > limits.files
            or any(file.size < 0 for file in ask.files)
        ):
            raise StepError(
                f"the step made {len(ask.files):,} files with {size:,} bytes on its worker, more than can be "
                f"sent back: {limits.files:,} and {limits.bytes:,}",
                hint=HINT,
                code="AF842",
            )
        for file in ask.files:
            self._check_place(file.path)
            if file.kind == "link":
                self._check_target(file)
        for sent in ask.removed:
            self._check_place(sent.path)
        try:
            self._discard()
            make_own(self._job, self._access)
            make_folder(self._folder, "private")
            content = msgspec.json.encode(ask)
            with open_file(self._folder / _LIST, "xb", "private") as announced:
                announced.write(content)
            for number, one in enumerate(ask.files):
                if one.kind == "file":
                    open_file(self._data(number), "xb", self._access).close()
        except OSError as error:
            raise _not_received(str(self._folder), error.strerror or str(error)) from None

    def _announced(self) -> ListOutputs | None:
        try:
            content = (self._folder / _LIST).read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(content, type=ListOutputs)

    def _write(self, ask: WriteOutput) -> None:
        path = self._data(ask.number)
        try:
            with path.open("r+b", buffering=0) as file:
                if ask.offset > os.fstat(file.fileno()).st_size:
                    raise _unexpected(str(path), "a piece before it is missing")
                file.seek(ask.offset)
                _write_all(file, ask.chunk.data)
        except OSError as error:
            raise _not_received(str(path), error.strerror or str(error)) from None

    def _accept(self) -> None:
        expected = self._announced()
        if expected is None:
            return  # the attempt has sent nothing
        for number, file in enumerate(expected.files):
            if file.kind == "file" and self._data(number).stat().st_size != file.size:
                raise _not_received(os.fsdecode(file.path), "a part of it is missing")
        try:
            for number, file in enumerate(expected.files):
                self._place(number, file)
            for sent in expected.removed:
                self._remove(sent)
        except OSError as error:
            place = error.filename2 or error.filename or self._job
            raise _not_received(str(place), error.strerror or str(error)) from None

    def _place(self, number: int, file: ShippedFile) -> None:
        self._check_place(file.path)
        final = self._job / os.fsdecode(file.path)
        match file.kind:
            case "folder":
                if make_folder(final, self._access):
                    set_mode(final, _mode(file) | stat.S_IRWXU)
            case "link":
                make_folder(final.parent, self._access)
                temporary = self._data(number)
                temporary.symlink_to(os.fsdecode(file.target))
                temporary.replace(final)
            case "file":
                make_folder(final.parent, self._access)
                temporary = self._data(number)
                set_mode(temporary, _mode(file))
                os.utime(temporary, ns=(file.mtime_ns, file.mtime_ns))
                temporary.replace(final)

    def _remove(self, sent: ShippedFile) -> None:
        """Remove what the attempt removed, if it is still what its worker got."""
        self._check_place(sent.path)
        here = self._job / os.fsdecode(sent.path)
        if not os.path.lexists(here):
            return
        status = here.lstat()
        if sent.kind == "folder":
            with suppress(OSError):  # it has other files now
                here.rmdir()
        elif sent.kind == "link" or (status.st_size, status.st_mtime_ns) == (sent.size, sent.mtime_ns):
            here.unlink()

    def _check_place(self, path: bytes) -> None:
        """Refuse a path that leaves the folder of the job, or is what the engine has there for itself."""
        parts = os.fsdecode(path).split("/")
        if b"\0" in path or any(part in {"", ".", ".."} for part in parts):
            raise _unexpected(os.fsdecode(path), "it is no path below the folder of the job")
        if parts[0] == self._folder.name:
            raise _unexpected(os.fsdecode(path), "the engine keeps it")
        parent = (self._job / os.fsdecode(path)).parent
        if not parent.resolve().is_relative_to(self._job.resolve()):
            raise _unexpected(os.fsdecode(path), "a link leads out of the folder of the job")

    def _check_target(self, file: ShippedFile) -> None:
        """Refuse a link that leads out of the folder of the job."""
        target = os.fsdecode(file.target)
        ups, _, rest = target.rpartition("../")
        is_plain = (
            b"\0" not in file.target and ".." not in rest.split("/") and not ups.replace("../", "").strip(".")
        )
        parent = (self._job / os.fsdecode(file.path)).parent.resolve()
        inside = Path(os.path.normpath(parent / target))
        if (
            not target
            or target.startswith("/")
            or not is_plain
            or not inside.is_relative_to(self._job.resolve())
        ):
            raise _unexpected(os.fsdecode(file.path), "the link leads out of the folder of the job")

    def _data(self, number: int) -> Path:
        return self._folder / str(number)

    def _discard(self) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)


def _write_all(file: IO[bytes], data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _mode(file: ShippedFile) -> int:
    """Return the permissions of a file that came from a worker: never those that give away rights."""
    return stat.S_IMODE(file.mode) & ~(stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX)


def _not_received(path: str, why: str) -> StepError:
    return StepError(
        f"the files that the step made on its worker cannot be received: {path}: {why}",
        hint="make room, correct the permissions, or move away what is in its place",
        code="AF842",
    )


def _unexpected(path: str, why: str) -> StepError:
    return StepError(
        f"a worker sends {path!r}, which is refused: {why}",
        hint="the worker runs another version of AetherFlow, or is not what it seems: restart it",
        code="AF846",
    )
