"""The step `<kind>_delete_files`: delete files elsewhere; a resumed step deletes the rest."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.spec.flow import PositiveInt
from aetherflow.task_errors import one_error
from aetherflow.transfer.remote_inputs import RemoteFilesInputs
from aetherflow.transfer.selected_files import remote_files, selected_files

SINGLE_EFFECTS = 100
"""Up to so many files, each is an effect of its own; more are deleted in groups of so many."""


class RemoteDeleteInput(RemoteFilesInputs, frozen=True):
    """Inputs of the step.

    Attributes:
        parallel: how many files are deleted at the same time.
    """

    parallel: PositiveInt | None = 4


class RemoteDeleteOutput(msgspec.Struct, frozen=True):
    """Outputs of the step.

    Attributes:
        is_deleted: true: none of the files is there any more.
        count: how many the step deleted.
        missing: how many were not there before.
        files: the paths of all of them.
    """

    is_deleted: bool
    count: int
    missing: int
    files: list[str]


class _Group(msgspec.Struct, frozen=True):
    """Files that are deleted as one effect; `is_begun`: an earlier attempt may have deleted some."""

    paths: Sequence[str]
    is_begun: bool = False

    @property
    def key(self) -> str:
        """Name the effect."""
        more = len(self.paths) - 1
        return f"delete {self.paths[0]}" + (f" and {more} more" if more else "")


async def delete_files(context: StepContext, inputs: RemoteDeleteInput) -> RemoteDeleteOutput | StepResult:
    """Delete files, and empty folders that `files` names; those that are gone already count as `missing`."""
    connector = await remote_files(context, inputs.resource)
    selected = await selected_files(context, connector, inputs, with_folders=True)
    paths = [file.path for file in selected.files]
    earlier = await _earlier(context, connector, frozenset(paths), inputs.parallel or 4)
    begun = {path for group in earlier for path in group.paths}
    new = [path for path in paths if path not in begun]
    if inputs.max_count is not None:
        new = new[: max(0, inputs.max_count - len(begun))]
    if inputs.remote_dir and (reason := inputs.too_few(len(begun) + len(new), inputs.remote_dir)):
        return Skipped(reason, {"is_deleted": False, "count": 0, "missing": 0, "files": []})
    size = 1 if len(new) <= SINGLE_EFFECTS else SINGLE_EFFECTS
    groups = [*earlier, *(_Group(new[start : start + size]) for start in range(0, len(new), size))]
    missing = await _delete(context, connector, groups, inputs.parallel or 4)
    files = [path for group in groups for path in group.paths]
    return RemoteDeleteOutput(is_deleted=True, count=len(files) - missing, missing=missing, files=files)


async def _earlier(
    context: StepContext, connector: RemoteFiles, wanted: frozenset[str], parallel: int
) -> list[_Group]:
    """Return what an earlier attempt deleted or began to delete.

    A file that is still there and not wanted any more is left out: the flow was changed since.
    """
    limiter = anyio.CapacityLimiter(parallel)
    unwanted: set[str] = set()

    async def look(path: str) -> None:
        async with limiter:
            if await connector.stat(path) is not None:
                unwanted.add(path)

    effects = [one for one in context.earlier_effects.values() if one.detail.get("paths")]
    async with one_error() as tasks:
        for path in (path for one in effects if not one.is_confirmed for path in one.detail["paths"]):
            if path not in wanted:
                tasks.start_soon(look, path)
    kept = ([path for path in one.detail["paths"] if path not in unwanted] for one in effects)
    return [_Group(paths, is_begun=True) for paths in kept if paths]


async def _delete(
    context: StepContext, connector: RemoteFiles, groups: Sequence[_Group], parallel: int
) -> int:
    """Delete the files of all groups; return how many were not there before."""
    limiter = anyio.CapacityLimiter(parallel)
    total, done, missing = sum(len(group.paths) for group in groups), 0, 0

    async def remove(path: str, absent: list[str]) -> None:
        nonlocal done
        async with limiter:
            if not await _remove(connector, path):
                absent.append(path)
        done += 1
        context.progress(done, total, "files", path)

    async def delete(group: _Group) -> None:
        nonlocal missing
        gone = _Gone(connector, group.paths)
        async with context.effect(group.key, verify=gone, detail={"paths": list(group.paths)}) as effect:
            if not effect.done:
                absent: list[str] = []
                async with one_error() as tasks:
                    for path in group.paths:
                        tasks.start_soon(remove, path, absent)
                effect.result = {"missing": 0 if group.is_begun else len(absent)}
        missing += effect.result.get("missing", 0)

    async with one_error() as tasks:
        for group in groups:
            tasks.start_soon(delete, group)
    return missing


async def _remove(connector: RemoteFiles, path: str) -> bool:
    """Delete a file or an empty folder; return whether it was there."""
    try:
        return await connector.remove(path)
    except StepError as error:
        there = None if error.kind == "connection" else await connector.stat(path)
        if there is None or not there.is_dir:
            raise
    return await connector.remove_folder(path)


class _Gone(msgspec.Struct, frozen=True):
    """Verifies a deletion that was begun: whether none of the files is there any more."""

    connector: RemoteFiles
    paths: Sequence[str]

    async def __call__(self) -> bool:
        """Ask the far side about each file."""
        for path in self.paths:
            if await self.connector.stat(path) is not None:
                return False
        return True
