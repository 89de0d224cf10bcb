"""The connectors of the SMB plugin do what every connector with files must do."""

from __future__ import annotations

from pathlib import Path

import pytest
from aetherflow_smb.folder_connector import SmbFolderConnector
from aetherflow_smb.smbclient_connector import SmbClientConnector

from aetherflow.sdk.connector import Resource
from tests.servers.samba import Samba
from tests.transfer.remote_files_suite import check_all, check_links

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("form", ["DATA:/{top}", r"\\127.0.0.1\data\{top}"])
async def test_a_share_of_samba_is_a_file_system(samba_server: Samba, form: str) -> None:
    folder = form.format(top=samba_server.new_folder())
    files = await SmbClientConnector.open(Resource("nas", "smb", "smbclient", samba_server.config()))
    await check_all(files, folder)
    await files.aclose()


@pytest.mark.parametrize("form", ["top", "DATA:/top", r"\\nas\data\top"])
async def test_a_folder_in_place_of_a_server_is_a_file_system(tmp_path: Path, form: str) -> None:
    (tmp_path / "data/top").mkdir(parents=True)
    config = {"path": str(tmp_path), "server": "nas", "share": "data"}
    files = await SmbFolderConnector.open(Resource("nas", "smb", "folder", config))
    await check_all(files, form)


async def test_links_in_a_folder_in_place_of_a_server_are_reported(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    files = await SmbFolderConnector.open(Resource("nas", "smb", "folder", {"path": str(tmp_path)}))
    await check_links(files, "data:/", tmp_path / "data")
