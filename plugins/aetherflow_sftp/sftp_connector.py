"""The connector `sftp:asyncssh`: the files of a server, over one SSH connection.

It imports asyncssh in `open` only, so that a flow is validated without it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

from aetherflow import (
    CheckResult,
    Dataset,
    MissingExtra,
    RemoteEntry,
    RemoteFiles,
    RemoteProgram,
    RemoteShell,
    Resource,
    connector,
    run_blocking,
)
from aetherflow_sftp.settings import SftpConfig, SftpOptions, jumps, user_of

if TYPE_CHECKING:
    from asyncssh import SFTPClient, SSHClientConnection

    from aetherflow_sftp.sftp_session import Session
    from aetherflow_sftp.ssh_link import SshLink


@connector("sftp:asyncssh")
class SftpFiles(RemoteFiles, RemoteShell):
    """The files of a server over SFTP. Paths are absolute, or relative to the folder of the login."""

    config_type: ClassVar[type[SftpConfig]] = SftpConfig
    options_type: ClassVar[type[SftpOptions]] = SftpOptions
    path_keys: ClassVar[tuple[str, ...]] = ("pkey_path", "known_hosts")
    packages: ClassVar[tuple[str, ...]] = ("asyncssh",)

    def __init__(self, link: SshLink) -> None:
        """Take the connection, which is made at its first use."""
        self._link = link
        self.cautions = link.cautions

    @classmethod
    def absolute_paths(cls, config: dict[str, Any], absolute: Callable[[str, str], str]) -> dict[str, Any]:
        """Return the config with absolute key files and known_hosts files, those of jump hosts too."""
        own = super().absolute_paths

        def of_jump(host: Any) -> Any:
            return own(host, absolute) if isinstance(host, dict) else host

        config, jump = own(config, absolute), config.get("jump")
        if jump is None:
            return config
        return {**config, "jump": [*map(of_jump, jump)] if isinstance(jump, list) else of_jump(jump)}

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check the settings; the connection is made at the first use.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: asyncssh is not installed.
        """
        config = resource.config_as(SftpConfig)
        options = resource.options_as(SftpOptions)
        for login in (*jumps(config), config):
            user_of(login, resource.name)
        link_type = await run_blocking(_link_type, resource.name)
        return cls(link_type(resource.name, config, options))

    @property
    def place(self) -> str:
        """The server as messages name it."""
        return self._link.config.place

    def dataset(self, path: str) -> Dataset:
        """Return how others name a file there."""
        config = self._link.config
        return Dataset(f"sftp://{config.host}:{config.port}", path)

    @asynccontextmanager
    async def start(self, command: str) -> AsyncIterator[RemoteProgram]:
        """Start a command line in the user's login shell on the server, for the step `ssh.process`.

        Raises:
            StepError: the server cannot be reached, or starts no programs.
        """
        from aetherflow_sftp.ssh_programs import started  # noqa: PLC0415 - imports asyncssh

        async with started(self._link, command) as program:
            yield program

    @property
    def link(self) -> SshLink:
        """The connection, for what is built on it."""
        return self._link

    async def ssh(self) -> SSHClientConnection:
        """Return the open SSH connection; it is made if there is none.

        Raises:
            StepError: the server cannot be reached, its key is not trusted, or it rejects the login.
        """
        return await self._link.connection()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[SFTPClient]:
        """Lend an SFTP session of asyncssh, for what this connector has no method for."""
        async with self._session("use", "") as session:
            with session.explained("use", ""):
                yield session.client

    async def aclose(self) -> None:
        """Close the connection."""
        await self._link.aclose()

    async def check(self) -> list[CheckResult]:
        """Show the host key, log in, and report the rights in the login folder and the free space."""
        from aetherflow_sftp.connection_check import check_server  # noqa: PLC0415 - for doctor only

        return await check_server(self._link)

    async def scan(self, folder: str) -> AsyncGenerator[RemoteEntry, None]:
        """Yield the files and folders of a folder; of a link, size and time of what it points to.

        Raises:
            StepError: the folder does not exist, may not be read, or the server lists a name that is a path.
        """
        async with self._session("list", folder) as session, aclosing(session.scan(folder)) as entries:
            async for entry in entries:
                yield entry

    async def stat(self, path: str) -> RemoteEntry | None:
        """Return what is at a path, following links; None if nothing is there, or a link to nothing."""
        async with self._session("look at", path) as session:
            return await session.stat(path)

    def read(self, path: str, *, offset: int = 0) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a file and yield its content from an offset, in pieces of the server's size.

        Raises:
            StepError: the file does not exist, may not be read, or the connection breaks.
        """
        return self._read(path, offset)

    @asynccontextmanager
    async def _read(self, path: str, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self._session("read", path) as session, session.read(path, offset) as blocks:
            yield blocks

    async def write(self, path: str, content: AsyncIterator[bytes], *, offset: int = 0) -> None:
        """Write a file: from offset 0 it is created or emptied first, else it is cut there and continued.

        Raises:
            StepError: the file cannot be written, the disk of the server is full, or the connection breaks.
        """
        async with self._session("write", path) as session:
            await session.write(path, content, offset)

    async def rename(self, path: str, new: str, *, replace: bool) -> None:
        """Rename a file in one operation where the server can.

        Without posix-rename, a file that is replaced gets another name first, and is deleted at the end.

        Raises:
            StepError: something is at `new` and `replace` is false, or it cannot be renamed.
        """
        async with self._session("rename", path) as session:
            await session.rename(path, new, replace=replace)

    async def remove(self, path: str) -> bool:
        """Delete a file; return whether it was there.

        Raises:
            StepError: it may not be deleted, or is a folder.
        """
        async with self._session("delete", path) as session:
            return await session.remove(path)

    async def remove_folder(self, path: str) -> bool:
        """Delete an empty folder; return whether it was there.

        Raises:
            StepError: it is not empty, or may not be deleted.
        """
        async with self._session("delete the folder", path) as session:
            return await session.remove_folder(path)

    async def make_folder(self, path: str) -> None:
        """Make a folder and those above it; nothing happens if it exists.

        Raises:
            StepError: it cannot be made, or a file is in its place.
        """
        async with self._session("make the folder", path) as session:
            await session.make_folder(path)

    async def set_mtime(self, path: str, mtime: float) -> bool:
        """Set when a file was changed, in whole seconds as most servers have them."""
        async with self._session("set the time of", path) as session:
            return await session.set_mtime(path, mtime)

    async def sha256(self, path: str) -> str | None:
        """Return the checksum of a file that the server computes, if it can; see `checksums`."""
        return await self._link.sha256(path)

    def _session(self, doing: str, path: str) -> _Lent:
        return _Lent(self._link, doing, path)


class _Lent:
    """An SFTP session that is used in a block."""

    def __init__(self, link: SshLink, doing: str, path: str) -> None:
        self._link = link
        self._for = doing, path

    async def __aenter__(self) -> Session:
        self._session = await self._link.lend(*self._for)
        return self._session

    async def __aexit__(self, *_: object) -> None:
        self._session.users -= 1


@connector("sftp:paramiko")
class SftpFilesAsParamiko(SftpFiles):
    """Another name of sftp:asyncssh, as flows of AetherFlow 0.0 have it."""


def _link_type(resource: str) -> type[SshLink]:
    """Import asyncssh, which is slow: in a worker thread.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import asyncssh  # noqa: F401, PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"resource {resource!r} (sftp:asyncssh) needs asyncssh, which is not installed",
            hint="pip install 'aetherflow[sftp]'",
        ) from error
    from aetherflow_sftp.ssh_link import SshLink  # noqa: PLC0415 - it imports asyncssh

    return SshLink
