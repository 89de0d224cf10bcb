"""Find the files that a step works on: those that its inputs name, or those that it selects from a folder."""

from __future__ import annotations

import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.transfer.listing import list_remote
from aetherflow.transfer.local_files import LocalFiles
from aetherflow.transfer.remote_file import RemoteFile, given_file
from aetherflow.transfer.remote_inputs import RemoteFilesInputs


class Selected(msgspec.Struct, frozen=True):
    """The files that a step works on.

    Attributes:
        files: those files, in order, each path once.
        too_few: why the step is SKIPPED; empty if there are enough.
    """

    files: list[RemoteFile]
    too_few: str = ""


async def remote_files(context: StepContext, resource: str) -> RemoteFiles:
    """Return the open connector of a resource that has files.

    Raises:
        StepError: it has none (AF300), or cannot be opened.
    """
    connector = await context.connector(resource)
    if isinstance(connector, LocalFiles):  # enterprise mode restricts paths of this machine
        await context.run_blocking(context.path, str(connector.folder or "/"))
    if isinstance(connector, RemoteFiles):
        return connector
    raise StepError(
        f"the resource {resource!r} is a {type(connector).__name__}, which has no files",
        hint=f"{context.step_type} takes a resource of kind sftp, smb or file, or of a plugin that has files",
        code="AF300",
    )


async def selected_files(
    context: StepContext, connector: RemoteFiles, inputs: RemoteFilesInputs, *, with_folders: bool = False
) -> Selected:
    """Return the files that the inputs name, or those of `remote_dir` that they select.

    Folders that the inputs name are left out with a warning, unless `with_folders`.

    Raises:
        StepError: as for `list_remote`.
    """
    if inputs.remote_dir is not None:
        files = await list_remote(context, connector, inputs.remote_dir, inputs)
        return Selected(files, inputs.too_few(len(files), inputs.remote_dir))
    named = [given_file(one) for one in inputs.files or ()]
    folders = [] if with_folders else [one.path for one in named if one.is_dir]
    files = list({one.path: one for one in named if with_folders or not one.is_dir}.values())
    if folders:
        context.log(f"folders are left out, such as {folders[0]}", "warning")
    return Selected(files)
