"""The step `list_files`: list the files of a local folder that a selection takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from aetherflow.errors import StepError
from aetherflow.language.dates import utc_text
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.file_selection import FileEntry, FileSelection, Sort, ZeroByte
from aetherflow.sdk.files import list_files as entries_of
from aetherflow.sdk.input_types import PathText
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.sdk.step_decorator import step
from aetherflow.spec.duration import parse_duration
from aetherflow.spec.flow import Seconds
from aetherflow.spec.size import parse_size

T = TypeVar("T")


class ListFilesInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of `list_files`.

    Attributes:
        dir: the folder; a relative one is below the job's artifacts.
        pattern: one or several patterns such as `*.csv`, one of which must match.
        exclude: patterns of which none may match.
        recursive: whether files in folders below are taken too.
        min_count: fewer files than this: SKIPPED.
        max_count: at most so many are taken, the first ones in order.
        min_size: the smallest size, such as 1kB.
        max_size: the largest size, such as 10MB.
        modified_after: only what was changed after this instant (2026-01-31T22:00+01:00) or age (36h).
        modified_before: only what was changed before this instant or age.
        min_age_seconds: what was changed since then is left out: it may still be written.
        stable_for_seconds: what changes within this time is left out; the step waits so long.
        done_file: only files beside which such a file exists: `{name}.done`; `{stem}`, `{suffix}` too.
        zero_byte: whether empty files are taken, left out (skip), or an error (fail).
        sort: by name (the path below the folder), size or mtime.
        reverse: largest, latest or last first.
    """

    dir: PathText
    pattern: str | list[str] = "*"
    exclude: str | list[str] = []
    recursive: bool = False
    min_count: int = 1
    max_count: int | None = None
    min_size: int | str = 0
    max_size: int | str | None = None
    modified_after: str | None = None
    modified_before: str | None = None
    min_age_seconds: Seconds | None = None
    stable_for_seconds: Seconds | None = None
    done_file: str = ""
    zero_byte: ZeroByte = "take"
    sort: Sort = "name"
    reverse: bool = False

    def __post_init__(self) -> None:
        """Check the texts that are sizes and times.

        Raises:
            ValueError: one cannot be read.
        """
        self.selection(datetime.now(UTC))

    def selection(self, now: datetime) -> FileSelection:
        """Return the criteria, with ages as instants.

        Raises:
            ValueError: a text is no size or no time.
        """
        return FileSelection(
            patterns=_texts(self.pattern),
            exclude=_texts(self.exclude),
            recursive=self.recursive,
            min_bytes=parse_size(str(self.min_size)),
            max_bytes=None if self.max_size is None else parse_size(str(self.max_size)),
            min_age_seconds=self.min_age_seconds,
            modified_after=_given(lambda text: _instant(text, now), self.modified_after),
            modified_before=_given(lambda text: _instant(text, now), self.modified_before),
            done_file=self.done_file,
            zero_byte=self.zero_byte,
            max_count=self.max_count,
            sort=self.sort,
            reverse=self.reverse,
        )


class ListedFile(msgspec.Struct, frozen=True):
    """One file of a listing.

    Attributes:
        path: absolute.
        name: the last part of the path.
        rel_path: below the folder that was listed, with `/` between its parts.
        size: in bytes.
        mtime: when it was changed, in UTC.
        is_dir: false; listings of other kinds have folders too.
    """

    path: str
    name: str
    rel_path: str
    size: int
    mtime: str
    is_dir: bool = False


class ListFilesOutput(msgspec.Struct, frozen=True):
    """Outputs of `list_files`.

    Attributes:
        has_data: whether enough files were taken.
        count: how many were taken.
        files: those files, in order.
    """

    has_data: bool
    count: int
    files: list[ListedFile]


@step("list_files")
async def list_files(context: StepContext, inputs: ListFilesInput) -> ListFilesOutput | StepResult:
    """List the files of a folder that a selection takes; SKIPPED when there are fewer than `min_count`."""
    folder = context.path(inputs.dir)
    entries = await context.run_blocking(_look, folder, inputs.recursive)
    if inputs.stable_for_seconds is not None:
        await context.clock.sleep(inputs.stable_for_seconds)
        before = set(entries)
        entries = [e for e in await context.run_blocking(_look, folder, inputs.recursive) if e in before]
    now = context.clock.now()
    taken = inputs.selection(now).select(entries, now)
    files = [_listed(folder, entry) for entry in taken]
    if len(files) >= inputs.min_count:
        return ListFilesOutput(has_data=True, count=len(files), files=files)
    found = "1 file" if len(files) == 1 else f"{len(files)} files"
    reason = f"{found} in {folder}, fewer than min_count {inputs.min_count}"
    return Skipped(reason, {"has_data": False, "count": len(files), "files": msgspec.to_builtins(files)})


def _look(folder: Path, recursive: bool) -> list[FileEntry]:  # noqa: FBT001 - called by position, in a thread
    try:
        return list(entries_of(folder, recursive=recursive))
    except OSError as error:
        raise StepError(
            f"the folder {folder} cannot be listed: {error.strerror or error}",
            hint="check the input dir; a relative one is below the job's artifacts",
            code="AF724",
        ) from None


def _listed(folder: Path, entry: FileEntry) -> ListedFile:
    changed = utc_text(entry.modified, "seconds") if entry.modified else ""
    return ListedFile(str(folder / entry.path), entry.name, entry.path, entry.size, changed)


def _texts(given: str | list[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _given(read: Callable[[str], T], text: str | None) -> T | None:
    return None if text is None else read(text)


def _instant(text: str, now: datetime) -> datetime:
    """Read an instant, in UTC unless it has an offset, or an age; 20260131 is a date."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return _age(text, now)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _age(text: str, now: datetime) -> datetime:
    try:
        return now - timedelta(seconds=parse_duration(text))
    except OverflowError:
        raise ValueError(f"{text!r} is too long ago") from None
    except ValueError:
        message = f"{text!r} is no instant and no age: write 2026-01-31T22:00:00+01:00, or 36h"
        raise ValueError(message) from None
