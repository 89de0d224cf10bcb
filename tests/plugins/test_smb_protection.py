"""`smb:smbclient` with every version of SMB and every protection: encrypted, signed, neither."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aetherflow_smb.quick_connection import QuickConnection
from aetherflow_smb.smbclient_connector import SmbClientConnector

from aetherflow.errors import StepError
from aetherflow.sdk.connector import Resource
from aetherflow.sdk.remote_files import RemoteEntry
from tests.servers.samba import Samba, samba

pytestmark = pytest.mark.asyncio

READ = 8
"""The number of this command in SMB 2."""

CONTENT = os.urandom(3_000_001)


async def connect(to: Samba, **config: Any) -> SmbClientConnector:
    return await SmbClientConnector.open(
        Resource("nas", "smb", "smbclient", to.config(**config), {"timeout": 10})
    )


async def exchanged(server: Samba, **config: Any) -> list[str]:
    """Write a file and read it back; return what `doctor --connect` says of the connection."""
    files = await connect(server, **config)

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT[:1_500_000]
        yield CONTENT[1_500_000:]

    await files.write("f", content())
    assert (server.data / "f").read_bytes() == CONTENT
    assert await files.read_bytes("f") == CONTENT
    await files.write_bytes("small.part", CONTENT[:10_000])
    await files.set_mtime("small.part", 1000)
    await files.rename("small.part", "small", replace=True)
    assert await files.stat("small") == RemoteEntry("small", 10_000, 1000)
    assert await files.read_bytes("small") == CONTENT[:10_000]
    found = await files.check()
    await files.aclose()
    return [found[0].message.rpartition(" ")[2], found[1].state, found[1].message.partition(":")[0]]


async def test_smb_2(tmp_path: Path) -> None:
    options = "server signing = disabled\n  server max protocol = SMB2_10"
    with samba(tmp_path, encrypt="off", options=options) as server:
        assert await exchanged(server) == ["2.1", "ok", "the connection is signed, not encrypted"]
        assert await exchanged(server, signing=False) == [
            *("2.1", "warning", "the connection is neither signed nor encrypted")
        ]
        (caution,) = (await connect(server, signing=False)).cautions
        assert "is neither signed nor encrypted" in caution
        with pytest.raises(StepError, match=r"127\.0\.0\.1 cannot protect the connection") as failure:
            await connect(server, encrypt=True)
    assert failure.value.code == "AF357"


async def test_smb_3_0(tmp_path: Path) -> None:
    with samba(tmp_path, encrypt="if_required", options="server max protocol = SMB3_00") as server:
        assert await exchanged(server) == ["3.0", "ok", "the connection is signed, not encrypted"]
        assert await exchanged(server, encrypt=True) == ["3.0", "ok", "the connection is encrypted"]


async def test_smb_3_1_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with samba(tmp_path, encrypt="if_required") as server:
        assert await exchanged(server) == ["3.1.1", "ok", "the connection is signed, not encrypted"]
        assert await exchanged(server, encrypt=True) == ["3.1.1", "ok", "the connection is encrypted"]
        assert await exchanged(server, share="sealed") == ["3.1.1", "ok", "the connection is encrypted"]

        files = await connect(server)
        signed = QuickConnection._generate_signature

        def forged(self: QuickConnection, message: bytes, *others: Any) -> bytes:
            found: bytes = signed(self, message, *others)
            _key, _number, is_answer, command = others
            return bytes(16) if is_answer and command == READ else found

        monkeypatch.setattr(QuickConnection, "_generate_signature", forged)
        with pytest.raises(StepError, match="signature of an answer is missing or wrong") as failure:
            await files.read_bytes("f")
        await files.aclose()
    assert failure.value.kind == "connection"
