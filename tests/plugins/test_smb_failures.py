"""`smb:smbclient` when something is wrong: each cause has its own sentence, and nothing waits for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import smbclient
from aetherflow_smb.failures import answer_failed, login_refused
from aetherflow_smb.settings import Login
from aetherflow_smb.smbclient_connector import SmbClientConnector

from aetherflow.errors import FailureKind, StepError
from aetherflow.sdk.connector import Resource
from tests.polling import eventually
from tests.servers.free_port import silent_port
from tests.servers.samba import Samba
from tests.servers.tcp_proxy import Direction, TcpProxy

pytestmark = pytest.mark.asyncio

BLOCK = bytes(1024 * 1024)


async def connect(to: Samba, seconds: float = 10, **config: Any) -> SmbClientConnector:
    return await SmbClientConnector.open(
        Resource("nas", "smb", "smbclient", to.config(**config), {"timeout": seconds})
    )


async def failure(of: Awaitable[Any]) -> StepError:
    with pytest.raises(StepError) as raised:
        await of
    assert raised.value.hint
    return raised.value


async def pieces(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


async def whole(files: SmbClientConnector, path: str) -> bytes:
    async with files.read(path) as blocks:
        return b"".join([block async for block in blocks])


LOGINS: list[tuple[dict[str, Any], str]] = [
    ({"password": "wrong"}, "refuses the login of aether: the user or the password is wrong"),
    ({"user": "nobody-of-this-name"}, "the user or the password is wrong"),
    ({"user": "locked"}, "refuses the login of locked: the account is locked after too many wrong passwords"),
    ({"user": "disabled"}, "refuses the login of disabled: the account is disabled"),
    ({"user": "expired"}, "refuses the login of expired: the account has expired"),
    ({"user": "", "password": ""}, "without a user: there is no Kerberos ticket either"),
]


@pytest.mark.parametrize(("config", "said"), LOGINS)
async def test_a_refused_login_says_why_and_is_not_retried(
    samba_server: Samba, config: dict[str, Any], said: str
) -> None:
    error = await failure(connect(samba_server, **config))

    assert said in error.message
    assert (error.code, error.kind) == ("AF349", "other")
    assert samba_server.password not in error.message


async def test_a_share_that_is_missing_or_closed_to_the_user_is_named(samba_server: Samba) -> None:
    missing = await failure(connect(samba_server, share="exprot"))
    closed = await failure(connect(samba_server, user="reader", share="private"))

    host = samba_server.host
    assert (
        missing.message
        == f"resource 'nas': cannot use the share 'exprot' of {host}: there is none of this name"
    )
    assert missing.code == "AF350"
    assert closed.message == (
        f"resource 'nas': cannot use the share 'private' of {host}: reader has no right to use it"
    )
    assert closed.code == "AF351"


async def test_what_cannot_be_done_with_a_file_has_its_reason(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "sub").mkdir()
    (samba_server.data / top / "f").touch()
    files = await connect(samba_server)
    listing = files.scan
    cases: list[tuple[Awaitable[Any], str]] = [
        # AF352 nothing is there, AF355 something else is there, AF351 no rights, AF350 no share
        (whole(files, f"{top}/no"), f"cannot read {top}/no: nothing is there"),
        (whole(files, f"{top}/no/f"), f"cannot read {top}/no/f: its folder does not exist"),
        (whole(files, f"{top}/sub"), f"cannot read {top}/sub: it is a folder"),
        (anext(aiter(listing(f"{top}/no"))), f"cannot list {top}/no: nothing is there"),
        (anext(aiter(listing(f"{top}/f"))), f"cannot list {top}/f: a file is in the place of a folder"),
        (files.write(f"{top}/no/f", pieces()), f"cannot write {top}/no/f: its folder does not exist"),
        (files.write(f"{top}/sub", pieces()), f"cannot write {top}/sub: it is a folder"),
        (files.make_folder(f"{top}/f"), f"cannot make the folder {top}/f: a file is in the place"),
        (files.make_folder(f"{top}/f/x"), f"cannot make the folder {top}/f/x: a file is in the place"),
        (files.rename(f"{top}/no", f"{top}/n", replace=True), f"cannot rename {top}/no: nothing is there"),
        (files.remove(f"{top}/sub"), f"cannot delete {top}/sub: it is a folder"),
        (files.remove_folder(top), f"cannot delete {top}: the folder is not empty"),
        (
            files.write(f"READONLY:/{top}/f", pieces()),
            f"cannot write READONLY:/{top}/f: the user has no right",
        ),
        (files.remove(f"READONLY:/{top}/f"), "the user has no right to do that"),
        (
            files.write("NO:/f", pieces()),
            "cannot use the share 'NO' of 127.0.0.1: there is none of this name",
        ),
    ]
    for call, said in cases:
        error = await failure(call)
        assert said in error.message
        assert error.kind == "other"
    assert await files.stat(f"{top}/f") is not None
    await files.aclose()


async def test_a_full_disk_is_said_and_the_connection_can_be_used_again(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    files = await connect(samba_server)

    error = await failure(files.write(f"{top}/big", pieces(*[BLOCK] * 16)))

    assert error.message == f"resource 'nas': cannot write {top}/big: the disk of the server is full"
    assert (error.code, error.kind) == ("AF353", "other")
    assert await files.remove(f"{top}/big")
    await files.aclose()


async def test_a_file_that_another_program_has_open_may_be_free_later(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    files = await connect(samba_server)
    cache: dict[str, Any] = {}
    unc = rf"\\{samba_server.host}\data\{top}\f"
    keywords = {"username": "aether", "password": samba_server.password, "port": samba_server.port}
    with smbclient.open_file(unc, mode="wb", connection_cache=cache, **keywords):
        error = await failure(whole(files, f"{top}/f"))

    smbclient.reset_connection_cache(connection_cache=cache)
    assert "another program has it open" in error.message
    assert (error.code, error.kind) == ("AF354", "connection")
    await files.aclose()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"server": "nas01.invalid"}, "the name nas01.invalid is not known"),
        ({}, "refuses the connection"),
    ],
)
async def test_a_server_that_is_not_there_is_said(config: dict[str, Any], said: str) -> None:
    with silent_port() as port:
        error = await failure(connect(Samba(port, Path("/nowhere")), **config))

    assert said in error.message
    assert (error.code, error.kind) == ("AF347", "connection")


async def test_a_server_that_accepts_and_says_nothing_is_noticed_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        error = await failure(connect(Samba(silent.getsockname()[1], Path("/nowhere")), seconds=1))

    assert "does not answer within 1 s" in error.message
    assert (error.code, error.kind) == ("AF347", "connection")
    assert time.monotonic() - began < 20


async def test_a_server_that_speaks_something_else_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def greet() -> None:
            client, _ = other.accept()
            with client:
                client.recv(1000)
                client.sendall(b"\0\0\0\x08HTTP/1.0")
                client.recv(1000)

        thread = threading.Thread(target=greet)
        thread.start()
        error = await failure(connect(Samba(other.getsockname()[1], Path("/nowhere")), seconds=2))
        thread.join()

    assert "does not speak SMB 2 or 3" in error.message


async def test_a_connection_that_is_cut_fails_the_call_and_the_next_call_connects(
    samba_server: Samba,
) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "big").write_bytes(BLOCK * 6)
    with TcpProxy(samba_server.port) as proxy:
        files = await connect(samba_server, port=proxy.port)
        calls: tuple[tuple[Direction, Callable[[], Awaitable[Any]]], ...] = (
            ("down", lambda: whole(files, f"{top}/big")),
            ("up", lambda: files.write(f"{top}/new", pieces(*[BLOCK] * 6))),
        )
        for direction, call in calls:
            for count in (200, 70_000, 2_500_000):
                proxy.cut_after(count, direction)
                error = await failure(call())
                assert error.kind == "connection"
                assert "ended the connection" in error.message
                proxy.heal()
        await files.write(f"{top}/new", pieces(*[BLOCK] * 6))
        assert await whole(files, f"{top}/new") == BLOCK * 6
        proxy.cut()
        assert await eventually(lambda: not any(share.is_usable for share in files._pool._idle))
        assert await files.stat(f"{top}/new") is not None
        await files.aclose()


@pytest.mark.parametrize("how", ["read", "write", "look", "list"])
async def test_a_server_that_falls_silent_is_noticed_in_time_and_the_loop_never_waits(
    samba_server: Samba, how: str
) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "big").write_bytes(BLOCK * 7)
    with TcpProxy(samba_server.port) as proxy:
        files = await connect(samba_server, seconds=3, port=proxy.port)  # also for the login

        async def content() -> AsyncIterator[bytes]:
            yield BLOCK * 2
            proxy.pause()
            for _ in range(5):  # more than the buffers of the system take
                yield BLOCK * 4

        async def act() -> object:
            match how:
                case "write":
                    await files.write(f"{top}/new", content())
                    return None
                case "read":
                    async with files.read(f"{top}/big") as blocks:
                        await anext(blocks)
                        proxy.pause()
                        return [block async for block in blocks]
                case "look":
                    proxy.pause()
                    return await files.stat(f"{top}/big")
                case _:
                    proxy.pause()
                    return [entry async for entry in files.scan(top)]

        turns, is_over = 0, False

        async def watch() -> None:
            nonlocal turns
            while not is_over:
                await anyio.sleep(0.01)
                turns += 1

        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            error = await failure(act())
            is_over = True
        assert "127.0.0.1 does not answer within 3 s" in error.message
        assert (error.code, error.kind) == ("AF348", "connection")
        assert time.monotonic() - began < 20
        assert turns > 10  # of about 300 in that time; a loop that waits itself has one or two
        proxy.heal()
        assert await files.stat(f"{top}/big") is not None
        await files.aclose()


async def test_a_slow_line_is_no_silent_server(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    content = bytes(range(256)) * 2_000
    (samba_server.data / top / "down").write_bytes(content)
    with TcpProxy(samba_server.port) as proxy:
        files = await connect(samba_server, seconds=3, port=proxy.port)
        proxy.slow(130_000)
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(files.write, f"{top}/up", pieces(content))
            assert await whole(files, f"{top}/down") == content
        assert time.monotonic() - began > 3.5
        await files.aclose()
    assert (samba_server.data / top / "up").read_bytes() == content


async def test_a_cancelled_transfer_ends_at_once_even_if_the_server_is_silent(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    (samba_server.data / top / "big").write_bytes(BLOCK * 7)
    with TcpProxy(samba_server.port) as proxy:
        files = await connect(samba_server, seconds=30, port=proxy.port)
        began = time.monotonic()
        with anyio.move_on_after(0.3) as scope:
            async with files.read(f"{top}/big") as blocks:
                await anext(blocks)
                proxy.pause()
                _ = [block async for block in blocks]
        assert scope.cancelled_caught
        assert time.monotonic() - began < 15
        proxy.heal()
        assert len(await whole(files, f"{top}/big")) == 7 * len(BLOCK)
        await files.aclose()


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (0xC0000044, "the quota of the user is used up", "other"),
        (0xC0000106, "the path is too long for the server", "other"),
        (0xC0000205, "the server has no resources left", "connection"),
        (0xC0000203, "the server has ended the session", "connection"),
        (0xC0000121, "it is protected against deletion", "other"),
        (0xC00000BB, "the server answers STATUS_NOT_SUPPORTED (0xC00000BB)", "other"),
        (0xC0001234, "the server answers 0xC0001234", "other"),
    ],
)
async def test_answers_that_samba_does_not_give_here_have_their_sentence_too(
    status: int, said: str, kind: FailureKind
) -> None:
    error = answer_failed("nas", "write", "a.csv", status)

    assert error.message == f"resource 'nas': cannot write a.csv: {said}"
    assert (error.code == "AF356") is ("answers" in said or "resources" in said)
    assert error.kind == kind
    assert error.hint


@pytest.mark.parametrize("status", [0xC0000071, 0xC0000224, 0xC000006F, 0xC000015B, 0xC0009999])
async def test_logins_that_samba_does_not_refuse_like_this_are_explained_too(status: int) -> None:
    login = Login("nas", "nas01", 445, r"CORP\ann", "x", encrypt=False, signing=True, dfs=True, timeout=30)

    error = login_refused(login, status)

    assert error.message.startswith(r"resource 'nas': nas01 refuses the login of CORP\ann: ")
    assert (error.code, error.kind) == ("AF349", "other")
