"""Small requests of many tasks on one connection, and what is used of smbprotocol's own objects."""

from __future__ import annotations

import inspect
import os
import socket

import anyio
import pytest
from aetherflow_smb import share_line, written_files
from aetherflow_smb.quick_connection import QuickConnection
from aetherflow_smb.share_line import Line
from aetherflow_smb.share_paths import share_path
from aetherflow_smb.smbclient_connector import SmbClientConnector
from aetherflow_smb.written_files import WrittenFiles
from smbprotocol.transport import Tcp

from aetherflow.errors import StepError
from aetherflow.sdk.remote_files import RemoteEntry
from tests.plugins.test_smb_connector import opened, pieces, resource
from tests.servers.samba import Samba

pytestmark = pytest.mark.asyncio

TASKS = 40
CONTENT = os.urandom(60_000)


async def test_all_small_files_of_many_tasks_travel_on_one_connection(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    async with opened(samba_server) as files:

        async def one(number: int) -> None:
            path = f"{top}/{number}"
            await files.write(f"{path}.part", pieces(CONTENT[number:]))
            await files.rename(f"{path}.part", path, replace=False)
            assert await files.read_bytes(path) == CONTENT[number:]
            with pytest.raises(StepError) as failure:
                await files.read_bytes(f"{path}.part")
            assert failure.value.code == "AF352"

        async with anyio.create_task_group() as tasks:
            for number in range(TASKS):
                tasks.start_soon(one, number)
        assert files._pool.idle == 1
    assert {path.name for path in (samba_server.data / top).iterdir()} == {str(n) for n in range(TASKS)}


async def test_a_socket_that_takes_little_at_once_gets_the_rest_from_a_thread(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    async with opened(samba_server) as files:
        (share,) = files._pool._idle
        (connection,) = share._cache.values()
        connection.transport._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        async with anyio.create_task_group() as tasks:
            for number in range(TASKS):
                tasks.start_soon(files.write, f"{top}/{number}", pieces(CONTENT[number:]))
        assert files._pool._idle == [share]
    for number in range(TASKS):
        assert (samba_server.data / top / str(number)).read_bytes() == CONTENT[number:]


async def test_a_task_that_is_cancelled_leaves_the_connection_to_the_others(
    samba_server: Samba, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = samba_server.new_folder()
    done: list[int] = []
    ask, asked = Line.ask, anyio.Event()

    async def watched(self: Line, *arguments: object) -> list[bytes]:
        asked.set()
        return await ask(self, *arguments)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(Line, "ask", watched)
    async with opened(samba_server) as files:

        async def one(number: int) -> None:
            await files.write(f"{top}/{number}", pieces(CONTENT))
            done.append(number)

        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as cancelled:
                    for number in range(TASKS // 2):
                        cancelled.start_soon(one, number)
                    await asked.wait()
                    for number in range(TASKS // 2, TASKS):
                        tasks.start_soon(one, number)
                    scope.cancel()
        assert set(done) >= set(range(TASKS // 2, TASKS))
        assert len(done) < TASKS
        assert files._pool.idle == 1
        assert await files.read_bytes(f"{top}/{TASKS - 1}") == CONTENT


async def test_who_would_exceed_what_the_server_takes_waits(
    samba_server: Samba, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = samba_server.new_folder()
    monkeypatch.setattr(QuickConnection, "credits_left", 0)
    async with opened(samba_server) as files:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(files.write, f"{top}/{number}", pieces(CONTENT))
        assert len(list((samba_server.data / top).iterdir())) == 5


async def test_a_server_that_does_not_answer_fails_all_who_wait_and_the_next_one_gets_another_connection(
    samba_server: Samba, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = samba_server.new_folder()
    files = await SmbClientConnector.open(resource(samba_server, seconds=2))
    codes: list[str | None] = []

    async def one(number: int) -> None:
        with pytest.raises(StepError) as failure:
            await files.write(f"{top}/{number}", pieces(CONTENT))
        codes.append(failure.value.code)

    monkeypatch.setattr(share_line, "_set_soon", lambda *_: None)  # the answers are not noticed
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(one, number)
    assert codes == ["AF348"] * 3
    assert files._pool.idle == 0
    monkeypatch.undo()
    await files.write(f"{top}/next", pieces(CONTENT))
    assert files._pool.idle == 1
    await files.aclose()


async def test_what_the_server_said_of_a_written_file_is_used_once(samba_server: Samba) -> None:
    top = samba_server.new_folder()
    async with opened(samba_server) as files:
        await files.write(f"{top}/f", pieces(b"12345"))
        await anyio.Path(samba_server.data / top / "f").unlink()
        said = await files.stat(f"{top}/f")
        assert said is not None
        assert said.size == 5
        assert await files.stat(f"{top}/f") is None

        await files.write(f"{top}/f", pieces(b"12345"))
        await files.rename(f"data:/{top}/F", f"{top}/g", replace=True)
        assert await files.stat(f"{top}/f") is None

        await files.write(f"{top}/f", pieces(b"12345"))
        await files.set_mtime(f"{top}/f", 1000)
        assert await files.stat(f"{top}/f") == RemoteEntry(f"{top}/f", 5, 1000)

        await files.write(f"{top}/f", pieces(b"12345"))
        await files.remove(f"{top}/f")
        assert await files.stat(f"{top}/f") is None


async def test_what_the_server_said_long_ago_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    path, known = share_path("f", host="nas", share="data"), WrittenFiles()
    known.note(path, RemoteEntry("f", 5))
    monkeypatch.setattr(written_files, "VALID_SECONDS", 0)
    assert known.take(path) is None


async def test_smbprotocol_has_what_the_quick_connection_uses_of_it(samba_server: Samba) -> None:
    async with opened(samba_server) as files:
        (share,) = files._pool._idle
        (connection,) = share._cache.values()
        (session,) = connection.session_table.values()
        for name in ("encrypt_data", "encryption_key", "decryption_key", "signing_required", "signing_key"):
            assert hasattr(session, name)
    assert isinstance(connection, QuickConnection)
    assert {"low", "high"} == set(connection.sequence_window)
    assert not connection.sequence_lock.locked()
    assert connection._t_exc is None
    assert {"server", "port", "timeout", "connected", "_sock", "_sock_lock", "_close_lock"} <= set(
        vars(connection.transport)
    )
    signing = ["b_header", "signing_key", "message_id", "response", "command"]
    assert list(inspect.signature(connection._generate_signature).parameters) == signing
    assert list(inspect.signature(Tcp.recv).parameters) == ["self", "timeout"]
    assert list(inspect.signature(Tcp.send).parameters) == ["self", "header"]
