"""SFTP packets that are sent and received without the library's streams, and when the library does it all."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from aetherflow_sftp import fast_packets
from aetherflow_sftp.requests import FastRequests, Requests
from aetherflow_sftp.sftp_connector import SftpFiles

from aetherflow import StepError
from tests.plugins.sftp_resources import content, opened
from tests.servers.openssh import needs_openssh, openssh
from tests.servers.sftp_server import sftp_server

pytestmark = pytest.mark.asyncio

CONTENT = os.urandom(3_000_000)


async def round_trip(box: SftpFiles, path: str) -> type[Requests]:
    """Write and read files of many sizes at the same time; return how the session asked."""
    sizes = [0, 1, 10, 32_758, 32_759, 261_119, 261_120, 261_121, 1_000_000, len(CONTENT)]

    async def one(size: int) -> None:
        blocks = [CONTENT[at : min(at + 700_000, size)] for at in range(0, size, 700_000)]
        await box.write(f"{path}{size}", content(*blocks))
        found = hashlib.sha256()
        async with box.read(f"{path}{size}") as parts:
            async for part in parts:
                found.update(part)
        assert found.digest() == hashlib.sha256(CONTENT[:size]).digest(), size

    await asyncio.gather(*map(one, sizes))
    session = await box.link.lend("look at", "")
    session.users -= 1
    return type(session.requests)


async def test_the_installed_asyncssh_is_one_that_the_fast_way_was_tested_with() -> None:
    assert asyncssh.__version__ in fast_packets.TESTED_VERSIONS, (
        "asyncssh is newer: SFTP works, but about half as fast. Compare the private parts that "
        "aetherflow_sftp/fast_packets.py and requests.py use with the new version, run this file with its "
        "number in TESTED_VERSIONS, and keep it there."
    )


@pytest.mark.parametrize("kind", ["asyncssh", pytest.param("openssh", marks=needs_openssh)])
async def test_new_keys_are_agreed_in_the_middle_of_transfers(kind: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        if kind == "asyncssh":
            served = await stack.enter_async_context(sftp_server(tmp_path, rekey_bytes=700_000))
            config, path = served.config(), "/a"
        else:
            sshd = stack.enter_context(openssh(tmp_path / "sshd", "RekeyLimit 700K"))
            config, path = sshd.config(), f"{sshd.root}/a"
        box = await stack.enter_async_context(opened(config))
        library: Any = await box.ssh()
        library._rekey_bytes = 500_000
        first = library._send_encryption

        assert await round_trip(box, path) is FastRequests

        assert library._send_encryption is not first
        assert await box.exists(f"{path}10"), "the connection lives on"


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"])
async def test_any_cipher_will_do(cipher: str, tmp_path: Path) -> None:
    async with sftp_server(tmp_path, encryption_algs=[cipher]) as server, opened(server.config()) as box:
        assert await round_trip(box, "/a") is FastRequests


async def test_an_unknown_version_of_the_library_does_it_all_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_packets, "TESTED_VERSIONS", frozenset({"2.0"}))
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        assert await round_trip(box, "/a") is Requests


async def test_through_a_jump_host_the_library_does_it_all_itself(tmp_path: Path) -> None:
    async with (
        sftp_server(tmp_path / "jump") as jump,
        sftp_server(tmp_path) as server,
        opened(server.config(jump=jump.config())) as box,
    ):
        assert await round_trip(box, "/a") is Requests


async def test_packets_are_logged_if_somebody_reads_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sftp_server(tmp_path) as server:
        async with opened(server.config()) as box:
            assert await box.stat("/none") is None
        assert not [one for one in caplog.records if "lstat" in one.getMessage()]
        level = asyncssh.logging.logger.logger.level
        try:
            asyncssh.set_log_level(logging.DEBUG)
            async with opened(server.config()) as box:
                assert await round_trip(box, "/a") is Requests
                assert await box.stat("/none") is None
        finally:
            asyncssh.set_log_level(level)
        assert [one for one in caplog.records if "Sending lstat for /none" in one.getMessage()]


async def test_a_packet_that_was_changed_on_the_way_breaks_the_connection(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        await box.write("/a", content(CONTENT))
        library: Any = await box.ssh()
        receiving: Any = library._transport.get_protocol()
        updated = receiving.buffer_updated

        def changed(count: int) -> None:
            receiving._view[receiving._end + count // 2] ^= 1
            updated(count)

        receiving.buffer_updated = changed
        library._transport.set_protocol(receiving)
        with pytest.raises(StepError) as caught:
            await box.read_bytes("/a")

        assert (caught.value.code, caught.value.kind) == ("AF337", "connection")
        assert await box.exists("/a"), "it connects again"


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",  # of an impossible size
        b"\0\0\0\0",
        b"\0\0\0\x09\x65" + b"\xee" * 8,  # to no request
    ],
)
async def test_an_answer_that_makes_no_sense_ends_the_session(answer: bytes, tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        session = await box.link.lend("look at", "")
        requests: Any = session.requests
        asking = asyncio.ensure_future(session.stat("/"))
        await asyncio.sleep(0)
        requests._received(answer, None)
        with pytest.raises(StepError) as caught:
            await asking

        assert caught.value.code == "AF342"
        assert "an answer" in caught.value.message


async def test_what_was_not_sent_when_the_connection_breaks_is_dropped(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
        session = await box.link.lend("look at", "")
        requests: Any = session.requests
        requests._sending.write(CONTENT)  # more than the server's window has room for
        await asyncio.sleep(0)
        assert requests._channel._send_paused
        (await box.ssh()).abort()
        requests._sending.write(b"more")
        for _ in range(3):
            await asyncio.sleep(0)

        assert requests._channel._send_state == "closed"
        assert reported == []
