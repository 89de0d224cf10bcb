"""The SFTP connector does what every connector with files must do, on both servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.sftp_resources import opened
from tests.servers.openssh import needs_openssh, openssh
from tests.servers.sftp_server import sftp_server
from tests.transfer.remote_files_suite import CHECKS, Check, check_all, check_links

pytestmark = pytest.mark.asyncio


async def test_a_server_of_asyncssh_is_a_file_system(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        await check_links(box, "/", server.root)
        await check_all(box, "/")


@needs_openssh
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_server_of_openssh_is_a_file_system(tmp_path: Path, check: Check) -> None:
    with openssh(tmp_path / "sshd") as server:
        async with opened(server.config()) as box:
            await check_all(box, str(server.root), [check])


@needs_openssh
async def test_links_of_a_server_of_openssh_are_reported(tmp_path: Path) -> None:
    with openssh(tmp_path / "sshd") as server:
        async with opened(server.config()) as box:
            await check_links(box, str(server.root), server.root)
