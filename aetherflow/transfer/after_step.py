"""What happens to the sources of a transfer once its success is stored: they are deleted, or moved away.

The manifest of the transfer says which files arrived. A source that was changed since then stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.effects import Found
from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.sdk.step import FOLLOW_UP
from aetherflow.transfer.download_step import RemoteDownloadInput
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.manifest import Entry, read_manifest
from aetherflow.transfer.selected_files import remote_files
from aetherflow.transfer.target_names import last_part, temporary_name, with_name
from aetherflow.transfer.transfer_keys import TransferInputs
from aetherflow.transfer.transfer_run import MOST_EFFECTS
from aetherflow.transfer.upload_step import RemoteUploadInput
from aetherflow.transfer.way import on_disk
from aetherflow.transfer.workers import each


class AfterOutput(msgspec.Struct, frozen=True):
    """Outputs of the step.

    Attributes:
        count: how many sources were deleted or moved.
        missing: how many were gone already.
        changed: the paths of those that were changed after the transfer, and stay.
        moved_to: where the moved ones are now, by their earlier path.
    """

    count: int
    missing: int
    changed: list[str]
    moved_to: dict[str, str]


async def after_download(context: StepContext, inputs: RemoteDownloadInput) -> AfterOutput:
    """Delete or move the files on the far side that the step before has downloaded.

    Raises:
        StepError: one of them cannot be deleted or moved.
    """
    connector = await remote_files(context, inputs.resource)
    return await _Sources(context, connector, inputs, inputs.move_to or "", "remote_path").clear()


async def after_upload(context: StepContext, inputs: RemoteUploadInput) -> AfterOutput:
    """Delete or move the files of this machine that the step before has uploaded.

    Raises:
        StepError: one of them cannot be deleted or moved.
    """
    folder = await context.run_blocking(context.path, inputs.move_to) if inputs.move_to else ""
    return await _Sources(context, LocalFiles("sources", None), inputs, str(folder), "file").clear()


class _Cleared(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a source; the defaults are those of an effect that an earlier attempt began and did."""

    outcome: Literal["done", "missing", "changed"] = "done"
    to: str = ""


