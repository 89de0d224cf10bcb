"""The step `<kind>_download_files`: bring files from elsewhere; a resumed step brings the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.input_types import PathText
from aetherflow.sdk.remote_files import RemoteEntry, RemoteFiles
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.task_errors import one_error
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.local_target import LocalTarget
from aetherflow.transfer.manifest import Entry, Manifest
from aetherflow.transfer.rate import Meter, RateLimit
from aetherflow.transfer.receiving import Receiving
from aetherflow.transfer.remote_file import RemoteFile, listed_file
from aetherflow.transfer.remote_inputs import GivenFile, RemoteFilesInputs, Text
from aetherflow.transfer.selected_files import remote_files, selected_files
from aetherflow.transfer.target_names import Named, last_part, target_names, temporary_name, with_name
from aetherflow.transfer.transfer_keys import TransferInputs
from aetherflow.transfer.transfer_run import arrived_earlier, manifest_path, move_files, note_files
from aetherflow.transfer.way import Item, on_disk

STATS_AT_ONCE = 8


class RemoteDownloadInput(TransferInputs, frozen=True):
    """Inputs of the step.

    Attributes:
        resource: a resource whose connector has files: sftp, smb, file ...
        dest_dir: the folder of this machine; a relative one is below the job's artifacts.
        files: what `files` of a listing has, mappings with `path` and `rel_path`, or paths; null: none.
        remote_dir: instead of files: the folder there, for a selection; also `dir`.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (("files", "remote_dir", "dir"),)

    resource: Text
    dest_dir: Annotated[PathText, Meta(min_length=1)]
    files: list[Text | GivenFile] | UnsetType | None = UNSET
    remote_dir: Text | None = None
    dir: Text | None = None

    def __post_init__(self) -> None:
        """Check what the types do not say.

        Raises:
            ValueError: see `TransferInputs`; or it is not clear which files are meant.
        """
        super().__post_init__()
        self.check_move_to(self.named().remote_dir)

    def named(self) -> RemoteFilesInputs:
        """Return the inputs that say which files are meant.

        Raises:
            ValueError: there is neither a folder nor files, or there are both.
        """
        fields = RemoteFilesInputs.__struct_fields__
        return RemoteFilesInputs(**{name: getattr(self, name) for name in fields})


class RemoteDownloadOutput(msgspec.Struct, frozen=True):
    """Outputs of the step.

    Attributes:
        local_files: the absolute paths of the files that are here now.
        dest_dir: the absolute path of the folder.
        count: how many files are here now.
        bytes: how large they are together.
        skipped: how many files were left, since `overwrite` did not let them replace another.
        manifest: the result list: path, size, sha256, mtime and status of every file.
    """

    local_files: list[str]
    dest_dir: str
    count: int
    bytes: int
    skipped: int
    manifest: str


async def download_files(
    context: StepContext, inputs: RemoteDownloadInput
) -> RemoteDownloadOutput | StepResult:
    """Download files; each has its name only when it is complete."""
    connector = await remote_files(context, inputs.resource)
    folder = await context.run_blocking(context.path, inputs.dest_dir)
    selected = await selected_files(context, connector, inputs.named())
    if selected.too_few and not context.earlier_effects:
        outputs = RemoteDownloadOutput([], str(folder), 0, 0, 0, str(manifest_path(context)))
        return Skipped(selected.too_few, msgspec.to_builtins(outputs))
    earlier = await arrived_earlier(context)
    files = await _described(connector, selected.files, earlier)
    settings = inputs.transfer()
    names = await _names(folder, files, settings.rename)
    items = [_item(context, file, f"{folder}/{name}") for file, name in zip(files, names, strict=True)]
    if isinstance(connector, LocalFiles):
        await connector.refuse_same((item.source, item.target) for item in items)
    target = LocalTarget(folder, await context.run_blocking(context.access_of, folder / "file"))

    def way(manifest: Manifest, rate: RateLimit, meter: Meter) -> Receiving:
        return Receiving(context, connector, target, manifest, settings, rate, meter)

    manifest = await move_files(context, items, settings, way, str(folder))
    here = [entry for entry in manifest.entries.values() if entry.has_arrived]
    note_files(context, connector, here, "from")
    return RemoteDownloadOutput(
        local_files=[entry.path for entry in here],
        dest_dir=str(folder),
        count=len(here),
        bytes=sum(entry.size or 0 for entry in here),
        skipped=sum(entry.status == "skipped" for entry in manifest.entries.values()),
        manifest=str(manifest.path),
    )


async def _described(
    connector: RemoteFiles, files: list[RemoteFile], earlier: Mapping[str, Entry]
) -> list[RemoteFile]:
    """Return the files with their sizes; ask the far side for those that are unknown.

    A file that an earlier attempt has brought may be gone there.

    Raises:
        StepError: a file does not exist (AF317).
    """
    found = list(files)
    waiting = iter([index for index, file in enumerate(files) if file.size is None])

    async def work() -> None:
        for index in waiting:
            entry = await connector.stat(files[index].path)
            known = earlier.get(files[index].rel_path)
            if entry is None and known is not None:
                entry = RemoteEntry(known.remote_path, known.size or 0, known.mtime)
            if entry is None or entry.is_dir:
                raise _no_file(files[index].path, entry)
            described = listed_file(files[index].rel_path, entry)
            found[index] = msgspec.structs.replace(described, path=files[index].path)

    async with one_error() as tasks:
        for _ in range(STATS_AT_ONCE):
            tasks.start_soon(work)
    return found


def _no_file(path: str, found: RemoteEntry | None) -> StepError:
    """Return the error for a path among `files` that is no file (AF317)."""
    return StepError(
        f"cannot download {path}: {'it is a folder' if found else 'there is no such file'}",
        hint="files takes files only; a folder is given by remote_dir, with recursive: true for what is below"
        if found
        else "check the path; if the file was listed before, it was taken away since",
        code="AF317",
        detail={"path": path},
    )


async def _names(folder: Path, files: list[RemoteFile], template: str) -> list[str]:
    """Return the names that the files get below the folder.

    Raises:
        StepError: one cannot be used, or two files get the same.
    """
    named = [Named(file.path, file.rel_path, file.mtime) for file in files]
    names = target_names(named, template)
    if len({name.casefold() for name in names}) < len(names) and await on_disk(
        "write", str(folder), _ignores_case, folder
    ):
        target_names(named, template, ignores_case=True)
    return names


def _ignores_case(folder: Path) -> bool:
    """Whether `A` and `a` are one file in a folder; blocking."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".case-{os.urandom(8).hex()}x"
    try:
        probe.touch()
        return probe.with_name(probe.name.upper()).exists()
    finally:
        probe.unlink(missing_ok=True)


def _item(context: StepContext, file: RemoteFile, target: str) -> Item:
    marks = (context.idempotency_key, file.path, target, file.size, file.mtime)
    return Item(
        id=file.rel_path,
        source=file.path,
        rel_path=file.rel_path,
        target=target,
        temporary=with_name(target, temporary_name(last_part(target), *marks)),
        size=file.size,
        mtime=file.mtime,
        sha256=file.sha256,
    )
