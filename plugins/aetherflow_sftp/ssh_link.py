"""One SSH connection of a resource: made at its first use, made again after a cut, with its SFTP sessions."""

from __future__ import annotations

import anyio
import asyncssh

from aetherflow import StepError
from aetherflow_sftp import login_failures, packet_log
from aetherflow_sftp.checksums import Checksums
from aetherflow_sftp.failures import Server, explained
from aetherflow_sftp.requests import Requests, requests_of
from aetherflow_sftp.settings import SftpConfig, SftpOptions, jumps
from aetherflow_sftp.sftp_session import Session
from aetherflow_sftp.silence import Silence
from aetherflow_sftp.ssh_login import Connections, connect

BUSY = 32
"""With so many operations in each session, another one is opened."""


class SshLink:
    """The connection of one resource; safe to use from several tasks.

    Attributes:
        resource: the name of the resource.
        config: where the server is, and how to log in.
        options: how long to wait, and how often to try.
    """

    def __init__(self, resource: str, config: SftpConfig, options: SftpOptions) -> None:
        self.resource = resource
        self.config = config
        self.options = options
        self._server = Server(resource, config.place, options.timeout)
        self._connections: Connections | None = None
        self._sessions: list[Session] = []
        self._silence = Silence(options.timeout)
        self._most_sessions = options.max_sessions
        self._checksums = Checksums()
        self._connecting = anyio.Lock()
        self._opening = anyio.Lock()

    @property
    def cautions(self) -> tuple[str, ...]:
        """What every run has to know of the connection."""
        return tuple(
            f"resource {self.resource!r}: the host key of {login.place} is not checked "
            "(insecure_host_key: true), so another machine may answer in its place"
            for login in (*jumps(self.config), self.config)
            if login.insecure_host_key
        )

    async def connection(self) -> asyncssh.SSHClientConnection:
        """Return the open connection; connect if there is none, or if it broke.

        Raises:
            StepError: see `ssh_login.connect`.
        """
        if (open_one := self._open_one()) is not None:
            return open_one
        async with self._connecting:
            if (open_one := self._open_one()) is not None:
                return open_one
            self._drop()
            self._connections = await self._connect()
            self._silence = Silence(self.options.timeout, self._connections.abort)
            return self._connections.end

    def _open_one(self) -> asyncssh.SSHClientConnection | None:
        if self._connections is None or self._connections.end.is_closed():
            return None
        return self._connections.end

    async def _connect(self) -> Connections:
        attempts = self.options.attempts
        attempt = 1
        while True:
            try:
                return await connect(self.resource, self.config, self.options.timeout)
            except StepError as error:
                if error.kind != "connection" or attempt == attempts.max_attempts:
                    raise
            await anyio.sleep(attempts.backoff_seconds * 2 ** (attempt - 1))
            attempt += 1

    async def sha256(self, path: str) -> str | None:
        """Return the checksum that the server computes; None if it cannot."""
        with explained(self._server, "compute the checksum of", path):
            return await self._checksums.sha256(await self.connection(), path)

    async def lend(self, doing: str, path: str) -> Session:
        """Return an SFTP session; the borrower takes 1 from its `users` at the end.

        Args:
            doing: what it is for, for the error: `read`.
            path: of which path.

        Raises:
            StepError: the server cannot be reached, or offers no SFTP.
        """
        session = self._free() if self._open_one() is not None else None
        if session is None:
            with explained(self._server, doing, path):
                session = await self._session()
        session.users += 1
        return session

    async def _session(self) -> Session:
        await self.connection()  # which forgets the sessions of one that broke
        if (free := self._free()) is not None:
            return free
        async with self._opening:
            connection = await self.connection()
            return self._free() or await self._open_session(connection)

    def _free(self) -> Session | None:
        """Return the session with the fewest users, unless another one may be opened for the work."""
        self._sessions = [one for one in self._sessions if not one.is_broken]
        least = min(self._sessions, key=lambda one: one.users, default=None)
        if least is None or (least.users >= BUSY and len(self._sessions) < self._most_sessions):
            return None
        return least

    async def _open_session(self, connection: asyncssh.SSHClientConnection) -> Session:
        silence = self._silence
        try:
            with silence.watch():
                client = await connection.start_sftp_client(
                    path_encoding="utf-8", path_errors="surrogateescape"
                )
        except (asyncssh.ChannelOpenError, asyncssh.SFTPError) as error:
            if connection.is_closed():
                raise asyncssh.ConnectionLost(login_failures.one_line(error)) from error
            if self._sessions:
                self._most_sessions = len(self._sessions)  # the server allows no more
                return min(self._sessions, key=lambda one: one.users)
            raise login_failures.no_sftp(self.resource, self.config.place, error) from error
        is_silent = packet_log.leave_out_of_session(client)
        requests = requests_of(connection, client) if is_silent else Requests()
        session = Session(self._server, client, requests, silence)
        self._sessions.append(session)
        return session

    def _drop(self) -> None:
        self._silence.stop()
        self._sessions.clear()
        if self._connections is not None:
            self._connections.abort()
            self._connections = None

    async def aclose(self) -> None:
        """Close sessions and connections."""
        self._silence.stop()
        for session in self._sessions:
            session.client.exit()
        self._sessions.clear()
        if self._connections is not None:
            connections, self._connections = self._connections, None
            await connections.aclose()
