"""`smb:smbclient` on Samba's server: files are written, read, listed, renamed and deleted."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aetherflow_smb
import anyio
import pytest
from aetherflow_smb import share_streams
from aetherflow_smb.smbclient_connector import PysmbConnector, SmbClientConnector

from aetherflow.errors import ConfigError, MissingExtra, StepError
from aetherflow.sdk.connector import Resource
from aetherflow.sdk.remote_files import RemoteEntry
from tests.servers.samba import Samba

pytestmark = pytest.mark.asyncio


def resource(server: Samba, *, seconds: float = 10, **config: Any) -> Resource:
    return Resource("nas", "smb", "smbclient", server.config(**config), {"timeout": seconds})


@asynccontextmanager
async def opened(server: Samba, **config: Any) -> AsyncIterator[SmbClientConnector]:
    files = await SmbClientConnector.open(resource(server, **config))
    try:
        yield files
    finally:
        await files.aclose()


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


async def whole(files: SmbClientConnector, path: str, offset: int = 0) -> bytes:
    async with files.read(path, offset=offset) as blocks:
        return b"".join([block async for block in blocks])


async def listed(files: SmbClientConnector, folder: str) -> list[RemoteEntry]:
    return sorted([entry async for entry in files.scan(folder)], key=lambda entry: entry.path)


async def test_a_file_is_written_continued_read_described_renamed_and_removed(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    async with opened(samba_server) as files:
        await files.make_folder(f"{top}/in/new")
        await files.make_folder(f"{top}/in/new")
        await files.write(f"{top}/in/new/ä.txt", pieces(b"one ", b"two three"))
        await files.write(f"{top}/in/new/ä.txt", pieces(b"2"), offset=4)
        assert (samba_server.data / top / "in/new/ä.txt").read_bytes() == b"one 2"
        assert await whole(files, f"{top}/in/new/ä.txt", offset=4) == b"2"
        assert await whole(files, f"{top}/in/new/ä.txt", offset=9) == b""
        assert await files.set_mtime(f"{top}/in/new/ä.txt", 1_234_567_890.5)
        assert await files.stat(f"{top}/in/new/ä.txt") == RemoteEntry(
            f"{top}/in/new/ä.txt", 5, 1_234_567_890.5
        )
        await files.write(f"{top}/b", pieces(b"old"))
        await files.rename(f"{top}/in/new/ä.txt", f"{top}/b", replace=True)
        assert await whole(files, f"{top}/B") == b"one 2"
        assert await files.stat(f"{top}/in/new/ä.txt") is None
        assert [await files.remove(f"{top}/b"), await files.remove(f"{top}/b")] == [True, False]
        assert [await files.remove_folder(f"{top}/in/new"), await files.remove_folder(f"{top}/no")] == [
            True,
            False,
        ]
        await files.write(f"{top}/empty", pieces())
        assert await whole(files, f"{top}/empty") == b""


async def test_the_forms_of_a_path_lead_to_the_same_file_and_stay_as_they_are_in_listings(
    samba_server: Samba,
) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "f").write_bytes(b"x")
    unc = rf"\\{samba_server.host}\data\{top}"
    async with opened(samba_server, share="archive") as other, opened(samba_server) as files:
        for folder in (top, f"/{top}", rf"\{top}", rf"Q:\{top}"):
            assert [entry.path for entry in await listed(files, folder)] == [f"{folder}/f"]
            assert await whole(files, f"{folder}/f") == b"x"
        for folder in (f"DATA:/{top}", rf"data:\{top}", unc, f"//{samba_server.host}/data/{top}"):
            assert [entry.path for entry in await listed(other, folder)] == [f"{folder}/f"]
            assert await whole(other, f"{folder}/f") == b"x"
        assert await files.stat("") is not None
        await other.write("f", pieces(b"on the other share"))
    assert (samba_server.archive / "f").exists()


async def test_a_large_file_arrives_whole_and_is_continued_in_the_middle(samba_server: Samba) -> None:
    content = os.urandom(share_streams.LARGEST_BYTES + 345_678)
    top = samba_server.new_folder()
    async with opened(samba_server) as files:
        await files.write(f"{top}/big", pieces(content[:10], content[10:3_000_000], content[3_000_000:]))
        assert (
            hashlib.sha256((samba_server.data / top / "big").read_bytes()).digest()
            == hashlib.sha256(content).digest()
        )
        assert await whole(files, f"{top}/big") == content
        await files.write(f"{top}/big", pieces(content[1_000_000:]), offset=1_000_000)
        assert await whole(files, f"{top}/big", offset=999_999) == content[999_999:]


async def test_reading_may_stop_early_and_another_call_may_use_the_connection(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "big").write_bytes(bytes(6_000_000))
    async with opened(samba_server) as files:
        async with files.read(f"{top}/big") as blocks:
            assert await anext(blocks)
        assert len(await whole(files, f"{top}/big")) == 6_000_000
        assert files._pool.idle == 1


async def test_links_are_described_by_what_they_point_to_and_broken_ones_are_left_out(
    samba_server: Samba,
) -> None:
    top = samba_server.new_folder()
    folder = samba_server.data / top
    (folder / "sub").mkdir()
    (folder / "a").write_bytes(b"abc")
    (folder / "link").symlink_to("a")
    (folder / "broken").symlink_to("nowhere")
    async with opened(samba_server) as files:
        found = await listed(files, top)
    assert [(entry.path, entry.size, entry.is_dir) for entry in found] == [
        (f"{top}/a", 3, False),
        (f"{top}/link", 3, False),
        (f"{top}/sub", 0, True),
    ]


async def test_links_that_lead_in_a_circle_are_no_folders(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    folder = samba_server.data / top
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/up").symlink_to("../..")
    (folder / "self").symlink_to(".")
    async with opened(samba_server) as files:
        found = [await listed(files, place) for place in (top, f"{top}/a", f"{top}/a/b")]
    assert [
        (entry.path.removeprefix(f"{top}/"), entry.is_link) for entries in found for entry in entries
    ] == [
        ("a", False),
        ("self", True),
        ("a/b", False),
        ("a/b/up", True),
    ]


async def test_many_files_are_listed_in_large_portions(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    for number in range(2_000):
        (samba_server.data / top / f"a file with a rather long name {number:05}.csv").touch()
    async with opened(samba_server) as files:
        found = await listed(files, top)
        assert len(found) == 2_000
        assert found[7].path.endswith("name 00007.csv")
        await files.make_folder(f"{top}/empty")
        assert await listed(files, f"{top}/empty") == []


async def test_files_are_moved_by_many_tasks_at_once_each_on_its_own_connection(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    async with opened(samba_server) as files:

        async def one(number: int) -> None:
            content = bytes([number]) * 400_000
            await files.write(f"{top}/{number}", pieces(content))
            assert await whole(files, f"{top}/{number}") == content
            await files.rename(f"{top}/{number}", f"{top}/{number}.done", replace=False)

        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(one, number)
        assert len(await listed(files, top)) == 12


async def test_what_is_in_the_place_is_replaced_only_if_that_is_said(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    async with opened(samba_server) as files:
        await files.write(f"{top}/a", pieces(b"a"))
        await files.write(f"{top}/b", pieces(b"b"))
        with pytest.raises(StepError, match=f"cannot rename {top}/a: {top}/b exists"):
            await files.rename(f"{top}/a", f"{top}/b", replace=False)
        with pytest.raises(StepError, match="they are on different shares"):
            await files.rename(f"{top}/a", "ARCHIVE:/a", replace=True)
        await files.rename(f"{top}/a", f"DATA:/{top}/c", replace=False)
        assert [entry.path for entry in await listed(files, top)] == [f"{top}/b", f"{top}/c"]


async def test_a_dfs_namespace_leads_to_the_share_that_has_the_files(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "f").write_bytes(b"x")
    (samba_server.namespace / "team").unlink(missing_ok=True)
    (samba_server.namespace / "team").symlink_to(f"msdfs:{samba_server.host}\\data")
    async with opened(samba_server, share="namespace") as files:
        assert [entry.path for entry in await listed(files, f"team/{top}")] == [f"team/{top}/f"]
        assert await whole(files, f"team/{top}/f") == b"x"
        await files.write(f"team/{top}/g", pieces(b"yz"))
        await files.rename(f"team/{top}/g", f"team/{top}/h", replace=True)
    assert (samba_server.data / top / "h").read_bytes() == b"yz"


async def test_pysmb_is_another_name_and_its_keys_are_accepted(samba_server: Samba) -> None:
    config = samba_server.config(username="aether", server_name="NAS", client_name="aetherflow")
    del config["user"]
    files = await PysmbConnector.open(Resource("nas", "smb", "pysmb", config))
    assert await files.stat("") is not None
    await files.aclose()


async def test_the_plugin_operations_take_bytes_and_local_files(samba_server: Samba, tmp_path: Any) -> None:
    top = samba_server.new_folder()
    (tmp_path / "local").write_bytes(b"local")
    async with opened(samba_server) as files:
        await files.write_bytes(rf"{top}\new\a", b"abc")
        assert await files.read_bytes(f"{top}/new/a") == b"abc"
        await files.upload(tmp_path / "local", f"{top}/up/b")
        await files.download(f"{top}/up/b", tmp_path / "down/c")
        assert (tmp_path / "down/c").read_bytes() == b"local"
        assert [(entry.name, entry.is_dir) for entry in await files.list(top)] == [
            ("new", True),
            ("up", True),
        ]
        await files.mkdir_recursive(f"{top}/x/y/z")
        await files.delete_recursive(f"{top}/x")
        await files.delete(f"{top}/up/b")
        await files.delete(f"{top}/up")
        assert [entry.name for entry in await files.list(top)] == ["new"]


async def test_doctor_checks_the_login_the_protection_the_rights_and_the_space(samba_server: Samba) -> None:
    async with opened(samba_server) as files:
        found = await files.check()
    assert [(check.subject, check.state, check.message) for check in found[:4]] == [
        ("login", "ok", "127.0.0.1 accepts aether, with SMB 3.1.1"),
        ("protection", "ok", "the connection is encrypted"),
        ("read", "ok", "aether may list the share data"),
        ("write", "ok", "aether may write to the share data"),
    ]
    assert found[4].message.endswith("free on the share data")
    async with opened(samba_server, user="reader", share="readonly") as files:
        found = await files.check()
    assert found[3].message == "reader may only read at the top of the share readonly"
    async with opened(samba_server, share="") as files:
        found = await files.check()
    assert [check.subject for check in found] == ["login", "protection", "share"]


async def test_without_dfs_a_link_to_another_share_is_not_followed(samba_server: Samba) -> None:
    (samba_server.namespace / "other").unlink(missing_ok=True)
    (samba_server.namespace / "other").symlink_to(f"msdfs:{samba_server.host}\\data")
    async with opened(samba_server, share="namespace", dfs=False) as files:
        with pytest.raises(StepError, match="cannot list other"):
            await listed(files, "other")
        await files.write("here", pieces(b"x"))
        assert await whole(files, "here") == b"x"


async def test_without_smbprotocol_the_extra_is_named(
    samba_server: Samba, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "aetherflow_smb.share", raising=False)
    monkeypatch.delattr(aetherflow_smb, "share", raising=False)
    monkeypatch.setitem(sys.modules, "smbclient", None)

    with pytest.raises(MissingExtra, match="need smbclient, which is not installed") as failure:
        await SmbClientConnector.open(resource(samba_server))

    assert failure.value.hint == "pip install 'aetherflow[smb]'"


async def test_settings_that_contradict_each_other_are_errors(samba_server: Samba) -> None:
    with pytest.raises(ConfigError, match="two names of one key"):
        await SmbClientConnector.open(resource(samba_server, username="other"))
    with pytest.raises(ConfigError, match="has a password but no user"):
        await SmbClientConnector.open(resource(samba_server, user=""))
    with pytest.raises(ConfigError, match="unknown field `pasword`"):
        await SmbClientConnector.open(resource(samba_server, pasword="x"))  # noqa: S106 - a key with a typing error
