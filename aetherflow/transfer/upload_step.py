"""The step `<kind>_upload_files`: send files elsewhere; a resumed step sends the rest."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from aetherflow.sdk.context import StepContext
from aetherflow.sdk.input_types import PathText
from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.local_sources import LocalSource, UploadItem, given_sources, listed_sources
from aetherflow.transfer.manifest import Manifest
from aetherflow.transfer.rate import Meter, RateLimit
from aetherflow.transfer.remote_inputs import Text
from aetherflow.transfer.selected_files import remote_files
from aetherflow.transfer.sending import Sending
from aetherflow.transfer.target_names import Named, last_part, target_names, temporary_name, with_name
from aetherflow.transfer.transfer_keys import TransferInputs
from aetherflow.transfer.transfer_run import arrived_earlier, manifest_path, move_files, note_files
from aetherflow.transfer.way import Item


class RemoteUploadInput(TransferInputs, frozen=True):
    """Inputs of the step.

    Attributes:
        resource: a resource whose connector has files: sftp, smb, file ...
        remote_dir: the folder there; it is made if it does not exist; also `dir`.
        items: the files: paths, patterns such as `out/*.csv`, or {file, id, remote_name}; null: none.
        local_files: another name of items.
        src_dir: instead of items: a folder of this machine, for a selection.
    """

    needs_one_of: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("remote_dir", "dir"),
        ("items", "local_files", "src_dir"),
    )

    resource: Text
    remote_dir: Text | None = None
    dir: Text | None = None
    items: list[Text | UploadItem] | UnsetType | None = UNSET
    local_files: Text | list[Text | UploadItem] | UnsetType | None = UNSET
    src_dir: PathText | None = None

    def __post_init__(self) -> None:
        """Check what the types do not say.

        Raises:
            ValueError: see `TransferInputs`; or there is no folder, or it is not clear which files are meant.
        """
        super().__post_init__()
        if self.remote_dir is None or self.dir not in (None, self.remote_dir):
            if self.remote_dir is not None:
                raise ValueError("dir and remote_dir mean the same and differ: keep one of them")
            if self.dir is None:
                raise ValueError("remote_dir is missing: the folder for the files")
            msgspec.structs.force_setattr(self, "remote_dir", self.dir)
        sources = {"items": self.items, "local_files": self.local_files, "src_dir": self.src_dir or UNSET}
        if all(value is UNSET for value in sources.values()):
            raise ValueError("give items, local_files, or src_dir with a selection")
        given = [name for name, value in sources.items() if value is not UNSET and value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: keep one of them")
        if self.src_dir is None and (chosen := [one for one in self.chosen_by() if one != "min_count"]):
            raise ValueError(f"{chosen[0]} selects from src_dir; it has no meaning without it")
        self.check_move_to(self.src_dir)


class RemoteUploadOutput(msgspec.Struct, frozen=True):
    """Outputs of the step.

    Attributes:
        manifest: the result list: path, size, sha256, mtime and status of every file.
        count: how many files are there now.
        bytes: how large they are together.
        skipped: how many files were not sent, since `overwrite` did not let them replace another.
        remote_dir: the folder there.
        remote_files: their paths there.
        uploaded: their absolute paths on this machine.
    """

    manifest: str
    count: int
    bytes: int
    skipped: int
    remote_dir: str
    remote_files: list[str]
    uploaded: list[str]


async def upload_files(context: StepContext, inputs: RemoteUploadInput) -> RemoteUploadOutput | StepResult:
    """Upload files; each has its name only when it is complete."""
    connector = await remote_files(context, inputs.resource)
    remote_dir = inputs.remote_dir or ""
    if inputs.src_dir is not None:
        found = await listed_sources(context, inputs.src_dir, inputs)
    else:
        earlier = await arrived_earlier(context)
        found = await given_sources(context, inputs.items or inputs.local_files or [], earlier)
    too_few = inputs.too_few(len(found.files), found.where) if found.is_selection else ""
    if too_few and not context.earlier_effects:
        outputs = RemoteUploadOutput(str(manifest_path(context)), 0, 0, 0, remote_dir, [], [])
        return Skipped(too_few, msgspec.to_builtins(outputs))
    settings = inputs.transfer()
    named = [Named(one.path, one.name, one.mtime) for one in found.files]
    names = target_names(named, settings.rename, ignores_case=connector.ignores_case)
    items = [
        _item(context, one, connector.join(remote_dir, name))
        for one, name in zip(found.files, names, strict=True)
    ]
    if isinstance(connector, LocalFiles):
        await connector.refuse_same((item.target, item.source) for item in items)
    await _make_folders(connector, remote_dir, names)

    def way(manifest: Manifest, rate: RateLimit, meter: Meter) -> Sending:
        return Sending(context, connector, manifest, settings, rate, meter)

    manifest = await move_files(context, items, settings, way, remote_dir)
    there = [entry for entry in manifest.entries.values() if entry.has_arrived]
    note_files(context, connector, there, "to")
    return RemoteUploadOutput(
        manifest=str(manifest.path),
        count=len(there),
        bytes=sum(entry.size or 0 for entry in there),
        skipped=sum(entry.status == "skipped" for entry in manifest.entries.values()),
        remote_dir=remote_dir,
        remote_files=[entry.remote_path for entry in there],
        uploaded=[entry.file for entry in there],
    )


async def _make_folders(connector: RemoteFiles, remote_dir: str, names: list[str]) -> None:
    above = {name.rpartition("/")[0] for name in names}
    for folder in sorted(above):
        await connector.make_folder(connector.join(remote_dir, folder) if folder else remote_dir)


def _item(context: StepContext, source: LocalSource, target: str) -> Item:
    marks = (context.idempotency_key, source.path, target, source.size, int(source.mtime))
    return Item(
        id=source.id,
        source=source.path,
        rel_path=source.rel_path,
        target=target,
        temporary=with_name(target, temporary_name(last_part(target), *marks)),
        size=source.size,
        mtime=source.mtime,
    )
