"""What the SFTP connector does with files, on asyncssh's and OpenSSH's servers, and on those that fail."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh
import pytest
from aetherflow_sftp.sftp_connector import SftpFiles

from aetherflow import StepError
from tests.plugins.sftp_resources import content, opened
from tests.servers.free_port import free_port
from tests.servers.openssh import SFTP_SERVER, needs_openssh, openssh
from tests.servers.sftp_server import server_process, sftp_server
from tests.servers.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio

both = pytest.mark.parametrize("kind", ["asyncssh", pytest.param("openssh", marks=needs_openssh)])


@asynccontextmanager
async def box_and_root(kind: str, folder: Path) -> AsyncIterator[tuple[SftpFiles, str, Path]]:
    """Give an open connector, a folder as the server names it, and the same folder here."""
    async with AsyncExitStack() as stack:
        if kind == "asyncssh":
            server = await stack.enter_async_context(sftp_server(folder))
            box = await stack.enter_async_context(opened(server.config()))
            yield box, "", server.root
        else:
            sshd = stack.enter_context(openssh(folder / "sshd"))
            box = await stack.enter_async_context(opened(sshd.config()))
            yield box, str(sshd.root), sshd.root


@both
async def test_the_operations_of_plugins(kind: str, tmp_path: Path) -> None:
    async with box_and_root(kind, tmp_path) as (box, root, here):
        await box.write_bytes(f"{root}/in/deep/a.txt", b"one")
        (here / "local").write_bytes(b"two" * 1000)
        await box.upload(here / "local", f"{root}/in/up/b.bin")
        await box.download(f"{root}/in/up/b.bin", here / "down/b.bin")

        assert await box.read_bytes(f"{root}/in/deep/a.txt") == b"one"
        assert (here / "down/b.bin").read_bytes() == b"two" * 1000
        assert [one.name for one in await box.list(f"{root}/in")] == ["deep", "up"]
        entry = await box.stat(f"{root}/in/deep/a.txt")
        assert entry is not None
        assert (entry.size, entry.is_dir, abs((entry.mtime or 0) - time.time()) < 60) == (3, False, True)
        await box.mkdir(f"{root}/x")
        await box.mkdir_recursive(f"{root}/x/y/z")
        await box.mkdir_recursive(f"{root}/x/y/z")
        await box.rename(f"{root}/in/deep/a.txt", f"{root}/x/a.txt", replace=False)
        assert await box.exists(f"{root}/x/a.txt")
        assert await box.set_mtime(f"{root}/x/a.txt", 1_000_000_000)
        assert int((here / "x/a.txt").stat().st_mtime) == 1_000_000_000
        await box.delete(f"{root}/x/y/z")
        await box.delete_recursive(f"{root}/in")
        assert not (here / "in").exists()
        assert await box.remove(f"{root}/x/a.txt") is True
        assert await box.remove(f"{root}/x/a.txt") is False
        async with box.session() as sftp:
            assert await sftp.exists(root or "/")


@both
async def test_what_is_refused_has_its_own_words(kind: str, tmp_path: Path) -> None:
    async with box_and_root(kind, tmp_path) as (box, root, here):
        (here / "full").mkdir()
        (here / "full/a").write_bytes(b"a")
        (here / "b").write_bytes(b"b")
        expected: dict[str, list[Callable[[], Awaitable[object]]]] = {
            "AF339: it does not exist": [
                lambda: box.read_bytes(f"{root}/none"),
                lambda: box.list(f"{root}/none"),
                lambda: box.write(f"{root}/none/a", content(b"x")),
                lambda: box.rename(f"{root}/none", f"{root}/c", replace=True),
                lambda: box.rename(f"{root}/none", f"{root}/b", replace=False),
            ],
            "AF342: it exists already": [lambda: box.rename(f"{root}/b", f"{root}/full/a", replace=False)],
            "AF342: the folder is not empty": [lambda: box.remove_folder(f"{root}/full")],
            "AF342: it is a folder": [lambda: box.remove(f"{root}/full")],
            "AF342: a part of the path is a file": [lambda: box.make_folder(f"{root}/b")],
        }
        for words, calls in expected.items():
            for call in calls:
                with pytest.raises(StepError) as caught:
                    await call()
                code, _, reason = words.partition(": ")
                assert (caught.value.code, caught.value.kind) == (code, "other"), caught.value
                assert reason in caught.value.message
                assert root in caught.value.message
        assert (here / "b").read_bytes() == b"b"
        await box.rename(f"{root}/b", f"{root}/full/a", replace=True)
        assert (here / "full/a").read_bytes() == b"b"


@both
async def test_large_files_go_both_ways_in_order_and_from_any_offset(kind: str, tmp_path: Path) -> None:
    data = os.urandom(3_000_001)
    async with box_and_root(kind, tmp_path) as (box, root, here):
        await box.write(f"{root}/f", content(data[:1_000_000], b"", data[1_000_000:2_000_000]))
        await box.write(f"{root}/f", content(data[1_500_000:]), offset=1_500_000)
        assert (here / "f").read_bytes() == data
        for offset in (0, 1, 262_144, 3_000_000, 3_000_001, 4_000_000):
            async with box.read(f"{root}/f", offset=offset) as blocks:
                assert b"".join([block async for block in blocks]) == data[offset:]
        async with box.read(f"{root}/f") as blocks:
            async for _ in blocks:
                break  # the rest is not wanted
        await box.write(f"{root}/f", content(b"short"))
        assert (here / "f").read_bytes() == b"short"


@both
async def test_odd_names_links_and_what_is_no_file(kind: str, tmp_path: Path) -> None:
    async with box_and_root(kind, tmp_path) as (box, root, here):
        os.close(os.open(bytes(here) + b"/caf\xe9.txt", os.O_CREAT | os.O_WRONLY))
        (here / "new\nline").write_bytes(b"1")
        (here / "target").write_bytes(b"12345")
        (here / "folder").mkdir()
        (here / "link").symlink_to("target")
        (here / "circle").symlink_to("circle")
        (here / "gone").symlink_to("nothing")
        (here / "up").symlink_to("folder")
        os.mkfifo(here / "pipe")
        found = {one.name: one for one in await box.list(root or "/")}

        assert set(found) == {"caf\udce9.txt", "new\nline", "target", "folder", "link", "up"}
        assert (found["link"].size, found["link"].is_link, found["link"].is_dir) == (5, True, False)
        assert (found["up"].is_link, found["up"].is_dir) == (True, True)
        assert await box.read_bytes(found["caf\udce9.txt"].path) == b""
        assert await box.stat(f"{root}/gone") is None
        link = await box.stat(f"{root}/link")
        assert link is not None
        assert (link.size, link.is_link) == (5, True)
        with pytest.raises(StepError) as caught:
            await box.read_bytes(f"{root}/caf\udce9\n")
        assert "caf\\xe9\\n" in caught.value.message
        await box.delete_recursive(f"{root}/up")
        assert (here / "folder").exists()


async def test_no_rights_are_an_error_that_names_the_path(tmp_path: Path) -> None:
    async with sftp_server(tmp_path, _Refusing) as server, opened(server.config()) as box:
        for call in (
            lambda: box.write("/a", content(b"x")),
            lambda: box.read_bytes("/a"),
            lambda: box.make_folder("/new"),
            lambda: box.list("/"),
        ):
            with pytest.raises(StepError) as caught:
                await call()
            assert (caught.value.code, caught.value.kind) == ("AF340", "other")
            assert "this user may not do that" in caught.value.message


class _Refusing(asyncssh.SFTPServer):
    """Permits nothing."""

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        del path, pflags, attrs
        raise PermissionError(13, "no")

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        del path, attrs
        raise PermissionError(13, "no")

    def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        del path
        raise PermissionError(13, "no")


class _Quota(asyncssh.SFTPServer):
    """Takes 100,000 bytes of a file; then, as OpenSSH, it has only the word Failure."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if offset > 100_000:
            raise asyncssh.SFTPFailure("Failure")
        return super().write(file_obj, offset, data)  # type: ignore[return-value]  # not awaitable here


