"""The connector of this package does what every connector with files must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow import Resource
from aetherflow.transfer.local_files import LocalFiles
from tests.transfer.remote_files_suite import CHECKS, Check, check_all, check_links


@pytest.mark.asyncio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_local_folder_is_a_file_system(tmp_path: Path, check: Check) -> None:
    files = await LocalFiles.open(Resource("box", "file", "local", {}))
    await check_all(files, str(tmp_path), [check])


@pytest.mark.asyncio
async def test_a_place_below_a_folder_of_its_own_is_a_file_system(tmp_path: Path) -> None:
    files = await LocalFiles.open(Resource("box", "file", "local", {"path": str(tmp_path)}))
    await check_all(files, ".")


@pytest.mark.asyncio
async def test_links_of_a_local_folder_are_reported(tmp_path: Path) -> None:
    files = await LocalFiles.open(Resource("box", "file", "local", {}))
    await check_links(files, str(tmp_path), tmp_path)
