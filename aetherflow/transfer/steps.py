"""Make the steps that move files for one kind of resource: `sftp_list_files` and the like."""

from __future__ import annotations

from typing import NamedTuple

from aetherflow.sdk.remote_files import RemoteFiles
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_decorator import step
from aetherflow.transfer.after_step import after_download, after_upload
from aetherflow.transfer.delete_step import delete_files
from aetherflow.transfer.download_step import download_files
from aetherflow.transfer.list_step import list_files
from aetherflow.transfer.upload_step import upload_files


class TransferSteps(NamedTuple):
    """The steps of one kind of resource."""

    list_files: StepType
    download_files: StepType
    upload_files: StepType
    delete_files: StepType


def transfer_steps(kind: str) -> TransferSteps:
    """Return the steps that move files, named after a kind of resource: `s3_list_files` and so on.

    They work with every connector that is a `RemoteFiles`. A plugin writes, at the top of a module:

        list_files, download_files, upload_files, delete_files = transfer_steps("s3")

    Raises:
        ConfigError: the name of a step cannot begin with `kind`.
    """
    return TransferSteps(
        list_files=step(f"{kind}_list_files", resource_type=RemoteFiles)(list_files),
        download_files=step(f"{kind}_download_files", follow_up=after_download, resource_type=RemoteFiles)(
            download_files
        ),
        upload_files=step(f"{kind}_upload_files", follow_up=after_upload, resource_type=RemoteFiles)(
            upload_files
        ),
        delete_files=step(f"{kind}_delete_files", resource_type=RemoteFiles)(delete_files),
    )