class _Full(_Quota):
    """The reason is that its disk is full."""

    def statvfs(self, path: bytes) -> os.statvfs_result:
        found = os.statvfs(self.map_path(path))
        return os.statvfs_result((*found[:4], 0, *found[5:]))


@pytest.mark.parametrize(
    ("sftp", "code", "words"),
    [
        (_Full, "AF341", "the disk of the server is full"),
        (_Quota, "AF342", "the server refuses it: Failure"),
    ],
)
async def test_a_full_disk_is_said_in_these_words(
    sftp: type[asyncssh.SFTPServer], code: str, words: str, tmp_path: Path
) -> None:
    async with sftp_server(tmp_path, sftp) as server, opened(server.config()) as box:
        with pytest.raises(StepError) as caught:
            await box.write("/big", content(*[b"x" * 60_000] * 5))

        assert (caught.value.code, words in caught.value.message) == (code, True)
        assert ("quota" in caught.value.hint) == (sftp is _Quota)
        assert await box.exists("/"), "the session lives on"


async def test_an_error_of_the_content_or_of_the_reader_is_not_the_servers(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError(5, "local disk")

    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        with pytest.raises(OSError, match="local disk"):
            await box.write("/a", broken())
        with pytest.raises(OSError, match="no room here"):
            async with box.read("/a"):
                raise OSError(28, "no room here")
        assert await box.exists("/a")


class _Paths(asyncssh.SFTPServer):
    """Lists a name that leads out of the folder."""

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        del path
        yield asyncssh.SFTPName(b"../../etc/passwd", attrs=asyncssh.SFTPAttrs(permissions=0o100644))


async def test_a_server_that_sends_a_path_as_a_name_is_refused(tmp_path: Path) -> None:
    async with sftp_server(tmp_path, _Paths) as server, opened(server.config()) as box:
        with pytest.raises(StepError) as caught:
            await box.list("/in")

    assert caught.value.code == "AF343"
    assert "whose name is a path: ../../etc/passwd" in caught.value.message


class _OldServer(asyncssh.SFTPServer):
    """Knows no posix-rename."""

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        del oldpath, newpath
        raise asyncssh.SFTPOpUnsupported("no")


async def test_a_server_without_posix_rename_replaces_a_file_without_a_moment_of_loss(tmp_path: Path) -> None:
    async with sftp_server(tmp_path, _OldServer) as server, opened(server.config()) as box:
        (server.root / "old").write_bytes(b"old")
        (server.root / "new").write_bytes(b"new")
        with pytest.raises(StepError):
            await box.rename("/absent", "/old", replace=True)
        assert (server.root / "old").read_bytes() == b"old"
        await box.rename("/new", "/old", replace=True)

        assert [(one.name, one.read_bytes()) for one in server.root.iterdir()] == [("old", b"new")]


@both
@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_cut_is_a_connection_error_and_the_next_call_connects_again(
    way: str, kind: str, tmp_path: Path
) -> None:
    data = os.urandom(2_000_000)
    async with AsyncExitStack() as stack:
        if kind == "openssh":
            sshd = stack.enter_context(openssh(tmp_path / "sshd"))
            config, root, here = sshd.config(), str(sshd.root), sshd.root
        else:
            server = await stack.enter_async_context(sftp_server(tmp_path))
            config, root, here = server.config(), "", server.root
        (here / "f").write_bytes(data)
        proxy = stack.enter_context(TcpProxy(config["port"]))
        box = await stack.enter_async_context(opened({**config, "port": proxy.port}))
        assert await box.exists(root or "/")
        for how in ("rst", "fin"):
            proxy.cut_after(500_000, way, how)  # type: ignore[arg-type]  # the words of the proxy
            transfer = box.write(f"{root}/g", content(data)) if way == "up" else box.read_bytes(f"{root}/f")
            with pytest.raises(StepError) as caught:
                await transfer
            assert (caught.value.code, caught.value.kind) == ("AF337", "connection")
            assert "was lost" in caught.value.message
            await box.write(f"{root}/g", content(data))
            assert await box.read_bytes(f"{root}/g") == data
        assert proxy.connections == 3


async def test_a_network_that_swallows_everything_is_noticed_in_the_middle(tmp_path: Path) -> None:
    data = os.urandom(12_000_000)
    async with sftp_server(tmp_path) as server:
        (server.root / "f").write_bytes(data)
        with TcpProxy(server.port) as proxy:
            # Time for the login on a machine that has much to do; the silence afterwards needs less.
            async with opened(server.config(port=proxy.port), timeout=12) as box:
                async with box.read("/f") as blocks:
                    start = time.monotonic()
                    await anext(blocks)
                    box._link._silence._seconds = 2.0
                    proxy.pause()
                    with pytest.raises(StepError) as caught:
                        [block async for block in blocks]
                assert time.monotonic() - start < 20
                assert (caught.value.code, caught.value.kind) == ("AF337", "connection")
                assert "stopped answering for 12 s" in caught.value.message
                proxy.resume()
                assert await box.read_bytes("/f") == data


@needs_openssh
async def test_a_server_process_that_hangs_is_noticed(tmp_path: Path) -> None:
    """The connection answers the keep-alive; only the process of the SFTP session is stopped."""
    pid_file = tmp_path / "pid"
    wrapper = tmp_path / "sftp.sh"
    wrapper.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec {SFTP_SERVER}\n")
    wrapper.chmod(0o755)
    with openssh(tmp_path / "sshd", subsystem=f"Subsystem sftp {wrapper}") as server:
        async with opened(server.config(), timeout=12) as box:  # as above
            assert await box.exists("/")
            box._link._silence._seconds = 1.0
            os.kill(int(pid_file.read_text()), signal.SIGSTOP)
            with pytest.raises(StepError) as caught:
                await asyncio.wait_for(box.stat("/"), 20)
            assert "stopped answering for 12 s" in caught.value.message
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            assert await box.exists("/")
            os.kill(int(pid_file.read_text()), signal.SIGKILL)  # the session alone dies
            with pytest.raises(StepError) as caught:
                [await box.stat("/") for _ in range(100)]
            assert caught.value.kind == "connection"
            assert await box.exists("/"), "on the same connection"


@needs_openssh
async def test_the_server_computes_checksums_where_the_login_may_start_programs(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    with openssh(tmp_path / "sshd") as server:
        async with opened(server.config()) as box:
            for name in ("plain", "it's\n\\odd", "-n"):
                await box.write(f"{server.root}/{name}", content(data))
                assert await box.sha256(f"{server.root}/{name}") == hashlib.sha256(data).hexdigest()
            assert await box.sha256(f"{server.root}/none") is None
    with openssh(tmp_path / "files-only", "ForceCommand internal-sftp") as server:
        async with opened(server.config()) as box:
            await box.write(f"{server.root}/a", content(data))
            assert await box.sha256(f"{server.root}/a") is None
            assert await box.exists(f"{server.root}/a")


async def test_a_server_that_has_only_files_computes_no_checksum(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        await box.write("/a", content(b"x"))
        assert await box.sha256("/a") is None


async def test_one_connection_carries_many_operations_at_once(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config(), max_sessions=2) as box:

        async def round_trip(number: int) -> None:
            await box.write(f"/f{number}", content(b"%d" % number))
            assert await box.read_bytes(f"/f{number}") == b"%d" % number

        await asyncio.gather(*(round_trip(number) for number in range(60)))
        assert server.logins == 1
        assert len(await box.list("/")) == 60


@needs_openssh
async def test_a_server_that_allows_one_session_is_used_with_one(tmp_path: Path) -> None:
    with openssh(tmp_path / "sshd", "MaxSessions 1") as server:
        async with opened(server.config()) as box:
            await asyncio.gather(*(box.write(f"{server.root}/{n}", content(b"x")) for n in range(40)))
            assert len(await box.list(str(server.root))) == 40


async def test_a_cancelled_transfer_leaves_the_session_usable(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100_000
            await asyncio.sleep(0)

    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        assert await box.exists("/")  # the login may take longer than the transfers are given
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(box.write("/endless", endless()), 0.1)
        await box.write("/a", content(b"1"))
        assert await box.read_bytes("/a") == b"1"
        assert server.logins == 1


async def test_a_server_that_dies_and_starts_again_is_used_again(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        with server_process(tmp_path, free_port()) as (process, config):
            box = await stack.enter_async_context(opened(config))
            await box.write("/a", content(b"1"))
            process.kill()
            process.wait()
            with pytest.raises(StepError) as caught:
                [await box.stat("/a") for _ in range(3)]
            assert caught.value.kind == "connection"
        with server_process(tmp_path, config["port"]):
            assert await box.read_bytes("/a") == b"1"
