"""An SFTP server on loopback by asyncssh: in the test's event loop, or as a process of its own.

async with sftp_server(tmp_path) as server:
    ...                         # server.config() is the config of a resource

python tests/servers/sftp_server.py FOLDER PORT     # prints one line of JSON when it listens
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import asyncssh

USER, PASSWORD = "ann", "pass-1"

SftpType = type[asyncssh.SFTPServer]


class _Login(asyncssh.SSHServer):
    """Lets USER in with PASSWORD; others get the banner, and are rejected."""

    def __init__(self, banner: str) -> None:
        self._banner = banner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        del username
        if self._banner and self._connection is not None:
            self._connection.send_auth_banner(self._banner)
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        del dest_host, dest_port, orig_host, orig_port
        return True  # it may be a jump host


class SftpServer:
    """A running server.

    Attributes:
        port: where it listens on 127.0.0.1.
        root: the folder that clients see as `/`.
        host_key: its public key in one line.
        logins: how many connections it has accepted.
    """

    def __init__(self, root: Path, key: asyncssh.SSHKey) -> None:
        self.root = root
        self.port = 0
        self.key = key
        self.logins = 0
        self._opened: list[IO[bytes]] = []
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @property
    def host_key(self) -> str:
        """The public host key in one line."""
        return self.key.export_public_key().decode().strip()

    def config(self, **more: Any) -> dict[str, Any]:
        """Return the config of a resource that reaches it."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "password": PASSWORD,
            "host_key": self.host_key,
            **more,
        }

    async def start(self, sftp: SftpType, banner: str, **options: Any) -> None:
        """Listen."""

        def login() -> _Login:
            self.logins += 1
            return _Login(banner)

        opened = self._opened

        class Closing(sftp):  # type: ignore[misc, valid-type]  # any class of servers
            """Remembers its files: the library leaves those of a connection that breaks to the collector."""

            def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> IO[bytes]:
                file: IO[bytes] = super().open(path, pflags, attrs)
                opened.append(file)
                return file

        def session(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
            made: asyncssh.SFTPServer = Closing(channel, chroot=str(self.root).encode())
            return made

        self._acceptor = await asyncssh.create_server(
            login, "127.0.0.1", self.port, server_host_keys=[self.key], sftp_factory=session, **options
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """End all connections, and listen no longer."""
        if self._acceptor is not None:
            acceptor, self._acceptor = self._acceptor, None
            acceptor.close()
            await acceptor.wait_closed()
        for file in self._opened:
            file.close()


@asynccontextmanager
async def sftp_server(
    folder: Path, sftp: SftpType = asyncssh.SFTPServer, *, banner: str = "", port: int = 0, **options: Any
) -> AsyncIterator[SftpServer]:
    """Run a server in a block; its files are in `folder/files`.

    Args:
        folder: keeps the host key, so that a second server in it has the same one.
        sftp: the class that answers; a subclass may answer wrongly.
        banner: a text that it shows before the login.
        port: where to listen; 0: any free port.
        options: further options of `asyncssh.create_server`.
    """
    root, key_file = folder / "files", folder / "host_key"
    await asyncio.to_thread(root.mkdir, parents=True, exist_ok=True)
    server = SftpServer(root, await asyncio.to_thread(_host_key, key_file))
    server.port = port
    await server.start(sftp, banner, **options)
    try:
        yield server
    finally:
        await server.stop()


def _host_key(file: Path) -> asyncssh.SSHKey:
    if not file.exists():
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(file)
    return asyncssh.read_private_key(file)


@contextmanager
def server_process(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a server as a process of its own, which a test may kill; give it and the config of a resource.

    A second one with the same folder and port is the same server to its clients.
    """
    words = [sys.executable, __file__, str(folder), str(port)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


async def _serve(folder: Path, port: int, report: Callable[[str], None]) -> None:
    async with sftp_server(folder, port=port) as server:
        report(json.dumps(server.config()))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]), lambda line: print(line, flush=True)))  # noqa: T201 - it reports to its parent