class _Sources:
    """The sources of a transfer: where they are, and what happens to them."""

    def __init__(
        self,
        context: StepContext,
        place: RemoteFiles,
        inputs: TransferInputs,
        move_to: str,
        path_of: Literal["file", "remote_path"],
    ) -> None:
        self._context = context
        self._place = place
        self._inputs = inputs
        self._move_to = move_to
        self._path_of = path_of
        self._made: set[str] = set()
        self._continues = False
        self._count = 0
        self._missing = 0
        self._changed: list[str] = []
        self._moved: dict[str, str] = {}

    async def clear(self) -> AfterOutput:
        """Delete or move them all; those of an earlier attempt count too."""
        step_id = self._context.step_id.removesuffix(FOLLOW_UP)
        path = self._context.manifests / f"{step_id}.manifest.json"
        listed = await on_disk("read", str(path), read_manifest, path)
        entries = [entry for entry in listed if entry.has_arrived]
        workers = self._inputs.transfer().workers_for([0])
        key = f"{self._verb} {len(entries)} sources"
        self._continues = key in self._context.earlier_effects
        async with self._effect(key, is_one=len(entries) > MOST_EFFECTS):
            await each(
                self._clear_noted if len(entries) <= MOST_EFFECTS else self._clear,
                entries,
                name=self._path,
                workers=workers,
            )
            await each(self._remove_marker, entries, name=self._path, workers=workers)
        if self._changed:
            self._context.log(
                f"changed since the transfer, so left: {', '.join(self._changed[:5])}", "warning"
            )
        return AfterOutput(self._count, self._missing, sorted(self._changed), self._moved)

    @property
    def _verb(self) -> str:
        return "move" if self._inputs.after == "move" else "delete"

    def _path(self, entry: Entry) -> str:
        path: str = getattr(entry, self._path_of)
        return path

    async def _clear_noted(self, entry: Entry) -> None:
        """Delete or move a source as an effect of its own."""

        async def find_gone() -> Found:
            if await self._place.stat(self._path(entry)) is not None:
                return False
            return {"to": await self._find_moved(entry)} if self._move_to else True

        key = f"{self._verb} {self._path(entry)}"
        detail = {"to": self._move_to} if self._move_to else {}
        async with self._context.effect(key, verify=find_gone, detail=detail) as effect:
            if not effect.done:
                effect.result = msgspec.to_builtins(await self._cleared(entry))
            self._note(entry, msgspec.convert(effect.result, _Cleared))

    async def _clear(self, entry: Entry) -> None:
        self._note(entry, await self._cleared(entry))

    def _note(self, entry: Entry, cleared: _Cleared) -> None:
        path = self._path(entry)
        is_missing = cleared.outcome == "missing" and not self._continues
        self._missing += is_missing
        self._count += cleared.outcome != "changed" and not is_missing
        if cleared.outcome == "changed":
            self._changed.append(path)
        if cleared.to:
            self._moved[path] = cleared.to

    async def _cleared(self, entry: Entry) -> _Cleared:
        """Delete or move a source, unless it is gone or was changed."""
        path = self._path(entry)
        there = await self._place.stat(path)
        if there is None:
            return _Cleared("missing")
        if there.is_dir or there.size != entry.size or _differ(there.mtime, entry.mtime):
            return _Cleared("changed")
        if self._inputs.after == "move":
            return _Cleared(to=await self._move(entry, path))
        await self._place.remove(path)
        return _Cleared()

    async def _move(self, entry: Entry, path: str) -> str:
        """Move a source away, under a free name, and return it; a copy that a crash left is this file."""
        folder = self._archive_folder(entry)
        if folder not in self._made:
            await self._place.make_folder(folder)
            self._made.add(folder)
        target, is_there = await self._name_in_archive(entry)
        if is_there:
            await self._remove_copy(path, target)
        else:
            await self._place.rename(path, target, replace=False)
        return target

    async def _find_moved(self, entry: Entry) -> str:
        """Return where an earlier attempt moved a source; nothing if it is not in that folder any more."""
        target, is_there = await self._name_in_archive(entry)
        return target if is_there else ""

    def _archive_folder(self, entry: Entry) -> str:
        folder = PurePosixPath(entry.rel_path).parent
        return self._place.join(self._move_to, str(folder)) if folder.name else self._move_to

    async def _name_in_archive(self, entry: Entry) -> tuple[str, bool]:
        """Return the first path of the archive that is free for a source or holds it, and whether it does.

        A file of the same size and time is taken for the source.
        """
        rel_path = PurePosixPath(entry.rel_path)
        folder = self._archive_folder(entry)
        number = 0
        while True:
            name = f"{rel_path.stem}.{number}{rel_path.suffix}" if number else rel_path.name
            target = self._place.join(folder, name)
            there = await self._place.stat(target)
            if there is None:
                return target, False
            if there.size == entry.size and there.mtime is not None and not _differ(there.mtime, entry.mtime):
                return target, True
            number += 1

    async def _remove_copy(self, path: str, target: str) -> None:
        """Delete a source of which `target` is a copy, but not if both are names of one file.

        Raises:
            StepError: the folder to move to is that of the source, perhaps spelled in another way (AF315).
        """
        aside = with_name(path, temporary_name(last_part(path), path, target))
        await self._place.rename(path, aside, replace=True)
        if await self._place.stat(target) is None:
            await self._place.rename(aside, path, replace=False)
            raise StepError(
                f"cannot move {path} to {self._move_to}: that is the folder where it is",
                hint="choose another folder as move_to",
                code="AF315",
                detail={"path": path},
            )
        await self._place.remove(aside)

    async def _remove_marker(self, entry: Entry) -> None:
        """Delete the done-file of a source that is gone; one that several files share stays."""
        template = self._inputs.done_file or ""
        if not ("{name}" in template or "{stem}" in template) or self._path(entry) in self._changed:
            return
        path = self._path(entry)
        name = PurePosixPath(entry.rel_path)
        parts = {"{name}": name.name, "{stem}": name.stem, "{suffix}": name.suffix}
        for placeholder, value in parts.items():
            template = template.replace(placeholder, value)
        await self._place.remove(path.removesuffix(name.name) + template)

    @asynccontextmanager
    async def _effect(self, key: str, *, is_one: bool) -> AsyncIterator[None]:
        if not is_one:
            yield
            return
        async with self._context.effect(key):
            yield


def _differ(one: float | None, other: float | None) -> bool:
    """Whether two times differ by a second or more, if both are known."""
    return one is not None and other is not None and int(one) != int(other)
