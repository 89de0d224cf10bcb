"""The step `<kind>_list_files`: list the files of a folder elsewhere that a selection takes."""

from __future__ import annotations

import msgspec

from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.transfer.listing import list_remote
from aetherflow.transfer.remote_file import RemoteFile
from aetherflow.transfer.remote_inputs import RemoteDirInputs
from aetherflow.transfer.selected_files import remote_files


class RemoteListInput(RemoteDirInputs, frozen=True):
    """Inputs of the step; without `recursive`, folders whose names match are listed too."""


class RemoteListOutput(msgspec.Struct, frozen=True):
    """Outputs of the step.

    Attributes:
        has_data: whether there are enough files.
        count: how many there are.
        bytes: how large they are together.
        files: those files, in order.
    """

    has_data: bool
    count: int
    bytes: int
    files: list[RemoteFile]


async def list_files(context: StepContext, inputs: RemoteListInput) -> RemoteListOutput | StepResult:
    """List the files of a folder that a selection takes; SKIPPED when there are fewer than `min_count`."""
    connector = await remote_files(context, inputs.resource)
    files = await list_remote(context, connector, inputs.remote_dir or "", inputs, with_folders=True)
    count, size = len(files), sum(file.size or 0 for file in files)
    if reason := inputs.too_few(count, inputs.remote_dir):
        return Skipped(reason, {"has_data": False, "count": count, "bytes": size, "files": []})
    return RemoteListOutput(has_data=True, count=count, bytes=size, files=files)
