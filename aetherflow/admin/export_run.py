"""Export a run to a file: written beside it and renamed, so that it is there whole or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from html import unescape
from pathlib import Path
from typing import IO, Literal

import msgspec

from aetherflow.admin.export_events import run_of_parquet, write_json_lines, write_parquet
from aetherflow.admin.export_threads import threads
from aetherflow.errors import UsageError
from aetherflow.file_access import FileAccess, opener
from aetherflow.observe.event_record import SCHEMA
from aetherflow.stop_signals import note_finished, note_unfinished
from aetherflow.store.database import Database
from aetherflow.web.run_page import GENERATOR, run_page
from aetherflow.working_directory import absolute

Format = Literal["html", "jsonl", "parquet"]
HEAD_BYTES = 8192
"""Where an HTML page says of which run it is."""
_RUN = re.compile(rb'<meta name="aetherflow-run" content="([^"]*)"')


class Surroundings(msgspec.Struct, frozen=True):
    """What an export needs to know of where it is made.

    Attributes:
        env: the variables, among them secrets that are masked.
        access: who may read what is written.
        named_state: the database as commands must name it; empty if they find it.
    """

    env: Mapping[str, str]
    access: FileAccess = "private"
    named_state: Path | str = ""


class Exported(msgspec.Struct, frozen=True):
    """A file that was written.

    Attributes:
        events: how many events it has; of a page how many the run has.
    """

    format: Format
    path: Path
    bytes: int
    events: int


async def export_run(
    database: Database,
    run_id: str,
    format_: Format,
    path: Path,
    around: Surroundings,
    *,
    force: bool = False,
) -> Exported:
    """Write a run to a file, which may be an earlier export of the same run in the same format.

    Raises:
        UsageError: another file is there and `force` is not set, or the file cannot be written.
        StateError: the database cannot be read.
        MissingExtra: the format needs a package that is not installed.
    """
    path = absolute(path)
    if not force:
        await threads.run(_refuse_other, path, format_, run_id)
    try:
        async with _replaced(path, around.access) as new:
            if format_ == "parquet":
                number = await write_parquet(database, run_id, new, is_usual_state=not around.named_state)
            else:
                with new.open("wb") as file:
                    number = await write_run(database, run_id, format_, file, around)
            size = new.stat().st_size
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}",
            hint="name a file in a folder that exists, has room, and that you may write to",
        ) from None
    return Exported(format_, path, size, number)


async def write_run(
    database: Database,
    run_id: str,
    format_: Literal["html", "jsonl"],
    file: IO[bytes],
    around: Surroundings,
) -> int:
    """Write a run to a stream; return how many events it has.

    Raises:
        StateError: the database cannot be read.
        OSError: the stream cannot be written.
    """
    if format_ == "jsonl":
        return await write_json_lines(database, run_id, file, is_usual_state=not around.named_state)
    from aetherflow.admin.run_report.build_page import build_page  # noqa: PLC0415 - only a page needs it

    page = await build_page(database, run_id, around.env, around.named_state)
    await threads.run(lambda: file.writelines(_encoded(run_page(page))))
    return page.events.total


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece.encode("utf-8", "backslashreplace")


@asynccontextmanager
async def _replaced(path: Path, access: FileAccess) -> AsyncIterator[Path]:
    """Give a new file beside `path` to write, and put it there at the end.

    It is removed if that fails, or if a signal ends the process. Unlike `atomic_write` this makes no folder,
    and replaces a link, not what the link leads to.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    note_unfinished(str(new))
    try:
        os.close(opener(access)(str(new), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        yield new
        await threads.run(_put, new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    finally:
        note_finished(str(new))


def _put(new: Path, path: Path) -> None:
    """Rename a file once its content is on the disk: a power loss leaves the old file or the new one."""
    with new.open("rb") as written:
        os.fsync(written.fileno())
    new.replace(path)


def _refuse_other(path: Path, format_: Format, run_id: str) -> None:
    """Refuse to replace what is no export of this run.

    Raises:
        UsageError: there is such a file.
    """
    hint = "name another file, or give --force"
    if path.is_symlink():
        raise UsageError(f"{path} is a link: it would be replaced", hint=hint)
    try:
        if not path.exists():
            return
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise UsageError(f"{path} is {what}", hint="name a file; - is standard output")
        found = _run_of(path, format_)
    except OSError as error:
        raise UsageError(
            f"{path} is there already and cannot be read: {error.strerror or error}", hint=hint
        ) from None
    if found != run_id:
        of = f"an export of run {found}" if found else f"no {format_} export of this run"
        raise UsageError(f"{path} is there already, and it is {of}", hint=hint)


def _run_of(path: Path, format_: Format) -> str:
    """Return the id of the run of which a file is an export in a format; empty if it is another file."""
    if format_ == "parquet":
        return run_of_parquet(path)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if format_ == "html":
        found = _RUN.search(head)
        return unescape(found[1].decode(errors="replace")) if found and GENERATOR.encode() in head else ""
    with path.open("rb") as file:
        first = file.readline(1 << 17)
    try:
        record = json.loads(first)
    except ValueError:
        return ""
    return (
        str(record.get("run_id", "")) if isinstance(record, dict) and record.get("schema") == SCHEMA else ""
    )
