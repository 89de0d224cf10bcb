"""The step `list_files`: list the files of a local folder that a selection takes."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.language.dates import utc_text
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.file_selection import FileEntry
from aetherflow.sdk.files import list_files as entries_of
from aetherflow.sdk.input_types import PathText
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.sdk.step_decorator import step
from aetherflow.transfer.selection_inputs import SelectionInputs


class ListFilesInput(SelectionInputs, frozen=True):
    """Inputs of `list_files`.

    Attributes:
        dir: the folder; a relative one is below the job's artifacts.
    """

    dir: PathText


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
    recursive = bool(inputs.recursive)
    entries = await context.run_blocking(_look, folder, recursive)
    if inputs.stable_for_seconds is not None:
        await context.clock.sleep(inputs.stable_for_seconds)
        before = set(entries)
        entries = [e for e in await context.run_blocking(_look, folder, recursive) if e in before]
    now = context.clock.now()
    taken = inputs.selection(now).select(entries, now)
    files = [_listed(folder, entry) for entry in taken]
    if not (reason := inputs.too_few(len(files), folder)):
        return ListFilesOutput(has_data=True, count=len(files), files=files)
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
