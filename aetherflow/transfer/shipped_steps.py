"""The steps that move files, for the kinds of resources that ship: sftp, smb and file."""

from __future__ import annotations

from aetherflow.transfer.steps import transfer_steps

sftp_list_files, sftp_download_files, sftp_upload_files, sftp_delete_files = transfer_steps("sftp")
smb_list_files, smb_download_files, smb_upload_files, smb_delete_files = transfer_steps("smb")
file_list_files, file_download_files, file_upload_files, file_delete_files = transfer_steps("file")
