"""`smb:folder`: a folder in place of a file server has its paths and its checks, and says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aetherflow_smb.folder_connector import SmbFolderConnector

from aetherflow.errors import ConfigError, StepError
from aetherflow.sdk.connector import Resource

pytestmark = pytest.mark.asyncio


async def opened(folder: Path, **config: Any) -> SmbFolderConnector:
    keys = {"path": str(folder), "server": "nas", **config}
    return await SmbFolderConnector.open(Resource("share", "smb", "folder", keys))


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def test_each_share_is_a_folder_and_the_other_keys_of_a_server_are_accepted(tmp_path: Path) -> None:
    for share in ("data", "Archive"):
        (tmp_path / share).mkdir()
    files = await opened(
        tmp_path,
        share="data",
        port=445,
        user="ann",
        password="x",  # noqa: S106 - not used
        domain="D",
        encrypt=True,
        client_name="c",
    )
    await files.write_bytes("in/a.csv", b"1")
    await files.write_bytes("ARCHIVE:/in/a.csv", b"2")
    await files.write_bytes(r"\\NAS\archive\in\b.csv", b"3")
    await files.write_bytes(r"Z:\IN\b.csv", b"4")

    written = {
        "data/in/a.csv": b"1",
        "Archive/in/a.csv": b"2",
        "Archive/in/b.csv": b"3",
        "data/in/b.csv": b"4",
    }
    assert {name: (tmp_path / name).read_bytes() for name in written} == written
    assert [entry.path for entry in await files.list("ARCHIVE:/in")] == [
        "ARCHIVE:/in/a.csv",
        "ARCHIVE:/in/b.csv",
    ]
    assert (await files.check())[0].state == "warning"


async def test_every_run_says_that_it_is_no_server(tmp_path: Path) -> None:
    assert (await opened(tmp_path)).cautions == (
        (
            f"resource 'share': the folder {tmp_path} is used in place of the shares of nas; "
            "nothing is sent over the network"
        ),
    )


async def test_what_a_server_would_refuse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    files = await opened(tmp_path, share="data")
    cases = {
        "a:b": "Windows does not allow the name 'a:b'",
        "con.txt": "it is the name of a device",
        "../f": "leaves its share",
        "OTHER:/f": f"{tmp_path} has no folder for the share 'OTHER'",
        r"\\elsewhere\data\f": "is not on nas, the server that the folder",
    }
    for path, said in cases.items():
        with pytest.raises(StepError) as failure:
            await files.write(path, pieces(b""))
        assert said in failure.value.message
    with pytest.raises(StepError, match="they are on different shares"):
        await files.rename("f", "OTHER:/f", replace=True)
    assert list((tmp_path / "data").iterdir()) == []


async def test_a_missing_folder_or_share_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot list"):
        await opened(tmp_path / "no")
    with pytest.raises(StepError, match="has no folder for the share 'data'") as failure:
        await opened(tmp_path, share="data")
    assert failure.value.hint == f"mkdir {tmp_path}/data"
    with pytest.raises(ConfigError, match="`path`"):
        await SmbFolderConnector.open(Resource("share", "smb", "folder", {"server": "nas"}))
